package failsafe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// The Reasons of the closed list that a failsafe gives; the list itself belongs to
// the decision code.
const (
	reasonFailsafe    = "Failsafe"
	reasonHoldExpired = "HoldExpired"
	reasonRefused     = "ReleaseRefused"
)

// lookEvery is how often it looks; one expired hold goes each time at most.
const lookEvery = time.Second

// When the controller is gone, everything is free freeWithin after its last turn, and
// in no less than leastSpread from when this was noticed: it may have been
// noticed late.
const (
	freeWithin  = 5 * time.Minute
	leastSpread = 30 * time.Second
)

// An object rests after it was freed until the cache has seen it, and longer after
// the API server refused to free it.
const (
	restFreed   = 10 * time.Second
	restRefused = 30 * time.Second
)

// Failsafe watches the heartbeat and what is held. One goroutine uses it.
type Failsafe struct {
	// client reads held objects from a cache, live reads past it.
	client client.Client
	live   client.Reader
	events recorder.EventRecorder
	clock  clock.PassiveClock
	// turns is the heartbeat of the controller, heart our own.
	turns client.ObjectKey
	heart *heartbeat.Writer
	// metrics are what Prometheus is told.
	metrics *Metrics

	watch heartbeat.Watch
	// began is when the controller was found gone, next when the next objects go.
	began, next time.Time
	resting     map[types.UID]time.Time
}

// Start looks until ctx ends. It implements manager.Runnable.
func (f *Failsafe) Start(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "not looked after holds")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look looks once, and says that it did.
func (f *Failsafe) look(ctx context.Context) error {
	now := f.clock.Now()
	if err := f.see(ctx, now); err != nil {
		return err
	}
	held, err := f.held(ctx, now)
	if err != nil {
		return err
	}
	since, gone := f.watch.Gone(now)
	f.metrics.looked(now, gone, len(held))
	if gone {
		f.freeAll(ctx, now, since, held)
	} else {
		f.began, f.next = time.Time{}, time.Time{}
		f.freeDue(ctx, now, held)
	}
	return f.heart.Beat(ctx, now)
}

// see looks at the heartbeat itself, not at a cache that may be cut off.
func (f *Failsafe) see(ctx context.Context, now time.Time) error {
	var lease coordinationv1.Lease
	err := f.live.Get(ctx, f.turns, &lease)
	switch {
	case err == nil:
		f.watch.See(&lease, now)
	case apierrors.IsNotFound(err):
		f.watch.See(nil, now)
	default:
		return fmt.Errorf("reading the heartbeat: %w", err)
	}
	return nil
}

// held are the objects that Pace holds and that do not rest, in the order in which
// they go: nodes, then what pulls by its bound, then workloads whose fields wait
// for their pods.
func (f *Failsafe) held(ctx context.Context, now time.Time) ([]client.Object, error) {
	for uid, until := range f.resting {
		if !now.Before(until) {
			delete(f.resting, uid)
		}
	}
	var all []client.Object
	for _, list := range []client.ObjectList{&corev1.PodList{}, &corev1.NodeList{}, &appsv1.DeploymentList{}, &batchv1.JobList{}} {
		// Not copied: of thousands of nodes few are held, and what is let go is copied first.
		if err := f.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing what is held: %w", err)
		}
		all = append(all, items(list)...)
	}
	all = slices.DeleteFunc(all, func(o client.Object) bool {
		_, rests := f.resting[o.GetUID()]
		return rests || !holds(o) || o.GetDeletionTimestamp() != nil
	})
	slices.SortFunc(all, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), bound(a).Compare(bound(b)),
			a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all, nil
}

// holds reports whether Pace holds an object: its label says so, or it is a node with
// our taint. A node that registered with the taint has no label until a controller saw it.
func holds(o client.Object) bool {
	if _, marked := o.GetLabels()[v1alpha1.LabelHeld]; marked {
		return true
	}
	node, ok := o.(*corev1.Node)
	return ok && gate.NodeHeld(node)
}

// bound is when the hold of an object ends; zero: it does not say. A node that registered
// with our taint, and that no controller saw, is held as long as one is by default.
func bound(o client.Object) time.Time {
	until := gate.HoldUntil(o)
	if _, isNode := o.(*corev1.Node); isNode && until.IsZero() {
		return o.GetCreationTimestamp().Add(v1alpha1.DefaultNodeHold)
	}
	return until
}

// items are the objects of a list.
func items(list client.ObjectList) (out []client.Object) {
	_ = meta.EachListItem(list, func(o runtime.Object) error { // fails for what is no list
		out = append(out, o.(client.Object))
		return nil
	})
	return out
}

// rank puts nodes first, and last the Deployments: their fields are what keeps old
// pods serving while new ones are held.
func rank(o client.Object) int {
	switch o.(type) {
	case *corev1.Node:
		return 0
	case *appsv1.Deployment:
		return 2
	}
	return 1
}

// freeAll lets everything go, spread evenly over what is left of the time. It keeps
// no count: what is held now is divided by the time that remains, so that neither a
// restart nor an object that comes late can make it late.
func (f *Failsafe) freeAll(ctx context.Context, now, since time.Time, held []client.Object) {
	if f.began.IsZero() {
		f.began = now
		log.FromContext(ctx).Info("the controller is gone: letting go", "since", since, "objects", len(held))
	}
	end := since.Add(freeWithin)
	if least := f.began.Add(leastSpread); end.Before(least) {
		end = least
	}
	pulling := slices.DeleteFunc(slices.Clone(held), func(o client.Object) bool { return rank(o) == 2 })
	if len(pulling) == 0 || !now.Before(end) {
		for _, o := range held[len(pulling):] {
			f.free(ctx, now, o, reasonFailsafe)
		}
	}
	for _, o := range pulling[:f.share(now, end, len(pulling))] {
		f.free(ctx, now, o, reasonFailsafe)
	}
}

// share is how many of n go now so that the last goes at the end.
func (f *Failsafe) share(now, end time.Time, n int) int {
	left := end.Sub(now)
	if left < lookEvery {
		return n
	}
	if f.next.IsZero() {
		f.next = now
	}
	going := 0
	for every := left / time.Duration(max(n, 1)); going < n && !now.Before(f.next); going++ {
		f.next = f.next.Add(every)
	}
	return going
}

// freeDue ends one hold whose bound has passed. While turns complete the controller
// does it, at the pace of the refill; what the API server refuses to let it do is
// tried from here, by another account.
func (f *Failsafe) freeDue(ctx context.Context, now time.Time, held []client.Object) {
	fresh := f.watch.Fresh(now)
	for _, o := range held {
		until := bound(o)
		if until.IsZero() || now.Before(until) || (fresh && !refused(o) && !late(o, now)) {
			continue
		}
		if pod, ok := o.(*corev1.Pod); ok && gate.ForeignGate(pod) {
			continue
		}
		f.free(ctx, now, o, reasonHoldExpired)
		return
	}
}

// nodeGrace is how long after its bound a node is left to a controller that takes
// turns. Autoscalers wait 15 min for a node to start, of which the bound takes 10.
const nodeGrace = 3 * time.Minute

// late reports whether a node is held so long after its bound that an autoscaler would
// give it up, as where the controller lost the right to let it go.
func late(o client.Object, now time.Time) bool {
	_, isNode := o.(*corev1.Node)
	return isNode && !now.Before(bound(o).Add(nodeGrace))
}

// refused reports whether the controller was refused to let a pod go.
func refused(o client.Object) bool {
	pod, ok := o.(*corev1.Pod)
	return ok && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == v1alpha1.ConditionHeld && c.Status == corev1.ConditionTrue && c.Reason == reasonRefused
	})
}

// free takes the hold off one object. It is locked to the object as it was seen: a
// controller that came back and wrote first wins.
func (f *Failsafe) free(ctx context.Context, now time.Time, o client.Object, reason string) {
	next := o.DeepCopyObject().(client.Object)
	if !gate.Lift(next, v1alpha1.ReleaseMark{Time: now.UTC(), Reason: reason}) {
		f.rest(o, now.Add(restRefused)) // the label alone is not ours to explain
		return
	}
	patch := client.StrategicMergeFrom(o, client.MergeFromWithOptimisticLock{})
	err := f.client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
	logger := log.FromContext(ctx).WithValues("object", client.ObjectKeyFromObject(o).String(), "reason", reason)
	switch {
	case err == nil:
		f.rest(o, now.Add(restFreed))
		f.metrics.letGo(reason)
		logger.Info("let go")
		f.events.Eventf(o, nil, corev1.EventTypeWarning, reason, "Release", "let go by the failsafe: %s", why(reason))
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		// Gone, or changed since: the next look decides on it as it is.
	default:
		f.rest(o, now.Add(restRefused))
		f.metrics.errors.Inc()
		logger.Error(err, "not let go")
	}
}

func (f *Failsafe) rest(o client.Object, until time.Time) {
	if f.resting == nil {
		f.resting = map[types.UID]time.Time{}
	}
	f.resting[o.GetUID()] = until
}

// why explains a Reason in a few words.
func why(reason string) string {
	if reason == reasonFailsafe {
		return "no turn was completed for " + heartbeat.Gone.String()
	}
	return "its hold-until passed, and the controller did not let it go"
}
