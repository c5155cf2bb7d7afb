package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// eachAtOnce is how many pods of a workload have an Event of their own when the same is
// said of all of them at once. Of more the workload has one: a cluster keeps Events of
// an hour, and a rollout of thousands of pods must not push out those of others.
const eachAtOnce = 5

// crowd is the pods of a workload that go at once for one Reason.
type crowd struct {
	owner  kube.Owner
	reason core.Reason
}

// crowdFor is how long after a crowd went it is told on the workload what more of it goes:
// a turn lets only so many go, and the rest goes in the next ones.
const crowdFor = time.Minute

// crowds counts the pods that went of each workload for each Reason, where they are too
// many to tell of each, are so with those that follow, or were so a moment ago.
func (t *Turn) crowds(leaving []*going) map[crowd][]*going {
	now := t.clock.Now()
	all, with := map[crowd][]*going{}, map[crowd]int{}
	for _, g := range leaving {
		if g.pod != nil && g.job == nil && g.err == nil && toldOn(kube.OwnerOf(g.pod)) {
			c := crowd{kube.OwnerOf(g.pod), g.reason}
			all[c] = append(all[c], g)
			with[c] = max(with[c], len(all[c]), g.with)
		}
	}
	maps.DeleteFunc(t.crowdedAt, func(_ kube.Owner, at time.Time) bool { return now.Sub(at) >= crowdFor })
	maps.DeleteFunc(all, func(c crowd, _ []*going) bool { return with[c] <= eachAtOnce && t.crowdedAt[c.owner].IsZero() })
	for c := range all {
		t.crowdedAt[c.owner] = now
	}
	return all
}

// sayOfCrowds tells on workloads of pods that went in crowds.
func (t *Turn) sayOfCrowds(ctx context.Context, all map[crowd][]*going) {
	order := func(a, b crowd) int {
		return cmp.Or(cmp.Compare(a.owner.String(), b.owner.String()), cmp.Compare(a.reason, b.reason))
	}
	for _, c := range slices.SortedFunc(maps.Keys(all), order) {
		if object := t.explainer.workload(ctx, t.world.tracker, c.owner); object != nil {
			t.say(object, corev1.EventTypeNormal, c.reason,
				cut(fmt.Sprintf("let %s go: %s%s", plural(len(all[c]), "pod"), text(c.reason), t.orders.who(all[c][0].pod, c.reason)), maxNote))
		}
	}
}

// toldOn reports whether a workload is of a kind on which Events are told.
func toldOn(owner kube.Owner) bool {
	return owner.Kind == "Deployment" || owner.Kind == "Job" || owner.Kind == kube.RolloutKind
}

// workload reads a workload on which Events are told; nil: it is gone, or not in the
// cache yet.
func (e *explainer) workload(ctx context.Context, t *kube.Tracker, owner kube.Owner) client.Object {
	var object client.Object
	switch owner.Kind {
	case "Deployment":
		object = &appsv1.Deployment{}
	case "Job":
		object = &batchv1.Job{}
	case kube.RolloutKind:
		if rollout := t.RolloutOf(owner); rollout != nil {
			return rollout
		}
		return nil
	default:
		return nil
	}
	if e.client.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, object) != nil {
		return nil
	}
	return object
}
