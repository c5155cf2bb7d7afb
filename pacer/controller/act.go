package controller

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// patchesInFlight is how many releases are written at once.
const patchesInFlight = 8

// going is a pod that is being let go.
type going struct {
	pod     *corev1.Pod
	reason  core.Reason
	letting gate.Letting
	err     error
}

// act carries out a decision: it books every release, writes the books, and only
// then lets pods go. A crash in between errs towards holding. It returns how many
// pods went.
func (t *Turn) act(ctx context.Context, d engine.Decision) (int, error) {
	leaving := t.leaving(d)
	if len(leaving) == 0 {
		return 0, nil
	}
	now := t.clock.Now()
	for _, g := range leaving {
		id := kube.PodID(g.pod)
		t.world.tracker.Leaving(id, true)
		t.engine.Observe(now, engine.Event{Released: &engine.Booking{Pod: id, Decision: d.ID}})
	}
	if err := t.books.write(ctx, now, t.page(d, true)); err != nil {
		for _, g := range leaving {
			t.refuse(g)
		}
		return 0, fmt.Errorf("booking %d releases: %w", len(leaving), err)
	}
	t.write(ctx, leaving)
	return t.settle(ctx, leaving), nil
}

// leaving are the pods that a decision lets go, and those that nobody may hold
// any more.
func (t *Turn) leaving(d engine.Decision) []*going {
	var out []*going
	chosen := map[core.PodID]bool{}
	add := func(pod *corev1.Pod, reason core.Reason, letting gate.Letting) {
		if id := kube.PodID(pod); !chosen[id] {
			chosen[id] = true
			letting.Mark = v1alpha1.ReleaseMark{Decision: d.ID, Time: d.At.UTC(), Reason: string(reason), Cost: letting.Mark.Cost}
			out = append(out, &going{pod: pod, reason: reason, letting: letting})
		}
	}
	for _, f := range t.world.tracker.Freed() {
		add(f.Pod, f.Reason, gate.Letting{})
	}
	for _, r := range d.Releases {
		letting := gate.Letting{Hostnames: t.world.tracker.Hostnames(r.Nodes)}
		letting.Mark.Cost = share(r)
		for _, pod := range t.world.tracker.Choose(r) {
			add(pod, r.Reason, letting)
		}
	}
	return out
}

// share is what one pod of a release may be charged at most, rounded up.
func share(r engine.Release) []v1alpha1.MarkCost {
	var costs []v1alpha1.MarkCost
	for _, c := range r.Cost {
		n := core.Units(max(r.Count, 1))
		costs = append(costs, v1alpha1.MarkCost{Account: string(c.Account), Units: int64((c.Units + n - 1) / n)})
	}
	return costs
}

// write patches the pods, a few at a time.
func (t *Turn) write(ctx context.Context, leaving []*going) {
	var group errgroup.Group
	group.SetLimit(patchesInFlight)
	for _, g := range leaving {
		group.Go(func() error {
			g.err = t.releaser.release(ctx, g.pod, g.letting)
			return nil
		})
	}
	_ = group.Wait() // every error is kept with its pod
}

// settle tells the engine and people how the releases ended.
func (t *Turn) settle(ctx context.Context, leaving []*going) int {
	released := 0
	for _, g := range leaving {
		switch {
		case g.err == nil:
			released++
			t.metrics.released(g.reason)
			t.explainer.released(g.pod, g.reason)
			t.say(g.pod, corev1.EventTypeNormal, g.reason, "let go: "+text(g.reason))
		case errors.Is(g.err, errGone):
		default:
			t.refuse(g)
			t.metrics.releaseFailed()
			log.FromContext(ctx).Error(g.err, "release not written", "pod", kube.PodID(g.pod), "reason", g.reason)
			if refusal(g.err) {
				t.say(g.pod, corev1.EventTypeWarning, core.ReleaseRefused, "the API server refused the release: "+cut(g.err.Error(), maxNote))
			}
		}
	}
	return released
}

// refuse takes a booking back.
func (t *Turn) refuse(g *going) {
	id := kube.PodID(g.pod)
	t.world.tracker.Leaving(id, false)
	t.engine.Observe(t.clock.Now(), engine.Event{Refused: id})
}

// text explains a Reason in a few words.
func text(r core.Reason) string {
	if info, ok := r.Info(); ok {
		return info.Text
	}
	return string(r)
}

// maxNote bounds the text of an Event; the API allows 1024 bytes.
const maxNote = 800

// cut shortens a text.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
