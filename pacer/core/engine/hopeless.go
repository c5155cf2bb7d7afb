package engine

import "github.com/pullpace/pace/pacer/core"

// despair lets go of what waits for accounts that bring less than is asked of them: no
// wait ends there. It goes one by one at the refill rate, whatever is refused, since
// nothing that is created meanwhile is held.
func (t *turn) despair(c *candidate) {
	if c.Paused || c.Pinned || t.releasable(c) <= 0 || !t.hopeless(c) || t.outOfReach(c) {
		return
	}
	for _, a := range c.draws {
		if t.now.Before(a.nextDrip) {
			t.wakeAt(a.nextDrip)
			return
		}
	}
	n := 1
	if c.Whole {
		n = t.releasable(c)
	}
	for _, a := range c.draws {
		a.turn.dripped = true
	}
	t.release(c, n, core.Hopeless)
}

// hopeless reports whether a candidate waits for accounts, all of them hopeless and
// none of which has had its turn.
func (t *turn) hopeless(c *candidate) bool {
	for _, a := range c.draws {
		if !a.ledger.Hopeless() || a.Paused || a.turn.dripped {
			return false
		}
	}
	return len(c.draws) > 0
}
