//go:build linux

package stage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/pullpace/pace/pacer/core"
)

// A Sight is something that was seen to change of a pod. All fields but the first four
// are those that changed.
type Sight struct {
	At       time.Time
	Pod, App string
	Node     string
	// Held is the reason of a hold that began or changed.
	Held core.Reason
	// Bound says that the pod got its node.
	Bound bool
	// Arrived says that the kubelet has told of the images of all its containers.
	Arrived bool
	// Waiting and Message are of a container that waits because its pull failed.
	Waiting, Message string
}

// A Witness sees all that happens to the pods of a stage, in the order in which the API
// server has it. It is safe for concurrent use.
type Witness struct {
	mu     sync.Mutex
	sights []Sight
	last   map[types.UID]Sight
	err    error
}

// Witness begins to watch the stage's pods, until ctx ends.
func (s *Stage) Witness(ctx context.Context) (*Witness, error) {
	pods := s.Cluster.Client().CoreV1().Pods(s.Name)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	w := &Witness{last: map[types.UID]Sight{}}
	for i := range list.Items {
		w.see(&list.Items[i])
	}
	changes, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, podWatcher{s})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	go func() {
		for change := range changes.ResultChan() {
			switch object := change.Object.(type) {
			case *corev1.Pod:
				w.see(object)
			case *metav1.Status:
				w.mu.Lock()
				w.err = fmt.Errorf("watching pods: %s", object.Message)
				w.mu.Unlock()
			}
		}
	}()
	return w, nil
}

// podWatcher watches the pods of a stage.
type podWatcher struct{ stage *Stage }

// WatchWithContext implements cache.WatcherWithContext.
func (p podWatcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return p.stage.Cluster.Client().CoreV1().Pods(p.stage.Name).Watch(ctx, options)
}

// see notes what changed of a pod.
func (w *Witness) see(p *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.last[p.UID]
	is := Sight{At: time.Now(), Pod: p.Name, App: p.Labels["app"], Node: p.Spec.NodeName, Held: HeldReason(p), Bound: p.Spec.NodeName != ""}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		if wait := c.State.Waiting; wait != nil && wait.Message != "" {
			is.Waiting, is.Message = wait.Reason, wait.Message
		}
	}
	is.Arrived = arrived(p)
	w.last[p.UID] = is
	if is.Held == was.Held {
		is.Held = ""
	}
	is.Bound, is.Arrived = is.Bound && !was.Bound, is.Arrived && !was.Arrived
	if is.Message == was.Message && is.Waiting == was.Waiting {
		is.Waiting, is.Message = "", ""
	}
	if is.Held != "" || is.Bound || is.Arrived || is.Message != "" {
		w.sights = append(w.sights, is)
	}
}

// arrived reports whether the images of all containers of a pod are named.
func arrived(p *corev1.Pod) bool {
	all := slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
	return len(all) > 0 && !slices.ContainsFunc(all, func(c corev1.ContainerStatus) bool { return c.ImageID == "" })
}

// Sights are those that ok wants, oldest first. The error says that not all was seen.
func (w *Witness) Sights(ok func(Sight) bool) ([]Sight, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Sight
	for _, sight := range w.sights {
		if ok(sight) {
			out = append(out, sight)
		}
	}
	return out, w.err
}
