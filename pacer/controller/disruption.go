package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// disruptionAgain is how long a NodePool is left as it is after it was written, or after
// that was refused: units come and go by the second, and nodes are replaced by the hour.
const disruptionAgain = 2 * time.Minute

// disruption keeps Karpenter from replacing nodes of its own accord while units are
// short, where the policy asks for it. All it goes by is on the NodePools: a new leader
// goes on where the last one ended. Only the turn uses it.
type disruption struct {
	client client.Client
	events recorder.EventRecorder
	// written is when each NodePool was written last.
	written map[string]time.Time
}

func newDisruption(c client.Client, events recorder.EventRecorder) *disruption {
	return &disruption{client: c, events: events, written: map[string]time.Time{}}
}

// settle brings NodePools to what they should be after a decision.
func (x *disruption) settle(ctx context.Context, now time.Time, w *world, d engine.Decision) {
	wanted := w.tracker.PausesDisruption()
	short := shortOf(d)
	for _, name := range slices.Sorted(maps.Keys(w.nodePools)) {
		pool := w.nodePools[name]
		low := wanted && slices.ContainsFunc(w.tracker.NodePoolAccounts(name), func(id core.AccountID) bool { return short[id] })
		if low == gate.DisruptionPaused(pool) || now.Sub(x.written[name]) < disruptionAgain {
			continue
		}
		x.written[name] = now
		x.write(ctx, now, pool, low)
	}
}

// shortOf are the accounts of which somebody waits for units, or a rollout would.
func shortOf(d engine.Decision) map[core.AccountID]bool {
	short := map[core.AccountID]bool{}
	for _, a := range d.Accounts {
		short[a.Account] = !a.Unlimited && (a.Held > 0 || a.Available[core.ClassRollout] <= 0)
	}
	return short
}

// write pauses or resumes the disruption of one NodePool.
func (x *disruption) write(ctx context.Context, now time.Time, pool *unstructured.Unstructured, low bool) {
	next := pool.DeepCopy()
	reason, note, changed := core.WaitingForBudget, "no node is replaced while units are short: a disruption budget of 0 nodes is added", false
	if low {
		changed = gate.PauseDisruption(next, now)
	} else {
		reason, note = core.Budget, "there are units: the disruption budget of 0 nodes is taken off"
		changed = gate.ResumeDisruption(next)
	}
	if !changed {
		return
	}
	lock := client.MergeFromWithOptions(pool, client.MergeFromWithOptimisticLock{})
	err := x.client.Patch(ctx, next, lock, client.FieldOwner(v1alpha1.FieldManager))
	switch {
	case err == nil:
		x.events.Eventf(pool, nil, corev1.EventTypeNormal, string(reason), "Disruption", "%s", note)
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		delete(x.written, pool.GetName()) // as it is by then
	default:
		log.FromContext(ctx).Error(err, "disruption not changed", "nodepool", pool.GetName())
		if refusal(err) {
			x.events.Eventf(pool, nil, corev1.EventTypeWarning, string(core.ReleaseRefused), "Disruption", "the API server refused to have its disruption budgets changed: %s", cut(err.Error(), maxNote))
		}
	}
}
