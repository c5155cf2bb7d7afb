package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// book notes that a pod is being let go.
func (e *Engine) book(now time.Time, b Booking) {
	p := e.pods.find(b.Pod)
	if p == nil || !p.held() {
		return
	}
	lift(p)
	if g := p.group.of(); g != nil {
		e.try(now, g, p)
	}
	p.booked, p.released = true, true
	e.place(now, p)
	e.serve(now, p, b.Decision)
}

// refuse takes a booking back whose write was refused, and lets the group rest.
func (e *Engine) refuse(now time.Time, id core.PodID) {
	if p := e.withdraw(now, id); p != nil && p.group.of() != nil {
		p.group.of().refusedUntil = now.Add(e.cfg.RefusedPause)
	}
}

// withdraw takes a booking back. It returns the pod; nil: it was not booked.
func (e *Engine) withdraw(now time.Time, id core.PodID) *pod {
	p := e.pods.find(id)
	if p == nil || !p.booked {
		return nil
	}
	lift(p)
	p.booked, p.released = false, false
	e.leavePulls(now, p, func(*node) quota.Outcome { return quota.Present }) // of a node: it is held still
	e.place(now, p)
	return p
}

// serve books the release of one pod under a decision: its namespace was served,
// and the next pod that goes without units waits for the refill.
func (e *Engine) serve(now time.Time, p *pod, decision string) {
	g := p.group.of()
	if g == nil || decision != e.last.ID {
		return
	}
	for i := range e.last.Releases {
		r := &e.last.Releases[i]
		if r.Group != g.ID || r.Count == 0 || g.Pinned && !slices.Contains(r.Pods, p.ID) {
			continue
		}
		switch {
		case g.Pinned && r.Reason != core.Budget && !p.overridden:
			e.dripped(now, r.Cost, r.Count, func(a *account) bool { return r.Reason != core.FailOpen || a.ledger.Opened(now) })
			return
		case (r.Reason == core.HoldExpired || r.Reason == core.Override) && slices.Contains(r.Pods, p.ID):
			if !p.overridden {
				e.dripped(now, r.Cost, 0, func(*account) bool { return true })
			}
			return
		case r.Reason == core.FailOpen:
			e.dripped(now, r.Cost, 0, func(a *account) bool { return a.ledger.Opened(now) })
			return
		case r.Reason == core.Hopeless:
			e.dripped(now, r.Cost, 0, func(a *account) bool { return a.ledger.Hopeless() })
			return
		case r.Reason == core.Budget:
			e.served(g, r)
			return
		}
	}
}

func (e *Engine) served(g *group, r *Release) {
	var units core.Units
	for _, c := range r.Cost {
		units += c.Units
	}
	e.fair.Serve(g.Class, g.Namespace, float64(units)/float64(r.Count), g.Weight)
}

// dripped puts off the next pod that goes without units of accounts by the time in
// which one unit refills, for each pod that went; or, for one of so many nodes, in which
// all units of it do.
func (e *Engine) dripped(now time.Time, costs []Cost, nodes int, of func(*account) bool) {
	for _, c := range costs {
		if a := e.accounts[c.Account]; a != nil && a.ledger.Limit() > 0 && of(a) {
			a.lastDrip = now
			if a.nextDrip.Before(now) {
				a.nextDrip = now
			}
			units := 1
			if nodes > 0 {
				units = (int(c.Units) + nodes - 1) / nodes
			}
			a.nextDrip = a.nextDrip.Add(time.Duration(units) * a.ledger.Refill())
		}
	}
}
