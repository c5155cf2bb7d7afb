//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
)

// grace is how long after its bound a pod may still be held: expired holds are let go
// one by one at the rate of the refill, and nobody lets go while the API server does
// not answer.
const grace = 75 * time.Second

// recovery is how long the status of a Deployment may take to show what hurt it.
const recovery = 20 * time.Second

// watcher follows every pod and Deployment of a round from its beginning.
type watcher struct {
	violate func(format string, args ...any)

	mu   sync.Mutex
	pods map[types.UID]*life
	// floors are by namespace and name.
	floors map[string]*floor
}

// life is what is known of one pod.
type life struct {
	namespace, name, image string
	// gated says that it was held, at least for a moment; reason is why it was let go,
	// and loose when it went without fitting.
	gated  bool
	reason string
	loose  time.Time
	until  time.Time
	held   bool
	gone   bool
	told   bool
}

// floor is below what the ready pods of a Deployment may not fall.
type floor struct {
	missing int32 // of 100
	// full is how many were ready when all were last; 0: not yet, or not since it was
	// hurt by something that is not Pace's to answer for.
	full int32
	// hurt is when it was: for a while after that its status says nothing of it yet.
	hurt time.Time
	told bool
}

func newWatcher(violate func(string, ...any)) *watcher {
	return &watcher{violate: violate, pods: map[types.UID]*life{}, floors: map[string]*floor{}}
}

// start watches until ctx ends.
func (w *watcher) start(ctx context.Context, c kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(c, 0)
	pods, deployments := factory.Core().V1().Pods().Informer(), factory.Apps().V1().Deployments().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.pod(o, false) },
		UpdateFunc: func(_, o any) { w.pod(o, false) },
		DeleteFunc: func(o any) { w.pod(o, true) },
	}); err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	if _, err := deployments.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: w.deployment, UpdateFunc: func(_, o any) { w.deployment(o) },
	}); err != nil {
		return fmt.Errorf("watching deployments: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go w.tick(ctx)
	return nil
}

// tick looks for holds that outlive their bound.
func (w *watcher) tick(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, late := range w.late(now) {
				w.violate("%s", late)
			}
		}
	}
}

// late are pods that are held past their bound, each once.
func (w *watcher) late(now time.Time) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.pods {
		if l.held && !l.gone && !l.told && !l.until.IsZero() && now.Sub(l.until) > grace {
			l.told = true
			out = append(out, fmt.Sprintf("pod %s/%s is held %s past its bound", l.namespace, l.name, now.Sub(l.until).Round(time.Second)))
		}
	}
	slices.Sort(out)
	return out
}

func (w *watcher) pod(o any, gone bool) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	p, ok := o.(*corev1.Pod)
	if !ok || len(p.Spec.Containers) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.pods[p.UID]
	if l == nil {
		l = &life{namespace: p.Namespace, name: p.Name, image: p.Spec.Containers[0].Image, loose: p.CreationTimestamp.Time}
		w.pods[p.UID] = l
	}
	l.gone, l.held = gone, stage.Held(p)
	l.gated = l.gated || l.held || stage.Released(p)
	l.until, _ = time.Parse(time.RFC3339, p.Annotations[v1alpha1.AnnotationHoldUntil])
	if mark, err := v1alpha1.ParseReleaseMark(p.Annotations[v1alpha1.AnnotationRelease]); err == nil && stage.Released(p) {
		l.reason, l.loose = mark.Reason, mark.Time
	}
}

// promise makes the watcher hold Pace to the strategy of a Deployment.
func (w *watcher) promise(namespace, name string, missing int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.floors[namespace+"/"+name] = &floor{missing: missing}
}

// hurt forgives a Deployment what it lacks until all its pods are ready again.
func (w *watcher) hurt(namespace, name string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.floors[namespace+"/"+name]; f != nil {
		f.full, f.hurt = 0, now
	}
}

func (w *watcher) hurtAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.floors {
		f.full, f.hurt = 0, time.Now()
	}
}

func (w *watcher) deployment(o any) {
	d, ok := o.(*appsv1.Deployment)
	if !ok {
		return
	}
	if below := w.judge(d, time.Now()); below != "" {
		w.violate("%s", below)
	}
}

// judge compares the ready pods with the floor.
func (w *watcher) judge(d *appsv1.Deployment, now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.floors[d.Namespace+"/"+d.Name]
	if f == nil {
		return ""
	}
	ready, wanted := d.Status.ReadyReplicas, *d.Spec.Replicas
	f.full = min(f.full, wanted)
	if now.Sub(f.hurt) > recovery && ready >= wanted && d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == wanted && d.Status.Replicas == wanted {
		f.full = wanted
	}
	least := f.full - f.full*f.missing/100
	if ready >= least || f.told {
		return ""
	}
	f.told = true
	return fmt.Sprintf("deployment %s/%s has %d ready pods of %d, its strategy promises %d", d.Namespace, d.Name, ready, wanted, least)
}

// loose are pods of an account that nobody counted on: they slipped by while nothing
// held, or were let go for another reason than that they fit.
func (w *watcher) loose(namespace, host string) (out []span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.pods {
		if l.namespace != namespace || !strings.HasPrefix(l.image, host+"/") {
			continue
		}
		switch {
		case !l.gated:
			out = append(out, span{l.loose, l.loose, "pods slipped by"})
		case slices.Contains([]string{"Override", "HoldExpired", "FailOpen", "Failsafe"}, l.reason):
			out = append(out, span{l.loose, l.loose, "released with Reason " + l.reason})
		}
	}
	return out
}

// holding says whether a pod of the namespace is held now.
func (w *watcher) holding(namespace string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.pods {
		if l.namespace == namespace && l.held && !l.gone {
			return true
		}
	}
	return false
}
