package controller

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/kube"
)

// How often Events of a pod are asked for, and of how many pods in one turn. They are
// read past the cache: watching all Events of a cluster costs more than the few that
// matter.
const (
	hintsPerSecond = 2
	hintsAtOnce    = 10
)

// hinter asks Events why pulls failed where the status of the pod does not tell: an
// Event is a hint, since it may be lost and may be old. It is safe for concurrent use.
type hinter struct {
	live    client.Reader
	wake    func()
	pace    *rate.Limiter
	running sync.WaitGroup

	mu    sync.Mutex
	hints []kube.Hint
}

func newHinter(live client.Reader, wake func()) *hinter {
	return &hinter{live: live, wake: wake, pace: rate.NewLimiter(hintsPerSecond, hintsAtOnce)}
}

// take returns what was found since the last call.
func (h *hinter) take() []kube.Hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.hints
	h.hints = nil
	return out
}

// wait returns when nothing is asked any more.
func (h *hinter) wait() { h.running.Wait() }

// ask asks for the Events of pods in the background.
func (h *hinter) ask(ctx context.Context, pods []*corev1.Pod) {
	if len(pods) == 0 {
		return
	}
	h.running.Go(func() {
		for _, pod := range pods {
			if h.pace.Wait(ctx) != nil {
				return
			}
			hints, err := h.read(ctx, pod)
			if err != nil {
				log.FromContext(ctx).V(1).Info("events not read", "pod", client.ObjectKeyFromObject(pod), "cause", err.Error())
				continue
			}
			if len(hints) > 0 {
				h.mu.Lock()
				h.hints = append(h.hints, hints...)
				h.mu.Unlock()
				h.wake()
			}
		}
	})
}

// failedToPull begins the message of the Event that carries the cause.
const failedToPull = "Failed to pull image "

// read finds the newest Event about a failed pull of each container of a pod.
func (h *hinter) read(ctx context.Context, pod *corev1.Pod) ([]kube.Hint, error) {
	var list corev1.EventList
	if err := h.live.List(ctx, &list, client.InNamespace(pod.Namespace), client.MatchingFields{"involvedObject.uid": string(pod.UID)}); err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	newest := map[string]*corev1.Event{}
	var order []string
	for i := range list.Items {
		e := &list.Items[i]
		container, ok := containerOf(e)
		if !ok || e.Reason != "Failed" || !strings.HasPrefix(e.Message, failedToPull) {
			continue
		}
		if newest[container] == nil {
			order = append(order, container)
		}
		if newest[container] == nil || eventTime(e).After(eventTime(newest[container])) {
			newest[container] = e
		}
	}
	var out []kube.Hint
	for _, container := range order {
		out = append(out, kube.Hint{Pod: kube.PodID(pod), Container: container, Message: newest[container].Message})
	}
	return out, nil
}

// containerOf names the container that an Event is about: spec.containers{NAME}.
func containerOf(e *corev1.Event) (string, bool) {
	_, rest, found := strings.Cut(e.InvolvedObject.FieldPath, "{")
	name, _, closed := strings.Cut(rest, "}")
	return name, found && closed && name != ""
}

func eventTime(e *corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return cmp.Or(last, e.EventTime.Time, e.CreationTimestamp.Time)
}
