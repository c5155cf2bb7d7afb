//go:build linux

package argo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// hasty tries a throttled account again soon, so that the case ends in its time.
func hasty() *v1alpha1.Breaker {
	return &v1alpha1.Breaker{Base: &metav1.Duration{Duration: 5 * time.Second}, Max: &metav1.Duration{Duration: 10 * time.Second}}
}

// ready is how many pods of a revision serve.
func (a act) ready(ctx context.Context, hash string) (n int, err error) {
	pods, err := a.ofRevision(ctx, hash)
	for i := range pods {
		for _, c := range pods[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return n, err
}

// frozenFor is for how long the frozen rollout is watched.
const frozenFor = 15 * time.Second

// throttledMidCanary has the registry refuse all pulls when the first canary pod comes.
// The rollout freezes: no pod more comes, and none that serves goes. When the registry
// serves again it goes on by itself, as those who asked meanwhile were told.
func throttledMidCanary(ctx context.Context, a act, r *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := a.begin(ctx, options{steps: gated, health: true}, len(images)); err != nil {
		return err
	}
	before, err := a.look(ctx)
	if err != nil {
		return err
	}
	lift := a.Host.Inject(registry.Refusing(registry.GHCRDenial(), registry.ManifestGET))
	defer lift()
	if err := a.update(ctx, images...); err != nil {
		return err
	}
	frozen := func(s state) bool {
		return s.phase == "Paused" && strings.Contains(s.message, "Inconclusive") && !s.aborted
	}
	if err := a.await(ctx, "the rollout to freeze", frozen); err != nil {
		return err
	}
	for until := time.Now().Add(frozenFor); time.Now().Before(until); {
		s, err := a.look(ctx)
		if err != nil {
			return err
		}
		serving, err := a.ready(ctx, before.stable)
		if err != nil {
			return err
		}
		canary, err := a.ofRevision(ctx, s.hash)
		if err != nil {
			return err
		}
		if !frozen(s) || serving != stage.Nodes || len(canary) != 1 {
			return fmt.Errorf("while pulls are throttled the rollout is %s with %d pods that serve and %d of the canary, want it frozen with %d and 1", s, serving, len(canary), stage.Nodes)
		}
		if err := stage.Pass(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := inTurn(ctx,
		a.reads(0, []string{"HELD", "BreakerOpen", "429", "lets it go on at the same step"}, "explain", it),
		a.reads(0, []string{it + " frozen"}, "status"),
		a.reads(4, []string{"state=held", "reason=BreakerOpen", "own_429=1", "kubelet="}, "rollout", it, "--follow", "--max-wait", "1s"),
	); err != nil {
		return err
	}
	lift()
	if err := a.awaitAnswer(ctx, `"hold"`, `"BreakerOpen"`); err != nil {
		return err
	}
	err = a.await(ctx, "the second revision to serve", func(s state) bool {
		return healthy(s) && s.hash != before.hash
	})
	all, also := a.measurements(ctx)
	for _, m := range all {
		if m.phase == "Failed" {
			err = errors.Join(err, fmt.Errorf("a measurement is %+v", m))
		}
	}
	return errors.Join(err, also)
}
