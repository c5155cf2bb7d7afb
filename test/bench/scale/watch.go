//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/test/e2e/stage"
)

// tally is how the pods of a namespace stand, as a watch brings it: to list thousands of
// them time and again would be most of what is measured.
type tally struct {
	mu     sync.Mutex
	held   map[types.UID]bool
	wentAt map[types.UID]time.Time
}

// watch begins to count the pods of a namespace, until ctx ends.
func watch(ctx context.Context, client kubernetes.Interface, namespace string) (*tally, error) {
	t := &tally{held: map[types.UID]bool{}, wentAt: map[types.UID]time.Time{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace), informers.WithTransform(trim))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: t.see, UpdateFunc: func(_, o any) { t.see(o) }})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return t, context.Cause(ctx)
}

// trim keeps of a pod what is counted.
func trim(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Annotations: p.Annotations},
		Spec:       corev1.PodSpec{SchedulingGates: p.Spec.SchedulingGates},
	}, nil
}

func (t *tally) see(o any) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[p.UID] = gate.Gated(p); t.held[p.UID] {
		return
	}
	delete(t.held, p.UID)
	if t.wentAt[p.UID].IsZero() && stage.Released(p) {
		t.wentAt[p.UID] = now
	}
}

// counts are how many are held, and how many were let go.
func (t *tally) counts() (held, went int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.held), len(t.wentAt)
}

// span is from the first release that was seen to the last.
func (t *tally) span() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first, last time.Time
	for _, at := range t.wentAt {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(first)
}

// await returns when the counts are as wanted.
func (t *tally) await(ctx context.Context, what string, ok func(held, went int) bool) error {
	return stage.Poll(ctx, what, func(context.Context) (bool, string, error) {
		held, went := t.counts()
		return ok(held, went), fmt.Sprintf("%d held, %d let go", held, went), nil
	})
}
