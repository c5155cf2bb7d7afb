package controller

import (
	"context"
	"sync"
	"sync/atomic"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// heldCount is how many pods are held in each namespace, with those that held Jobs will
// make. Admission asks for each pod that is created: to list them would cost more with
// every pod that is held. It is safe for concurrent use.
type heldCount struct {
	mu sync.RWMutex
	// counts is what each held object counts in its namespace, sums what all of it do.
	counts map[heldObject]int
	sums   map[string]int
	// seen says that what was there at the start is counted.
	seen atomic.Bool
}

// heldObject is a held pod or Job.
type heldObject struct {
	namespace string
	uid       types.UID
}

func newHeldCount() *heldCount {
	return &heldCount{counts: map[heldObject]int{}, sums: map[string]int{}}
}

// in is how many pods of a namespace are held; an error: that is not known yet.
func (h *heldCount) in(namespace string) (int, error) {
	if !h.seen.Load() {
		return 0, errNotYet("held pods are not counted yet")
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sums[namespace], nil
}

// see takes in a pod or Job.
func (h *heldCount) see(o client.Object) { h.count(o, heldPods(o)) }

// gone takes in the end of a pod or Job.
func (h *heldCount) gone(o client.Object) { h.count(o, 0) }

func (h *heldCount) count(o client.Object, n int) {
	id := heldObject{o.GetNamespace(), o.GetUID()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sums[id.namespace] += n - h.counts[id]
	if h.counts[id] = n; n == 0 {
		delete(h.counts, id)
	}
	if h.sums[id.namespace] == 0 {
		delete(h.sums, id.namespace)
	}
}

// heldPods is for how many held pods an object stands.
func heldPods(o client.Object) int {
	switch o := o.(type) {
	case *corev1.Pod:
		if gate.Gated(o) {
			return 1
		}
	case *batchv1.Job:
		if _, marked := o.Labels[v1alpha1.LabelHeld]; marked && gate.Suspended(o) {
			return kube.JobPods(o)
		}
	}
	return 0
}

// heldWatch keeps the count up to date, on every replica.
type heldWatch struct {
	cache cache.Cache
	held  *heldCount
}

// NeedLeaderElection says that every replica admits.
func (w *heldWatch) NeedLeaderElection() bool { return false }

// Start watches pods and Jobs until ctx ends. It implements manager.Runnable.
func (w *heldWatch) Start(ctx context.Context) error {
	seen, stop, err := follow(ctx, w.cache, w.held.see, w.held.gone, &corev1.Pod{}, &batchv1.Job{})
	if err != nil {
		return err
	}
	defer stop()
	w.held.seen.Store(seen)
	<-ctx.Done()
	return nil
}
