//go:build linux

package argo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// tooLate is two intervals of the analysis of health.
const tooLate = 2 * healthEvery

// badImage rolls out an image that there is not, as a person does. The health of its
// pulls aborts the rollout, by the words of the kubelet, which all who ask are told.
func badImage(ctx context.Context, a act, r *suite.Report) error {
	w, err := a.Witness(ctx)
	if err != nil {
		return err
	}
	err = inTurn(ctx, a.begins(options{steps: gated, health: true}, 1),
		a.says(1, []string{"state=failed", ": not found"}, "rollout", it, "--image", "c0="+a.typo()))
	if err != nil {
		return err
	}
	f, err := a.goesBack(ctx, w, r)
	if err != nil {
		return err
	}
	all, err := a.measurements(ctx)
	if err != nil {
		return err
	}
	told, asked := false, 0
	for _, m := range all {
		if m.phase != "Failed" {
			continue
		}
		asked++
		var answer struct{ Decision, Reason, Message string }
		if err := json.Unmarshal([]byte(m.value), &answer); err != nil {
			return fmt.Errorf("a measurement is %+v: %w", m, err)
		}
		told = told || answer.Decision == "abort" && answer.Reason == "ImageFailing" && strings.Contains(answer.Message, f.words)
	}
	if !told || asked != 1 {
		return fmt.Errorf("want one measurement to abort by the kubelet's words %q: %+v", f.words, all)
	}
	return a.tellsOf(ctx, f)
}

// aborting is a policy that aborts rollouts of bad images itself.
func aborting() *v1alpha1.PacePolicySpec {
	return &v1alpha1.PacePolicySpec{Mode: v1alpha1.Enforce, Rollouts: &v1alpha1.Rollouts{AbortBadImage: true}}
}

// badImageByPolicy is a bad image of a Rollout that no analysis looks at. The controller
// aborts it.
func badImageByPolicy(ctx context.Context, a act, r *suite.Report) error {
	w, err := a.Witness(ctx)
	if err != nil {
		return err
	}
	if err := inTurn(ctx, a.begins(options{steps: notGated}, 1), a.updates(a.typo())); err != nil {
		return err
	}
	f, err := a.goesBack(ctx, w, r)
	if err != nil {
		return err
	}
	if all, err := a.measurements(ctx); err != nil || len(all) > 0 {
		return fmt.Errorf("want no analysis to have aborted it: %+v (%w)", all, err)
	}
	return a.tellsOf(ctx, f)
}

// typo is an image that there is not.
func (a act) typo() string { return a.Host.Name() + "/web:typo" }

// failure is what a kubelet said of a pull that failed, and when a pod told of it.
type failure struct {
	at    time.Time
	words string
}

// goesBack returns when the Rollout was aborted, not later than two intervals of an
// analysis after a pod first told that its image cannot be pulled, and serves as before.
func (a act) goesBack(ctx context.Context, w *stage.Witness, r *suite.Report) (failure, error) {
	if err := a.await(ctx, "the rollout to be aborted", func(s state) bool { return s.aborted && s.phase == "Degraded" }); err != nil {
		return failure{}, err
	}
	s, err := a.look(ctx)
	if err != nil {
		return failure{}, err
	}
	f, err := a.firstFailure(ctx, w)
	if err != nil {
		return failure{}, err
	}
	took := s.abortedAt.Sub(f.at)
	r.Note("aborted_after", took)
	if s.abortedAt.IsZero() || took > tooLate {
		return f, fmt.Errorf("aborted at %s, %s after the first pull had failed, want %s at most", s.abortedAt, took, tooLate)
	}
	n, err := a.ready(ctx, s.stable)
	if err == nil && n != stage.Nodes {
		err = fmt.Errorf("%d pods of the stable revision serve, want %d", n, stage.Nodes)
	}
	return f, err
}

// firstFailure is the first pull of the image that a pod told to have failed, by the words
// of the kubelet's Event, which may be written later.
func (a act) firstFailure(ctx context.Context, w *stage.Witness) (failure, error) {
	const why = ": not found"
	told, err := w.Sights(func(s stage.Sight) bool { return strings.Contains(s.Message, why) })
	if err != nil || len(told) == 0 {
		return failure{}, errors.Join(err, fmt.Errorf("%d pods told that their image is %q", len(told), why))
	}
	first := failure{at: told[0].At}
	err = stage.Poll(ctx, "a kubelet's Event of the failed pull", func(ctx context.Context) (bool, string, error) {
		var list corev1.EventList
		err := a.Client.List(ctx, &list, client.InNamespace(a.Name))
		for _, e := range list.Items {
			_, words, is := strings.Cut(e.Message, `Failed to pull image "`+a.typo()+`": `)
			if is && strings.Contains(words, why) {
				first.words = strings.TrimSpace(words)
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("%d Events", len(list.Items)), err
	})
	return first, err
}

// tellsOf complains unless the kubelet's words are in an Event on the Rollout and in its
// explanation.
func (a act) tellsOf(ctx context.Context, f failure) error {
	err := stage.Poll(ctx, "an Event on the rollout with the kubelet's words", func(ctx context.Context) (bool, string, error) {
		out := a.Kubectl(ctx, "get", "events.v1.events.k8s.io", "-n", a.Name, "--field-selector", "regarding.kind=Rollout,reason=ImageFailing", "-o", "jsonpath={.items[*].note}")
		return strings.Contains(out.Stdout, f.words), out.String(), nil
	})
	if err != nil {
		return err
	}
	return a.reads(0, []string{"ABORTED  ImageFailing", f.words}, "explain", it)(ctx)
}
