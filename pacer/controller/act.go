package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/semaphore"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// patchesInFlight is how many objects a turn writes at once: releases, the books that they
// wait for, and fields that are put back.
const patchesInFlight = 8

// going is a pod that is being let go, or a Job or a step of a Rollout with all that
// stand for its pods, or a node.
type going struct {
	pod     *corev1.Pod
	job     *batchv1.Job
	node    *corev1.Node
	step    *kube.Step
	rollout *unstructured.Unstructured
	ids     []core.PodID
	// group is what the decision lets it go of; empty where it goes regardless of one.
	group   core.GroupID
	reason  core.Reason
	letting gate.Letting
	// with is how many of its group go for the same reason, if not all in this turn.
	with int
	err  error
}

// object is what is written to let it go.
func (g *going) object() client.Object {
	switch {
	case g.job != nil:
		return g.job
	case g.node != nil:
		return g.node
	case g.rollout != nil:
		return g.rollout
	}
	return g.pod
}

// kind is what people call it.
func (g *going) kind() string {
	switch {
	case g.job != nil:
		return "job"
	case g.node != nil:
		return "node"
	case g.step != nil:
		return "rollout"
	}
	return "pod"
}

// text explains in a few words why it goes.
func (g *going) text() string {
	if g.node != nil {
		return nodeText(g.reason)
	}
	return text(g.reason)
}

// act carries out a decision: it books every release, writes the books, and only
// then lets pods go. A crash in between errs towards holding. It returns how many
// pods went.
func (t *Turn) act(ctx context.Context, d engine.Decision) (int, error) {
	t.tidy(ctx, d)
	t.tidyNodes(ctx, d)
	leaving := t.leavingNodes(d)
	leaving = append(leaving, t.leaving(d, t.writes.bound(math.MaxInt)-len(leaving))...)
	leaving = leaving[:t.writes.bound(len(leaving))]
	if len(leaving) == 0 {
		return 0, nil
	}
	now := t.clock.Now()
	for _, g := range leaving {
		t.leaves(g, true)
		for _, id := range g.ids {
			t.tell(now, engine.Event{Released: &engine.Booking{Pod: id, Decision: d.ID}})
		}
	}
	if err := t.books.write(ctx, now, t.page(d, true)); err != nil {
		for _, g := range leaving {
			t.refuse(g)
			t.explainer.refused(g.group, err)
		}
		return 0, fmt.Errorf("booking %d releases: %w", len(leaving), err)
	}
	now = t.clock.Now()
	begun := t.write(ctx, leaving, now.Add(writesWithin))
	t.writes.took(begun, t.clock.Since(now))
	for _, g := range leaving[begun:] {
		t.withdraw(g)
	}
	return t.settle(ctx, leaving[:begun]), nil
}

// leaving are the pods that a decision lets go, and those that nobody may hold any more;
// no more than most of them.
func (t *Turn) leaving(d engine.Decision, most int) []*going {
	var out []*going
	chosen := map[core.PodID]bool{}
	add := func(pod *corev1.Pod, r engine.Release) {
		id := kube.PodID(pod)
		if chosen[id] || len(out) >= most {
			return
		}
		g := &going{pod: pod, ids: []core.PodID{id}, group: r.Group, reason: r.Reason, with: r.Count}
		count := r.Count
		if job, ids := t.world.tracker.JobOf(id); job != nil {
			g.job, g.ids, count = job, ids, 1
		}
		if step, ids, ok := t.world.tracker.StepOf(id); ok {
			g.step, g.ids, count = &step, ids, 1
			g.rollout = t.world.tracker.RolloutOf(kube.Owner{Kind: kube.RolloutKind, Namespace: step.Namespace, Name: step.Rollout})
		}
		for _, id := range g.ids {
			chosen[id] = true
		}
		g.letting = gate.Letting{Hostnames: t.world.tracker.Hostnames(r.Nodes), Mark: v1alpha1.ReleaseMark{
			Decision: d.ID, Time: d.At.UTC(), Reason: string(r.Reason), Cost: share(r.Cost, count)}}
		out = append(out, g)
	}
	for _, f := range t.world.tracker.Freed() {
		add(f.Pod, engine.Release{Reason: f.Reason})
	}
	for _, r := range d.Releases {
		if len(out) >= most {
			break
		}
		for _, pod := range t.world.tracker.Choose(r) {
			add(pod, r)
		}
	}
	return out
}

// share is what one of count may be charged at most, rounded up.
func share(cost []engine.Cost, count int) []v1alpha1.MarkCost {
	var costs []v1alpha1.MarkCost
	for _, c := range cost {
		n := core.Units(max(count, 1))
		costs = append(costs, v1alpha1.MarkCost{Account: string(c.Account), Units: int64((c.Units + n - 1) / n)})
	}
	return costs
}

// write patches pods, Jobs and nodes, a few at a time, and begins none after until. It
// returns how many were begun, of which all have ended.
func (t *Turn) write(ctx context.Context, leaving []*going, until time.Time) (begun int) {
	slots := semaphore.NewWeighted(patchesInFlight)
	for begun < len(leaving) && slots.Acquire(ctx, 1) == nil {
		if t.clock.Now().After(until) {
			slots.Release(1)
			break
		}
		g := leaving[begun]
		begun++
		go func() {
			defer slots.Release(1)
			g.err = t.releaser.let(ctx, g)
		}()
	}
	// It fails only of a context that is done, which this one never is.
	_ = slots.Acquire(context.WithoutCancel(ctx), patchesInFlight)
	return begun
}

// settle tells the engine and people how the releases ended.
func (t *Turn) settle(ctx context.Context, leaving []*going) int {
	released := 0
	told := t.crowds(leaving)
	t.sayOfCrowds(ctx, told)
	refused := map[core.GroupID]int{}
	for _, g := range leaving {
		switch {
		case g.err == nil:
			released += len(g.ids)
			t.countReleased(g)
			if g.pod == nil || g.job != nil || told[crowd{kube.OwnerOf(g.pod), g.reason}] == nil {
				t.say(g.object(), corev1.EventTypeNormal, g.reason, cut("let go: "+g.text()+t.orders.who(g.object(), g.reason), maxNote))
			}
		case errors.Is(g.err, errGone):
		default:
			refused[g.group]++
			t.notWritten(ctx, g, refused[g.group])
		}
	}
	return released
}

// notWritten takes a release back and tells of it: of the first ones of its group each
// has an Event, and all that rest now say in their condition what was said to the first.
func (t *Turn) notWritten(ctx context.Context, g *going, nth int) {
	t.refuse(g)
	t.metrics.releaseFailed()
	log.FromContext(ctx).Error(g.err, "release not written", g.kind(), client.ObjectKeyFromObject(g.object()), "reason", g.reason)
	if nth == 1 {
		t.explainer.refused(g.group, g.err)
	}
	if !refusal(g.err) {
		return
	}
	t.metrics.releaseRefused()
	if nth <= eachAtOnce {
		t.say(g.object(), corev1.EventTypeWarning, core.ReleaseRefused, refusedText(g.err))
	}
}

// countReleased counts what went, and takes back what was said of a hold.
func (t *Turn) countReleased(g *going) {
	if g.node != nil {
		t.metrics.nodes.released(g.reason)
		return
	}
	for range g.ids {
		t.metrics.released(g.reason)
	}
	switch {
	case g.step != nil:
		t.tellAll(t.clock.Now(), t.world.tracker.StepGoes(t.clock.Now(), *g.step, g.letting.Mark))
	case g.job == nil:
		t.explainer.released(g.pod, g.reason)
	}
}

// leaves notes that a release is under way, or was given up.
func (t *Turn) leaves(g *going, leaving bool) {
	if g.node != nil {
		t.world.tracker.LeavingNode(g.node, leaving)
		return
	}
	for _, id := range g.ids {
		t.world.tracker.Leaving(id, leaving)
	}
}

// refuse takes a booking back that could not be written.
func (t *Turn) refuse(g *going) {
	t.takeBack(g, func(id core.PodID) engine.Event { return engine.Event{Refused: id} })
}

// withdraw takes a booking back that there was no time to write: the next turn decides
// anew.
func (t *Turn) withdraw(g *going) {
	t.takeBack(g, func(id core.PodID) engine.Event { return engine.Event{Withdrawn: id} })
}

// takeBack notes that a release is not under way any more, and tells of each pod.
func (t *Turn) takeBack(g *going, told func(core.PodID) engine.Event) {
	t.leaves(g, false)
	for _, id := range g.ids {
		t.tell(t.clock.Now(), told(id))
	}
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
