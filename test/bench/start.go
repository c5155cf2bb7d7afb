//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/pullpace/pace/test/bench/measure"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
)

// plain is the namespace that is not paced.
const plain = "bench-plain"

// most is what Pace may add to the start of a pod at p99 while there is budget.
const most = time.Second

type bench struct {
	settings
	paced *stage.Stage
}

// starts are the times of pods as a watch brought them: objects have whole seconds.
type starts struct {
	mu   sync.Mutex
	pods map[types.UID]*start
}

type start struct {
	namespace                string
	seen, scheduled, running time.Time
}

func (s *starts) see(o any) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := s.pods[p.UID]
	if pod == nil {
		pod = &start{namespace: p.Namespace, seen: now}
		s.pods[p.UID] = pod
	}
	if pod.scheduled.IsZero() && p.Spec.NodeName != "" {
		pod.scheduled = now
	}
	if pod.running.IsZero() && p.Status.Phase == corev1.PodRunning {
		pod.running = now
	}
}

// times are those of a namespace's pods, in order: to being bound, to running.
func (s *starts) times(namespace string) (bound, running []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pods {
		if p.namespace == namespace && !p.running.IsZero() {
			bound, running = append(bound, p.scheduled.Sub(p.seen)), append(running, p.running.Sub(p.seen))
		}
	}
	slices.Sort(bound)
	slices.Sort(running)
	return bound, running
}

// watch begins anew.
func (b *bench) watch(ctx context.Context) (*starts, error) {
	s := &starts{pods: map[types.UID]*start{}}
	factory := informers.NewSharedInformerFactory(b.paced.Cluster.Client(), 0)
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: s.see, UpdateFunc: func(_, o any) { s.see(o) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return s, nil
}

// compare starts the same Deployments in turns where Pace is and where it is not.
func (b *bench) compare(ctx context.Context) error {
	warm := "warm"
	if err := b.paced.Push(ctx, b.paced.Image(warm)); err != nil {
		return err
	}
	// Once for nothing, so that the image is there.
	if err := b.turn(ctx, plain, "first", b.paced.Image(warm)); err != nil {
		return err
	}
	var errs []error
	for _, kind := range []string{"warm", "cold"} {
		errs = append(errs, b.kind(ctx, kind))
	}
	return errors.Join(errs...)
}

// kind compares with one kind of image.
func (b *bench) kind(ctx context.Context, kind string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen, err := b.watch(ctx)
	if err != nil {
		return err
	}
	before, err := measure.Look(ctx, b.paced.Lab)
	if err != nil {
		return err
	}
	for round := range b.rounds {
		places := []string{b.paced.Name, plain}
		if round%2 == 1 {
			slices.Reverse(places)
		}
		for _, namespace := range places {
			image := b.paced.Image("warm")
			if kind == "cold" {
				image = b.paced.Image(fmt.Sprintf("%s-%d", namespace, round))
				if err := b.paced.Push(ctx, image); err != nil {
					return err
				}
			}
			if err := b.turn(ctx, namespace, fmt.Sprintf("%s-%d", kind, round), image); err != nil {
				return err
			}
		}
	}
	after, err := measure.Look(ctx, b.paced.Lab)
	if err != nil {
		return err
	}
	wave(kind, before, after, b.rounds*b.pods)
	return verdict(kind, seen, b.paced.Name)
}

// verdict prints the times, and fails if Pace adds too much.
func verdict(kind string, seen *starts, paced string) error {
	boundA, runningA := seen.times(paced)
	boundB, runningB := seen.times(plain)
	if len(runningA) == 0 || len(runningB) == 0 {
		return errors.New("no pod was seen to start: nothing was measured")
	}
	show := func(what string, a, b []time.Duration) time.Duration {
		added := at(a, 99) - at(b, 99)
		fmt.Printf("start image=%s to=%s paced_pods=%d plain_pods=%d paced_p50_ms=%d plain_p50_ms=%d paced_p99_ms=%d plain_p99_ms=%d added_p50_ms=%d added_p99_ms=%d\n",
			kind, what, len(a), len(b), at(a, 50).Milliseconds(), at(b, 50).Milliseconds(), at(a, 99).Milliseconds(), at(b, 99).Milliseconds(),
			(at(a, 50) - at(b, 50)).Milliseconds(), added.Milliseconds())
		return added
	}
	show("running", runningA, runningB)
	// What a kubelet does varies by more than what is measured; a pod is out of
	// Pace's hands when it is bound.
	if added := show("bound", boundA, boundB); added > most {
		return fmt.Errorf("pods with a %s image are bound %s later at p99, %s is the most", kind, added.Round(time.Millisecond), most)
	}
	return nil
}

// at is the value that so many of 100 do not exceed, by nearest rank.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// turn starts a Deployment, waits until all of it runs, and removes it again.
func (b *bench) turn(ctx context.Context, namespace, name, image string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := b.paced.Create(ctx, ground.Deployment(namespace, name, image, int32(b.pods))); err != nil {
		return err
	}
	if err := b.paced.AwaitRollout(ctx, namespace, name); err != nil {
		return err
	}
	if out := b.paced.Kubectl(ctx, "delete", "deployment", name, "-n", namespace, "--cascade=foreground"); out.Code != 0 {
		return fmt.Errorf("removing a Deployment: %s", out)
	}
	return nil
}
