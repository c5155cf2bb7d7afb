//go:build linux

package argo

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// counted is a line of the counter of ways past gates.
var counted = regexp.MustCompile(`(?m)^pullpace_gate_bypasses_total\{kind="([^"]+)"\} (\d+)$`)

// ways are how often each way past the gates was counted, by all replicas.
func (a act) ways(ctx context.Context) (map[kube.Bypass]int, error) {
	var pods corev1.PodList
	if err := a.Client.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"}); err != nil {
		return nil, fmt.Errorf("listing the replicas: %w", err)
	}
	sum := map[kube.Bypass]int{}
	for _, pod := range pods.Items {
		text, err := a.Cluster.Client().CoreV1().RESTClient().Get().Namespace(v1alpha1.Namespace).Resource("pods").
			Name(pod.Name + ":8080").SubResource("proxy").Suffix("metrics").Do(ctx).Raw()
		if err != nil {
			return nil, fmt.Errorf("reading metrics: %w", err)
		}
		for _, m := range counted.FindAllStringSubmatch(string(text), -1) {
			n, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, fmt.Errorf("reading metrics: %w", err)
			}
			sum[kube.Bypass(m[1])] += n
		}
	}
	if len(sum) != len(kube.BypassKinds()) {
		return nil, fmt.Errorf("counted are %v, want all of %v", sum, kube.BypassKinds())
	}
	return sum, nil
}

// moves expects that something moves the counter of one way by one, and no other.
func (a act) moves(ctx context.Context, way kube.Bypass, do func() error) error {
	want, err := a.ways(ctx)
	if err != nil {
		return err
	}
	want[way]++
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", way, err)
	}
	return stage.Poll(ctx, "one more "+string(way), func(ctx context.Context) (bool, string, error) {
		got, err := a.ways(ctx)
		return maps.Equal(got, want), fmt.Sprintf("%v, want %v", got, want), err
	})
}

// awaitHeld returns the run that waits at a step of the newest revision.
func (a act) awaitHeld(ctx context.Context, step int64) (run *unstructured.Unstructured, err error) {
	err = stage.Poll(ctx, fmt.Sprintf("a run that waits at step %d", step), func(ctx context.Context) (bool, string, error) {
		s, err := a.look(ctx)
		if err != nil || s.step != step {
			return false, s.String(), err
		}
		list := kube.NewRuns()
		if err := a.Client.List(ctx, list, client.InNamespace(a.Name)); err != nil {
			return false, "", err
		}
		for i := range list.Items {
			r, ok := kube.ReadRun(&list.Items[i])
			if ok && r.Step.Hash == s.hash && r.Step.Index == fmt.Sprint(step) && !r.Completed && r.Decision == kube.Wait {
				run = &list.Items[i]
			}
		}
		return run != nil, s.String() + ", no run waits", nil
	})
	return run, err
}

// bypassed goes past gates in every way there is.
func bypassed(ctx context.Context, a act, r *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := a.begin(ctx, options{steps: gated}, 1); err != nil {
		return err
	}
	if err := a.order(ctx, "pause"); err != nil {
		return err
	}
	if err := a.update(ctx, images[0]); err != nil {
		return err
	}
	status := func(fields map[string]any) func() error {
		return func() error { return a.patch(ctx, map[string]any{"status": fields}, "status") }
	}
	spec := func(fields map[string]any) func() error {
		return func() error { return a.patch(ctx, map[string]any{"spec": fields}, "") }
	}
	if _, err := a.awaitHeld(ctx, 0); err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassPromote, status(map[string]any{"pauseConditions": nil, "currentStepIndex": 1})); err != nil {
		return err
	}
	run, err := a.awaitHeld(ctx, 2)
	if err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassTerminate, func() error {
		return a.Client.Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"terminate":true}}`)))
	}); err != nil {
		return err
	}
	if _, err := a.awaitHeld(ctx, 4); err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassRestart, spec(map[string]any{"restartAt": time.Now().UTC().Format(time.RFC3339)})); err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassScale, spec(map[string]any{"replicas": stage.Nodes + 1})); err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassRollback, func() error { return a.update(ctx, stage.Unmetered) }); err != nil {
		return err
	}
	if err := a.await(ctx, "the first revision to serve again", healthy); err != nil {
		return err
	}
	if err := a.update(ctx, images[1]); err != nil {
		return err
	}
	if _, err := a.awaitHeld(ctx, 0); err != nil {
		return err
	}
	if err := a.moves(ctx, kube.BypassFull, status(map[string]any{"promoteFull": true})); err != nil {
		return err
	}
	r.Note("ways", len(kube.BypassKinds()))
	return a.await(ctx, "the promoted revision to serve", healthy)
}
