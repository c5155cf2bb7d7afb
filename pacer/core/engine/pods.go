package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

func (e *Engine) observePod(now time.Time, seen *Pod) {
	p := e.pods.meet(seen.ID)
	lift(p)
	if p.group != nil && p.group.id != seen.Group {
		e.leavePulls(now, p, (*node).leaves)
		e.recover(now, p, "")
	}
	p.group, p.node = e.names.swap(p.group, seen.Group, e.latest), e.fleet.names.swap(p.node, seen.Node, nil)
	e.latest = p.group
	p.take(now, seen)
	e.place(now, p)
}

// lift takes a pod out of its group's sets; its pulls stay.
func lift(p *pod) {
	if g := p.group.of(); g != nil {
		g.remove(p)
	}
}

// place puts a pod where it belongs now and opens or ends its pulls.
func (e *Engine) place(now time.Time, p *pod) {
	if len(e.strays) > 0 {
		delete(e.strays, p.ID)
	}
	g := p.group.of()
	if g == nil {
		e.strays[p.ID] = true
		return
	}
	if p.in != inNone { // a stray is in its set already
		g.remove(p)
	}
	switch {
	case p.held():
		e.leavePulls(now, p, (*node).leaves)
		g.hold(p)
	case p.waiting() && !g.Pinned:
		g.wait(p)
	case p.phase == phaseBound || p.waiting():
		g.settle(&g.bound, p)
		e.placeOnNode(now, g, p)
	case p.phase == phasePulled:
		g.settle(&g.pulled, p)
		g.past = max(g.past, len(g.pulled.pods))
		e.placeOnNode(now, g, p)
	}
}

// placeOnNode ends the pulls whose images have started and opens those that the
// pod still needs.
func (e *Engine) placeOnNode(now time.Time, g *group, p *pod) {
	n := p.node.of()
	if n == nil {
		e.strays[p.ID] = true
		return
	}
	if pulls := p.pulls(); len(pulls) > 0 && pulls[0].node != n {
		e.leavePulls(now, p, (*node).leaves)
	}
	for i := range g.Images {
		use := &e.uses(g)[i]
		key := pullKey{imageAccount{use.image, use.drawnOn(n)}, n}
		started := p.phase == phasePulled || p.more != nil && slices.Contains(p.more.started, use.image)
		switch {
		case started:
			e.startUnseen(now, key, use, p)
			e.endPull(now, key.running(), quota.Pulled)
			e.recover(now, p, use.image)
			e.fleet.believe(now, n, use.image)
		case key.account != nil && (key.running() != nil || !use.has(n) || p.ours() && n.gainedSince(use.image, p.since())):
			e.joinPull(now, key, p)
		default:
			n.account(use.image) // it was there before
		}
	}
}

// startUnseen opens the pull of an image that started before its pod was ever seen to
// wait for it: of changes that come together only the last is seen. The node may list it
// by then, and did not before the pod was let go. A world that is given at once tells
// nothing of when its pods pulled.
func (e *Engine) startUnseen(now time.Time, key pullKey, use *use, p *pod) {
	g := p.group.of()
	if p.started.has(use.image) {
		return
	}
	p.started = g.startedWith(p.started, use.image)
	if e.replacing || key.account == nil || key.running() != nil {
		return
	}
	if !use.has(key.node) || key.node.gainedSince(use.image, p.since()) {
		e.joinPull(now, key, p)
	}
}

// forgetMore gives up what a pod has no more use for.
func (p *pod) forgetMore() {
	if p.more != nil && len(p.more.pulls) == 0 && len(p.more.started) == 0 && len(p.more.failures) == 0 && p.more.unschedulable == none {
		p.more = nil
	}
}

func (e *Engine) dropPod(now time.Time, id core.PodID) {
	p := e.pods.find(id)
	if p == nil {
		return
	}
	lift(p)
	e.recover(now, p, "")
	e.leavePulls(now, p, (*node).leaves)
	delete(e.strays, id)
	e.names.leave(p.group)
	e.fleet.names.leave(p.node)
	e.pods.remove(p)
}

func (e *Engine) override(o Override) {
	order := func(p *pod) {
		g := p.group.of()
		held := g != nil && p.in == inHeld
		if held {
			g.count(p, -1)
		}
		p.overridden = p.overridden || o.Now
		p.ordered = true
		if held {
			g.count(p, 1)
		}
	}
	if p := e.pods.find(o.Pod); p != nil {
		order(p)
	}
	if g := e.groups[o.Group]; g != nil {
		for _, p := range g.held.pods {
			order(p)
		}
	}
}
