package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// drips lets pods go for which no units are set aside: those that a person let go,
// and those whose hold-until has passed. They go in the order of release, one for an
// account at each refill, so that the end of many holds is a drip and not a storm.
func (t *turn) drips() {
	for _, c := range t.inOrder() {
		if c.ordered > 0 {
			t.dripOf(c, core.Override, func(p *pod) bool { return p.ordered })
		}
		if c.expired(t.now) {
			t.dripOf(c, core.HoldExpired, func(p *pod) bool {
				return p.holdUntil != none && p.holdUntil <= stampOf(t.now) && !p.ordered
			})
		}
		t.despair(c)
	}
}

// dripOf lets those pods of a candidate go that match, as far as a drip allows.
func (t *turn) dripOf(c *candidate, reason core.Reason, match func(*pod) bool) {
	if t.releasable(c) <= 0 {
		return
	}
	due := c.held.ids(func(p *pod) bool { return match(p) && !p.ForeignGate && !p.overridden })
	slices.SortStableFunc(due, func(a, b core.PodID) int {
		p, q := t.e.pods.find(a), t.e.pods.find(b)
		return cmp.Or(cmp.Compare(p.holdUntil, q.holdUntil), cmp.Compare(p.created, q.created))
	})
	if c.Pinned {
		t.dripNodes(c, due, reason)
		return
	}
	n := 0
	for n < min(len(due), t.releasable(c)) && t.dripOne(c) {
		n++
	}
	if c.Whole && n > 0 {
		due = c.free()
		n = len(due)
	}
	if n > 0 {
		t.releaseThese(c, due[:n], reason)
	}
}

// dripOne takes the turn of every account that one more pod of a candidate draws on;
// false: one of them has had it.
func (t *turn) dripOne(c *candidate) bool {
	var accounts []*account
	for _, ask := range c.asks {
		a := t.e.accounts[ask.Account]
		if a.turn.unlimited || !ask.Pulls() {
			continue
		}
		if !t.mayDrip(a, ask.Price) {
			return false
		}
		accounts = append(accounts, a)
	}
	for _, a := range accounts {
		a.turn.dripped = true
	}
	return true
}

// mayDrip reports whether a pod may go now without units of an account.
func (t *turn) mayDrip(a *account, units core.Units) bool {
	return !a.turn.dripped && !t.now.Before(a.nextDrip) && !t.drippedDry(a, units)
}

// drippedDry reports whether the last pod that went without units met a 429: the
// next one waits for units, or for a window if none ever come.
func (t *turn) drippedDry(a *account, units core.Units) bool {
	refused := a.ledger.ThrottledAt()
	if a.lastDrip.IsZero() || refused.Before(a.lastDrip) {
		return false
	}
	window := a.ledger.Refill() * time.Duration(max(a.ledger.Limit(), 1))
	return t.free(a, core.ClassNodeCritical) < units && t.now.Sub(refused) < window
}

// inOrder is the line in the order of release. It holds until the next call.
func (t *turn) inOrder() []*candidate {
	t.sort = append(t.sort[:0], t.line...)
	slices.SortStableFunc(t.sort, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), t.before(a, b))
	})
	return t.sort
}

// wakeForDrip makes sure that the next pod of a drip goes in time.
func (t *turn) wakeForDrip(c *candidate) {
	for _, a := range c.draws {
		if a.nextDrip.After(t.now) && (a.turn.opened || c.dripping(t.now) || c.Pinned) {
			t.wakeAt(a.nextDrip)
		}
	}
}

// dripping reports whether a held pod of the group goes without units.
func (g *group) dripping(now time.Time) bool { return g.expired(now) || g.ordered > 0 }

// expired reports whether a hold of the group may have ended.
func (g *group) expired(now time.Time) bool {
	return g.firstExpiry != none && g.firstExpiry <= stampOf(now)
}
