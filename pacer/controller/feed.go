package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// feed collects changes of objects between two turns. Of an object that changes
// more than once only the last state is kept. It is safe for concurrent use.
type feed struct {
	mu      sync.Mutex
	changes map[changeKey]change
	// outdated are states that another came after before they were taken, and that
	// carried an order which the other does not.
	outdated []change
	// autoscaler says that a cluster-autoscaler is there.
	autoscaler bool
	// signal has one element while there is something to take.
	signal chan struct{}
}

// changeKey names an object; the uid tells a pod from its successor of the same
// name.
type changeKey struct {
	kind                 int
	namespace, name, uid string
}

// change is the last state of an object.
type change struct {
	object client.Object
	gone   bool
}

// kinds are the watched objects in the order in which a turn takes them in: what
// rules pods comes before them.
func kinds() []client.Object {
	return []client.Object{
		&corev1.Namespace{}, &v1alpha1.PacePolicy{}, &v1alpha1.PullBudget{}, &appsv1.DaemonSet{}, &corev1.Node{},
		&appsv1.Deployment{}, &appsv1.ReplicaSet{}, &batchv1.Job{}, &corev1.Pod{},
	}
}

const podKind = 8

// Kinds that not every cluster has: what they say of nodes is taken in before nodes.
const (
	nodePoolKind  = -2
	nodeClaimKind = -1
)

func newFeed() *feed { return &feed{changes: map[changeKey]change{}, signal: make(chan struct{}, 1)} }

// wake makes the signal readable.
func (f *feed) wake() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

// setAutoscaler notes whether a cluster-autoscaler is there.
func (f *feed) setAutoscaler(there bool) {
	f.mu.Lock()
	changed := f.autoscaler != there
	f.autoscaler = there
	f.mu.Unlock()
	if changed {
		f.wake()
	}
}

// hasAutoscaler reports whether a cluster-autoscaler is there.
func (f *feed) hasAutoscaler() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.autoscaler
}

// put takes a change in, and has a turn be taken for it.
func (f *feed) put(kind int, object client.Object, gone bool) {
	f.keep(kind, object, gone)
	f.wake()
}

// changed takes an object in as it is now. The heartbeat of a node is for the next turn
// that is taken for anything else: kubelets send one every five minutes, which in a large
// cluster are many a second.
func (f *feed) changed(kind int, before, after client.Object) {
	f.keep(kind, after, false)
	if !onlyBeat(before, after) {
		f.wake()
	}
}

func (f *feed) keep(kind int, object client.Object, gone bool) {
	key := changeKey{kind: kind, namespace: object.GetNamespace(), name: object.GetName()}
	if kind == podKind {
		key.uid = string(object.GetUID())
	}
	f.mu.Lock()
	if before, waits := f.changes[key]; waits && len(f.outdated) < maxOutdated && ordersDiffer(before.object, object) {
		f.outdated = append(f.outdated, before)
	}
	f.changes[key] = change{object: object, gone: gone}
	f.mu.Unlock()
}

// maxOutdated bounds the orders that a turn is told of beside the last of each object:
// whoever may annotate may do so in a loop.
const maxOutdated = 256

// takeOutdated returns the states with orders that are none any more, oldest first. What
// they ordered is over, and is to be told all the same.
func (f *feed) takeOutdated() []change {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.outdated
	f.outdated = nil
	return out
}

// take returns the changes in the order in which they are to be taken in.
func (f *feed) take() []change {
	f.mu.Lock()
	changes := f.changes
	f.changes = map[changeKey]change{}
	f.mu.Unlock()
	keys := make([]changeKey, 0, len(changes))
	for key := range changes {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b changeKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), comparePods(changes[a], changes[b]),
			cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name), cmp.Compare(a.uid, b.uid))
	})
	out := make([]change, len(keys))
	for i, key := range keys {
		out[i] = changes[key]
	}
	return out
}

// comparePods puts ends first, then pods that are not held, then held pods by
// age: what a held pod is for depends on how many others live.
func comparePods(a, b change) int {
	p, isPod := a.object.(*corev1.Pod)
	q, isPodToo := b.object.(*corev1.Pod)
	if !isPod || !isPodToo {
		return 0
	}
	rank := func(c change, p *corev1.Pod) int {
		switch {
		case c.gone:
			return 0
		case gate.Gated(p):
			return 2
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a, p), rank(b, q)), p.CreationTimestamp.Compare(q.CreationTimestamp.Time))
}

// subscribe connects the feed with the informers of a cache and waits until it
// has seen what is there. The returned function disconnects it.
func (f *feed) subscribe(ctx context.Context, c cache.Cache) (stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, u := range undo {
			u()
		}
	}
	var synced []toolscache.InformerSynced
	for kind, object := range kinds() {
		has, end, err := f.connect(ctx, c, kind, object)
		if err != nil {
			stop()
			return nil, err
		}
		undo, synced = append(undo, end), append(synced, has)
	}
	if !waitFor(ctx, synced) {
		stop()
		return nil, ctx.Err()
	}
	return stop, nil
}

// connect connects the feed with one informer. The returned functions tell whether all
// that is there was seen, and disconnect it.
func (f *feed) connect(ctx context.Context, c cache.Cache, kind int, object client.Object, how ...cache.InformerGetOption) (synced toolscache.InformerSynced, end func(), err error) {
	informer, err := c.GetInformer(ctx, object, how...)
	if err != nil {
		return nil, nil, fmt.Errorf("watching %T: %w", object, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { f.put(kind, o.(client.Object), false) },
		UpdateFunc: func(before, o any) { f.changed(kind, before.(client.Object), o.(client.Object)) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			if object, ok := o.(client.Object); ok {
				f.put(kind, object, true)
			}
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("watching %T: %w", object, err)
	}
	return registration.HasSynced, func() { _ = informer.RemoveEventHandler(registration) }, nil
}

// waitFor waits until all report true; false when ctx ended first.
func waitFor(ctx context.Context, synced []toolscache.InformerSynced) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if !slices.ContainsFunc(synced, func(s toolscache.InformerSynced) bool { return !s() }) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
