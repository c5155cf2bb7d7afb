package puller

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What kubelets wait between attempts to pull an image for a container, and how long the
// pod says ErrImagePull before it says that it waits.
const (
	firstWait = 10 * time.Second
	longest   = 5 * time.Minute
	errorFor  = time.Second
)

// machine is one node: what it holds, and what it has tried. It pulls one image at a
// time, as kubelets do by default. Only its own goroutine uses it.
type machine struct {
	name   string
	client *http.Client
	// wake has room for one: whoever wakes it has changed what sync will find.
	wake chan struct{}

	held  map[string]image
	tried map[attempt]*ladder
	done  map[types.UID]bool
	said  map[types.UID]string
}

// attempt is what kubelets count failures for.
type attempt struct {
	pod   types.UID
	image string
}

// ladder is where a container stands that waits for its image.
type ladder struct {
	failure       string
	failed, until time.Time
	wait          time.Duration
}

// newMachine makes one that holds what its node says that it does.
func newMachine(n *corev1.Node, client *http.Client) *machine {
	m := &machine{
		name: n.Name, client: client, wake: make(chan struct{}, 1), held: map[string]image{},
		tried: map[attempt]*ladder{}, done: map[types.UID]bool{}, said: map[types.UID]string{},
	}
	for _, listed := range n.Status.Images {
		for _, ref := range listed.Names {
			if repo, _, tagged := strings.Cut(ref, ":"); tagged && !strings.Contains(ref, "@") {
				m.held[ref] = image{ref: ref, repo: repo, size: listed.SizeBytes}
			}
		}
	}
	return m
}

// run works for the node until ctx ends.
func (m *machine) run(ctx context.Context, a *Agent) {
	for {
		var due <-chan time.Time
		if next := m.sync(ctx, a); !next.IsZero() {
			timer := time.NewTimer(time.Until(next))
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-due:
		}
	}
}

// sync does what is due for the node's pods, oldest first, and returns when more is; zero:
// when something changes.
func (m *machine) sync(ctx context.Context, a *Agent) (next time.Time) {
	pods := a.podsOf(m.name)
	slices.SortFunc(pods, func(x, y *corev1.Pod) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
	})
	for _, p := range pods {
		if m.done[p.UID] || p.DeletionTimestamp != nil {
			continue
		}
		at, err := m.pod(ctx, a, p)
		if err != nil {
			a.say(err)
			at = time.Now().Add(firstWait)
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// pod pulls what a pod lacks and writes how it stands; it returns when to look again.
func (m *machine) pod(ctx context.Context, a *Agent, p *corev1.Pod) (next time.Time, err error) {
	later := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	waits := map[string]corev1.ContainerStateWaiting{}
	for _, c := range p.Spec.InitContainers {
		if wait := m.container(ctx, a, p, c, later); wait != nil {
			waits[c.Name] = *wait
			break // those after it begin when it has ended
		}
	}
	if len(waits) == 0 {
		for _, c := range p.Spec.Containers {
			if wait := m.container(ctx, a, p, c, later); wait != nil {
				waits[c.Name] = *wait
			}
		}
	}
	if ctx.Err() != nil {
		return time.Time{}, nil
	}
	status := m.status(p, waits)
	if text := fmt.Sprint(waits); m.said[p.UID] != text {
		if err := a.write(ctx, p, status); err != nil {
			return next, err
		}
		m.said[p.UID] = text
	}
	m.done[p.UID] = len(waits) == 0
	return next, nil
}

// container makes sure that the node holds what a container runs; otherwise it returns
// why the container waits.
func (m *machine) container(ctx context.Context, a *Agent, p *corev1.Pod, c corev1.Container, later func(time.Time)) *corev1.ContainerStateWaiting {
	if _, ok := m.held[c.Image]; ok && c.ImagePullPolicy != corev1.PullAlways {
		return nil
	}
	key := attempt{p.UID, c.Image}
	l := m.tried[key]
	now := time.Now()
	switch {
	case l != nil && now.Before(l.failed.Add(errorFor)):
		later(l.failed.Add(errorFor))
		return &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: l.failure}
	case l != nil && now.Before(l.until):
		later(l.until)
		return &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", c.Image, l.failure)}
	}
	a.event(ctx, p, corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
	got, err := pull(ctx, m.client, c.Image)
	if err == nil {
		delete(m.tried, key)
		m.held[c.Image] = got
		took := time.Since(now).Round(time.Millisecond)
		a.event(ctx, p, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %s (%s including waiting). Image size: %d bytes.", c.Image, took, took, got.size))
		if err := a.list(ctx, m); err != nil {
			a.say(err)
		}
		return nil
	}
	if l == nil {
		l = &ladder{}
		m.tried[key] = l
	}
	l.wait = min(longest, max(firstWait, 2*l.wait))
	l.failure, l.failed, l.until = err.Error(), time.Now(), time.Now().Add(l.wait)
	a.event(ctx, p, corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", c.Image, err))
	later(l.failed.Add(errorFor))
	return &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: l.failure}
}
