package engine

import (
	"cmp"
	"slices"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// allocate gives what is free to the held pods of one class, pod by pod: to the
// namespace served least, and in it to the group that unlocks most pods per
// unit. A group that does not fit keeps what it lacks from those behind it, so
// that nobody is overtaken for ever.
func (t *turn) allocate(class core.Class) {
	line := t.sort[:0]
	for _, c := range t.line {
		if c.Class == class && t.releasable(c) > 0 && !c.Paused {
			line = append(line, c)
		}
	}
	t.sort = line
	if len(line) == 0 && len(t.e.fair[class]) == 0 {
		return
	}
	slices.SortFunc(line, func(a, b *candidate) int {
		if a.Namespace != b.Namespace {
			return cmp.Compare(a.Namespace, b.Namespace)
		}
		return t.before(a, b)
	})
	t.e.fair.Activate(class, namespaces(line))
	queues := t.queues(line)
	for len(queues) > 0 {
		i := leastServed(queues)
		q := &queues[i]
		c := q.line[0]
		units, ok := t.grant(c)
		if ok {
			q.served += float64(units) / float64(max(c.Weight, 1))
		}
		if !ok || t.releasable(c) <= 0 {
			if q.line = q.line[1:]; len(q.line) == 0 {
				queues = slices.Delete(queues, i, i+1)
			}
		}
	}
}

// queue is the candidates of a namespace, and how much it was served.
type queue struct {
	namespace string
	line      []*candidate
	served    float64
}

// queues are the candidates of each namespace, by which they are sorted.
func (t *turn) queues(line []*candidate) []queue {
	var queues []queue
	for from := 0; from < len(line); {
		c, to := line[from], from+1
		for to < len(line) && line[to].Namespace == c.Namespace {
			to++
		}
		queues = append(queues, queue{c.Namespace, line[from:to], t.e.fair.Served(c.Class, c.Namespace)})
		from = to
	}
	return queues
}

// before is the order within a namespace: who has waited too long, then the
// most pods per unit, then age.
func (t *turn) before(a, b *candidate) int {
	agedA, agedB := t.aged(a), t.aged(b)
	switch {
	case agedA && agedB:
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.ID, b.ID))
	case agedA != agedB:
		if agedA {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(t.unitCost(a), t.unitCost(b)), cmp.Compare(a.since, b.since), cmp.Compare(a.ID, b.ID))
}

func (t *turn) aged(c *candidate) bool {
	return c.since == none || stampOf(t.now)-c.since >= stamp(t.e.cfg.Aged)
}

// unitCost is what a pod of the group costs on average.
func (t *turn) unitCost(c *candidate) float64 {
	var sum core.Units
	for _, cost := range c.marginal(c.left) {
		sum += cost.Units
	}
	return float64(sum) / float64(max(c.left, 1))
}

// leastServed is the queue of the namespace that was served least, the first by name
// of several.
func leastServed(queues []queue) int {
	least := 0
	for i := range queues {
		if queues[i].served < queues[least].served {
			least = i
		}
	}
	return least
}

// grant releases one pod, or the whole of a group that must go together, if its
// wave has room and all its accounts have the units; otherwise it notes why not,
// and what those behind must leave.
func (t *turn) grant(c *candidate) (core.Units, bool) {
	if why, held := t.shutFor(c); held {
		c.account, c.reason = why.account, why.reason
		return 0, false
	}
	if c.wave.room-c.granted <= 0 {
		c.reason = c.wave.reason
		return 0, false
	}
	t.makeRoom(c)
	if id, paused := t.pausedFor(c); paused {
		c.account, c.reason = id, core.Paused
		return 0, false
	}
	switch {
	case c.Pinned:
		return t.grantNode(c)
	case c.Whole:
		return t.pay(c, t.releasable(c))
	}
	return t.pay(c, t.together(c))
}

// together is how many pods of a candidate go at a time: one, or where they are free all
// that may, as each would find the next as it was found.
func (t *turn) together(c *candidate) int {
	n := min(t.releasable(c), c.wave.room-c.granted)
	if t.opened || !c.of.breaker.Closed() || c.grows() || len(c.marginal(n)) > 0 {
		return 1
	}
	return n
}

// pay releases n pods of a candidate if all their accounts have the units.
func (t *turn) pay(c *candidate, n int) (core.Units, bool) {
	var sum core.Units
	short := false
	reason := core.Budget
	for _, cost := range c.marginal(n) {
		id, units := cost.Account, cost.Units
		a := t.e.accounts[id]
		switch {
		case a.turn.unlimited && !a.Paused:
			switch a.ledger.Grade(t.now) {
			case quota.GradeLost, quota.GradeStale, quota.GradeMismatch:
				reason = core.FailOpen
			}
		case a.turn.opened && !a.Paused && !a.turn.blocked && t.mayDrip(a, units):
			reason = core.FailOpen
		case a.turn.blocked || a.Paused || a.turn.opened || t.freeFor(a, c.Class, units) < min(units, a.turn.ceiling):
			if !short {
				c.account, c.reason = id, t.whyShort(c, a, units)
			}
			short, a.turn.blocked = true, true
			a.turn.nodesFirst = a.turn.nodesFirst || c.Pinned
		}
		if a.turn.ceiling < units { // it goes when the account is full: no wait can bring more
			reason = core.Hopeless
		}
		sum += units
	}
	if short {
		return 0, false
	}
	for _, cost := range c.costs {
		if a := t.e.accounts[cost.Account]; a.turn.opened {
			a.turn.dripped = true
		}
	}
	t.tries(c)
	t.release(c, n, reason)
	return sum, true
}

// pausedFor is an account that a person paused and that a pull of the group may go
// to, whatever that costs.
func (t *turn) pausedFor(c *candidate) (core.AccountID, bool) {
	if !c.pullsFree() {
		return "", false
	}
	for _, a := range c.asks {
		if a.Pulls() && t.e.accounts[a.Account].Paused {
			return a.Account, true
		}
	}
	return "", false
}

// freeFor is what is free for a grant of that price: one that could never fit
// beside the reserve of its class may use it.
func (t *turn) freeFor(a *account, class core.Class, units core.Units) core.Units {
	if a.turn.usable && units > t.allowed(a, class).most {
		class = core.ClassNodeCritical
	}
	return t.free(a, class)
}

// free is what a class may still spend of an account in this turn.
func (t *turn) free(a *account, class core.Class) core.Units {
	return t.allowed(a, class).units - a.turn.used
}

// allowed is what a class could spend of an account as the turn began.
func (t *turn) allowed(a *account, class core.Class) allowance {
	of := &a.turn
	for _, known := range of.available {
		if known.class == class {
			return known
		}
	}
	of.available = append(of.available, allowance{
		class: class, units: a.ledger.Available(t.now, class, of.demand), most: a.ledger.Most(class, of.demand),
	})
	return of.available[len(of.available)-1]
}

// whyShort names what an account lacks.
func (t *turn) whyShort(c *candidate, a *account, units core.Units) core.Reason {
	grade := a.ledger.Grade(t.now)
	switch {
	case a.Paused:
		return core.Paused
	case grade == quota.GradeLost || grade == quota.GradeStale:
		return core.ReadingLost
	case !a.turn.usable && a.ledger.Refused(t.now):
		return core.BreakerOpen
	case !a.turn.usable:
		return core.WaitingForReading
	case a.turn.nodesFirst && !c.Pinned:
		return core.NodeHeld
	case t.free(a, core.ClassNodeCritical) >= units:
		return core.Reserve
	}
	return core.WaitingForBudget
}

// preferWarm prefers nodes that cost nothing where there are enough of them.
func (t *turn) preferWarm() {
	for i, r := range t.out.Releases {
		if len(r.Nodes) > 0 || t.e.groups[r.Group].Pinned {
			continue
		}
		if warm := t.e.warmNodes(t.e.groups[r.Group], maxPreferred); len(warm) >= r.Count {
			t.out.Releases[i].Nodes = warm
		}
	}
}

// holds explains what is still held, in the order of release.
func (t *turn) holds() {
	for _, c := range t.inOrder() {
		if c.left <= 0 {
			continue
		}
		t.explain(c)
		t.makeRoom(c)
		h := Hold{Group: c.ID, Count: c.left, Reason: c.reason, Account: c.account}
		if a := t.e.accounts[c.account]; a != nil {
			for _, ask := range c.asks {
				if ask.Account == c.account {
					h.Need += ask.More(c.waiting+c.granted, c.left)
				}
			}
			h.Free = max(0, t.free(a, c.Class))
			h.Ahead = a.turn.ahead
			h.Expected = a.ledger.Expected(t.now, max(1, h.Need-h.Free))
			if until := a.breaker.Until; c.reason == core.BreakerOpen && until.After(h.Expected.From) {
				h.Expected.From = until
				if h.Expected.To.Before(until) {
					h.Expected.To = until
				}
			}
		}
		for _, a := range c.draws {
			a.turn.ahead += c.left
		}
		t.wakeForHold(c)
		t.out.Holds = append(t.out.Holds, h)
	}
}

// explain settles the Reason of a hold that no account explains.
func (t *turn) explain(c *candidate) {
	switch {
	case t.now.Before(c.refusedUntil):
		c.reason, c.account = core.ReleaseRefused, ""
	case c.foreign == c.left:
		c.reason, c.account = core.ForeignGate, ""
	case c.Paused:
		c.reason, c.account = core.Paused, ""
	}
	if c.reason == "" {
		why, _ := t.shutFor(c)
		c.reason, c.account = cmp.Or(why.reason, core.WaitingForBudget), cmp.Or(why.account, c.account)
	}
}

// wakeForHold makes sure that what can end a hold without an event is looked at
// in time.
func (t *turn) wakeForHold(c *candidate) {
	if c.firstExpiry != none {
		t.wakeAt(c.firstExpiry.time())
	}
	t.wakeForDrip(c)
	if t.now.Before(c.refusedUntil) {
		t.wakeAt(c.refusedUntil)
	}
}
