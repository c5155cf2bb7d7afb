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

// counter is a line of the counter of ways past gates.
var counter = regexp.MustCompile(`(?m)^pullpace_gate_bypasses_total\{kind="([^"]+)"\} (\d+)$`)

// ways are how often each way past the gates was counted, by all replicas.
func (a act) ways(ctx context.Context) (tally, error) {
	var pods corev1.PodList
	if err := a.Client.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"}); err != nil {
		return nil, fmt.Errorf("listing the replicas: %w", err)
	}
	sum := tally{}
	for _, pod := range pods.Items {
		text, err := a.Cluster.Client().CoreV1().RESTClient().Get().Namespace(v1alpha1.Namespace).Resource("pods").
			Name(pod.Name + ":8080").SubResource("proxy").Suffix("metrics").Do(ctx).Raw()
		if err != nil {
			return nil, fmt.Errorf("reading metrics: %w", err)
		}
		for _, m := range counter.FindAllStringSubmatch(string(text), -1) {
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

// tally is how often each way past the gates should have been counted by now.
type tally map[kube.Bypass]int

// moves expects that something moves the counter of one way by one, and that no other
// moved since the tally began.
func (a act) moves(want tally, way kube.Bypass, do deed) deed {
	return func(ctx context.Context) error {
		want[way]++
		if err := do(ctx); err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		return stage.Poll(ctx, "one more "+string(way), a.counted(want))
	}
}

// counted asks whether the counters are as they should be.
func (a act) counted(want tally) func(ctx context.Context) (bool, string, error) {
	return func(ctx context.Context) (bool, string, error) {
		got, err := a.ways(ctx)
		return maps.Equal(got, want), fmt.Sprintf("%v, want %v", got, want), err
	}
}

// terminates ends the run that waits at a step, as `kubectl argo rollouts terminate` does.
func (a act) terminates(step int64) deed {
	return func(ctx context.Context) error {
		run, err := a.awaitHeld(ctx, step)
		if err != nil {
			return err
		}
		return a.Client.Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"terminate":true}}`)))
	}
}

// restarts starts the pods anew, as `kubectl argo rollouts restart` does.
func (a act) restarts(ctx context.Context) error {
	return a.patch(ctx, map[string]any{"spec": map[string]any{"restartAt": time.Now().UTC().Format(time.RFC3339)}}, "")
}

// scales asks for one pod more by the subresource that a HorizontalPodAutoscaler writes.
func (a act) scales(ctx context.Context) error {
	if out := a.Kubectl(ctx, "scale", "rollouts.argoproj.io/"+app, "-n", a.Name, fmt.Sprint("--replicas=", stage.Nodes+1)); out.Code != 0 {
		return fmt.Errorf("scaling up: %s", out)
	}
	return nil
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

// bypassed goes past gates in every way there is. In the end nothing is left set aside of
// what waited at them.
func bypassed(ctx context.Context, a act, r *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := a.begin(ctx, options{steps: gated}, 1); err != nil {
		return err
	}
	n, err := a.ways(ctx)
	if err != nil {
		return err
	}
	r.Note("ways", len(n))
	return inTurn(ctx,
		a.Pause, a.updates(images[0]), a.waitsAt(0),
		a.moves(n, kube.BypassPromote, a.sets(map[string]any{"pauseConditions": nil, "currentStepIndex": 1})),
		a.moves(n, kube.BypassTerminate, a.terminates(2)),
		a.waitsAt(4),
		a.moves(n, kube.BypassRestart, a.restarts),
		a.moves(n, kube.BypassScale, a.scales),
		a.moves(n, kube.BypassRollback, a.updates(stage.Unmetered)),
		a.comesTo("the first revision to serve again", healthy),
		a.updates(images[1]), a.waitsAt(0),
		a.moves(n, kube.BypassFull, a.sets(map[string]any{"promoteFull": true})),
		a.comesTo("the promoted revision to serve", healthy),
		a.accounts("nothing to be held or set aside", func(s v1alpha1.AccountStatus) bool { return s.Held == 0 && s.Reserved == 0 }),
		func(ctx context.Context) error { return stage.Poll(ctx, "no way to be counted twice", a.counted(n)) },
	)
}
