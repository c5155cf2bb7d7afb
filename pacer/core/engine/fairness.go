package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// fairness is start-time fair queueing: units served per weight for each
// namespace of a class. A namespace that returns starts where the least served
// active one stands, so that idling earns no credit.
type fairness map[core.Class]map[string]float64

// activate makes the namespaces of a class the ones that wait now.
func (f fairness) activate(class core.Class, waiting []string) {
	old, next := f[class], make(map[string]float64, len(waiting))
	least, found := 0.0, false
	for _, ns := range waiting {
		if v, ok := old[ns]; ok && (!found || v < least) {
			least, found = v, true
		}
	}
	if !found {
		for _, v := range old {
			least = max(least, v)
		}
	}
	for _, ns := range waiting {
		if v, ok := old[ns]; ok {
			next[ns] = v
		} else {
			next[ns] = least
		}
	}
	f[class] = next
}

// serve books the release of one pod under a decision: its namespace was served,
// and the next expired hold of its accounts waits for the refill.
func (e *Engine) serve(now time.Time, p *pod, decision string) {
	g := e.groups[p.Group]
	if g == nil || decision != e.last.ID {
		return
	}
	for _, r := range e.last.Releases {
		if r.Group != g.ID || r.Count == 0 {
			continue
		}
		if r.Reason == core.HoldExpired && slices.Contains(r.Pods, p.ID) {
			e.dripped(now, r)
			return
		}
		if r.Reason == core.Budget {
			e.served(g, r)
			return
		}
	}
}

func (e *Engine) served(g *group, r Release) {
	var units core.Units
	for _, c := range r.Cost {
		units += c.Units
	}
	served := e.fair[g.Class]
	if _, ok := served[g.Namespace]; ok {
		served[g.Namespace] += float64(units) / float64(r.Count) / float64(max(g.Weight, 1))
	}
}

// dripped puts off the next expired hold of a release's accounts by the time in
// which one unit refills.
func (e *Engine) dripped(now time.Time, r Release) {
	for _, c := range r.Cost {
		if a := e.accounts[c.Account]; a != nil && a.ledger.Limit() > 0 {
			a.lastDrip = now
			a.nextDrip = now.Add(a.ledger.Window() / time.Duration(a.ledger.Limit()))
		}
	}
}
