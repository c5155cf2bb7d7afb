package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// indexHeld finds held pods in the cache without walking the others.
const indexHeld = "pullpace.dev/held"

// heldIndex is the value of indexHeld for a pod.
func heldIndex(o client.Object) []string {
	if pod, ok := o.(*corev1.Pod); ok && gate.Gated(pod) {
		return []string{"true"}
	}
	return nil
}

// boundEvery is how often every replica looks for holds that must end; one pod
// goes each time, so that the end of many bounds is a drip.
const boundEvery = time.Second

// bound ends holds whose hold-until has passed, on every replica, whether it leads
// or not. While turns complete it leaves them to the engine, which lets them go
// in its order and at the pace of the refill.
type bound struct {
	client   client.Client
	releaser *releaser
	events   recorder.EventRecorder
	metrics  *Metrics
	clock    clock.PassiveClock
	// beating reports whether turns complete.
	beating func() bool
}

// NeedLeaderElection says that every replica does it.
func (b *bound) NeedLeaderElection() bool { return false }

// Start looks for expired holds until ctx ends. It implements manager.Runnable.
func (b *bound) Start(ctx context.Context) error {
	tick := time.NewTicker(boundEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := b.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "expired hold not ended")
		}
	}
}

// look lets one node, pod or Job go if a hold is overdue and nobody takes turns.
func (b *bound) look(ctx context.Context) error {
	if b.beating() {
		return nil
	}
	now := b.clock.Now()
	var pods corev1.PodList
	if err := b.client.List(ctx, &pods, client.MatchingFields{indexHeld: "true"}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing held pods: %w", err)
	}
	if done, err := b.lookAtNodes(ctx, now); done || err != nil {
		return err
	}
	pod := overdue(pods.Items, now)
	if pod == nil {
		return b.lookAtJobs(ctx, now)
	}
	letting := gate.Letting{Mark: v1alpha1.ReleaseMark{Time: now.UTC(), Reason: string(core.HoldExpired)}}
	if err := b.releaser.release(ctx, pod, letting); err != nil {
		if errors.Is(err, errGone) {
			return nil
		}
		return err
	}
	b.metrics.released(core.HoldExpired)
	b.events.Eventf(pod, nil, corev1.EventTypeWarning, string(core.HoldExpired), "Release", "let go: %s, and no turn was completed for %s", text(core.HoldExpired), heartbeat.Fresh)
	return nil
}

// overdue is the pod whose hold should have ended first; nil: none is overdue.
func overdue(pods []corev1.Pod, now time.Time) *corev1.Pod {
	var due []*corev1.Pod
	for i := range pods {
		if until := gate.HoldUntil(&pods[i]); !until.IsZero() && until.Before(now) && !gate.ForeignGate(&pods[i]) {
			due = append(due, &pods[i])
		}
	}
	if len(due) == 0 {
		return nil
	}
	return slices.MinFunc(due, func(a, b *corev1.Pod) int { return gate.HoldUntil(a).Compare(gate.HoldUntil(b)) })
}
