package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/simulate/model"
)

// pullOf is an image that a pod pulls.
type pullOf struct {
	pod   model.PodID
	image model.ImageID
}

// failure is a failed attempt, as the pod's status says.
type failure struct {
	pullOf
	node  model.NodeID
	class feedback.Class
	at    time.Duration
}

// failed takes in that a pull failed.
func (h *host) failed(e model.Event) {
	f := failure{pullOf{e.Pod, e.Image}, e.Node, classOf(e.Cause), h.world.Now()}
	h.failures = append(h.failures, f)
	if e.Pod != model.None && int(e.Pod) < len(h.pods) && h.pods[e.Pod].group != model.None {
		h.failing[f.pullOf] = f
	}
	h.signal()
}

// forgetFailures forgets what failed of a pod that is gone.
func (h *host) forgetFailures(id model.PodID) {
	if len(h.failing) == 0 {
		return
	}
	p := h.world.Pod(id)
	for _, image := range h.world.Images(p.Workload, p.Revision) {
		delete(h.failing, pullOf{id, image})
	}
}

// classOf is what a controller would make of the message.
func classOf(c model.Cause) feedback.Class {
	switch c {
	case model.Throttled:
		return feedback.Throttled
	case model.QPSExceeded:
		return feedback.KubeletQPS
	case model.TimedOut:
		return feedback.Timeout
	case model.WasReset, model.Unavailable: // a registry's own 5xx is a fault of it, too
		return feedback.Reset
	}
	return feedback.Unknown
}

// event is the failure as the engine is told of it.
func (h *host) event(f failure) engine.Event {
	ev := &engine.PullFailed{Image: h.images[f.image], At: at(f.at), Failure: feedback.Failure{Class: f.class}}
	if f.class == feedback.Throttled {
		ev.Kind = feedback.KindPull
	}
	if a := h.accountAt(f.image, f.node); a != nil {
		ev.Account = a.id
	}
	if f.pod != model.None {
		ev.Pod = h.names.of(f.pod)
	}
	return engine.Event{Failed: ev}
}

// standing are the failures that pods show now, as a controller finds them that
// begins.
func (h *host) standing() []engine.Event {
	var out []failure
	for _, f := range h.failing {
		f.at = h.world.Now()
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b failure) int { return cmp.Or(cmp.Compare(a.pod, b.pod), cmp.Compare(a.image, b.image)) })
	events := make([]engine.Event, len(out))
	for i, f := range out {
		events[i] = h.event(f)
	}
	return events
}
