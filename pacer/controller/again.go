package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

// againEvery is how often a Rollout is let go on at most: Argo needs a moment to ask.
const againEvery = 15 * time.Second

// goneOn is when each Rollout was last written.
type goneOn map[kube.Owner]time.Time

// resumeRollout clears why a Rollout pauses and nothing else: that Argo itself paused it
// stays, by which it knows to make a new run of the same step. To move the step would
// skip the gate. Source: needsNewAnalysisRun in rollout/analysis.go of 1.10.1.
const resumeRollout = `{"status":{"pauseConditions":null}}`

// abortRollout has Argo go back, whatever its analyses say. Where it waits for pods that
// cannot come (subset routing of Istio), it does not look at those.
const abortRollout = `{"status":{"abort":true}}`

// askAgain lets Rollouts go on that Argo paused since we held, now that we would not:
// to be let go, or to be told to go back.
func (t *Turn) askAgain(ctx context.Context, now time.Time) {
	paused := t.world.tracker.Paused()
	for owner := range t.again {
		if _, still := paused[owner]; !still {
			delete(t.again, owner)
		}
	}
	for owner, runs := range paused {
		if now.Sub(t.again[owner]) < againEvery || !t.wouldTell(runs) {
			continue
		}
		if t.again == nil {
			t.again = goneOn{}
		}
		t.again[owner] = now
		if t.writeRollout(ctx, owner, resumeRollout) {
			t.events.Eventf(t.world.tracker.RolloutOf(owner), nil, corev1.EventTypeNormal, string(core.Budget), "Resume", "%s", "let go on: it is known now what to answer, and Argo asks again")
		}
	}
}

// abortBad aborts Rollouts of which an image cannot be pulled, where a policy says so.
func (t *Turn) abortBad(ctx context.Context, now time.Time, d engine.Decision) {
	for _, f := range d.Failing {
		owner, ok := kube.ParseOwner(f.Workload)
		if !ok || owner.Kind != kube.RolloutKind || now.Sub(t.aborted[owner]) < againEvery || !t.world.tracker.ToAbort(owner, f.Revision) {
			continue
		}
		why, bad := t.badImage(kube.Step{Namespace: owner.Namespace, Rollout: owner.Name, Hash: f.Revision}, d)
		if !bad {
			continue
		}
		if t.aborted == nil {
			t.aborted = goneOn{}
		}
		t.aborted[owner] = now
		if t.writeRollout(ctx, owner, abortRollout) {
			t.events.Eventf(t.world.tracker.RolloutOf(owner), nil, corev1.EventTypeWarning, string(core.ImageFailing), "Abort", "%s", cut("aborted: "+why, maxNote))
		}
	}
}

// writeRollout patches the status of a Rollout and reports whether it did.
func (t *Turn) writeRollout(ctx context.Context, owner kube.Owner, patch string) bool {
	fresh := kube.NewRollout()
	fresh.SetNamespace(owner.Namespace)
	fresh.SetName(owner.Name)
	err := t.releaser.client.Status().Patch(ctx, fresh, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(v1alpha1.FieldManager))
	if err != nil {
		log.FromContext(ctx).Error(err, "rollout not written: is the ClusterRole pacer-rollouts-act there?", "rollout", owner.String())
	}
	return err == nil
}

// wouldTell reports whether one of the runs would be told to abort now, or every one
// would be allowed.
func (t *Turn) wouldTell(runs []kube.Run) bool {
	all := true
	for _, run := range runs {
		switch t.claims.decision(run.Step) {
		case kube.Abort:
			return true
		case kube.Allow:
		default:
			all = false
		}
	}
	return all
}
