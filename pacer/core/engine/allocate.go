package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// allocate gives what is free to the held pods of one class, pod by pod: to the
// namespace served least, and in it to the group that unlocks most pods per
// unit. A group that does not fit keeps what it lacks from those behind it, so
// that nobody is overtaken for ever.
func (t *turn) allocate(class core.Class) {
	var line []*candidate
	for _, c := range t.line {
		if c.Class == class && t.releasable(c) > 0 && !c.Paused && !c.Failing {
			line = append(line, c)
		}
	}
	waiting := namespaces(line)
	t.e.fair.Activate(class, waiting)
	served := maps.Clone(t.e.fair[class])
	queues := t.queues(line)
	for len(queues) > 0 {
		ns := leastServed(queues, served)
		c := queues[ns][0]
		units, ok := t.grant(c)
		if ok {
			served[ns] += float64(units) / float64(max(c.Weight, 1))
		}
		if !ok || t.releasable(c) <= 0 {
			if queues[ns] = queues[ns][1:]; len(queues[ns]) == 0 {
				delete(queues, ns)
			}
		}
	}
}

// queues orders the candidates within each namespace.
func (t *turn) queues(line []*candidate) map[string][]*candidate {
	queues := map[string][]*candidate{}
	for _, c := range line {
		queues[c.Namespace] = append(queues[c.Namespace], c)
	}
	for _, q := range queues {
		slices.SortFunc(q, t.before)
	}
	return queues
}

// before is the order within a namespace: who has waited too long, then the
// most pods per unit, then age.
func (t *turn) before(a, b *candidate) int {
	agedA, agedB := t.aged(a), t.aged(b)
	switch {
	case agedA && agedB:
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.ID, b.ID))
	case agedA != agedB:
		if agedA {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(t.unitCost(a), t.unitCost(b)), a.since.Compare(b.since), cmp.Compare(a.ID, b.ID))
}

func (t *turn) aged(c *candidate) bool { return t.now.Sub(c.since) >= t.e.cfg.Aged }

// unitCost is what a pod of the group costs on average.
func (t *turn) unitCost(c *candidate) float64 {
	var sum core.Units
	for _, units := range plan.Marginal(c.asks, c.waiting+c.granted, c.left) {
		sum += units
	}
	return float64(sum) / float64(max(c.left, 1))
}

func leastServed(queues map[string][]*candidate, served map[string]float64) string {
	names := slices.Sorted(maps.Keys(queues))
	return slices.MinFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(served[a], served[b]), cmp.Compare(a, b))
	})
}

// grant releases one pod, or the whole of a group that must go together, if its
// wave has room and all its accounts have the units; otherwise it notes why not,
// and what those behind must leave.
func (t *turn) grant(c *candidate) (core.Units, bool) {
	if c.wave.room-c.granted <= 0 {
		c.reason = c.wave.reason
		return 0, false
	}
	n := 1
	if c.Whole {
		n = t.releasable(c)
	}
	cost := plan.Marginal(c.asks, c.waiting+c.granted, n)
	if id, paused := t.pausedFor(c); paused {
		c.account, c.reason = id, core.Paused
		return 0, false
	}
	var sum core.Units
	short := false
	reason := core.Budget
	for _, id := range slices.Sorted(maps.Keys(cost)) {
		a := t.e.accounts[id]
		switch {
		case a.ledger.Unlimited(t.now) && !a.Paused:
			switch a.ledger.Grade(t.now) {
			case quota.GradeLost, quota.GradeStale, quota.GradeMismatch:
				reason = core.FailOpen
			}
		case a.ledger.Opened(t.now) && !a.Paused && !t.blocked[id] && t.mayDrip(a, cost[id]):
			reason = core.FailOpen
		case t.blocked[id] || a.Paused || a.ledger.Opened(t.now) || t.freeFor(a, c.Class, cost[id]) < min(cost[id], t.ceiling(a, cost[id])):
			if !short {
				c.account, c.reason = id, t.whyShort(a, cost[id])
			}
			short, t.blocked[id] = true, true
		}
		if t.ceiling(a, cost[id]) < cost[id] {
			reason = core.Hopeless
		}
		sum += cost[id]
	}
	if short {
		return 0, false
	}
	for id := range cost {
		if t.e.accounts[id].ledger.Opened(t.now) {
			t.dripped[id] = true
		}
	}
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
		if a.Cold > 0 && t.e.accounts[a.Account].Paused {
			return a.Account, true
		}
	}
	return "", false
}

// ceiling is what an account can ever hold of units: what costs more than the
// limit goes when the account is full, as no wait can bring it more.
func (t *turn) ceiling(a *account, units core.Units) core.Units {
	if most := a.ledger.Ceiling(); a.ledger.Usable(t.now) && a.ledger.Limit() > 0 {
		return min(units, most)
	}
	return units
}

// freeFor is what is free for a grant of that price: one that could never fit
// beside the reserve of its class may use it.
func (t *turn) freeFor(a *account, class core.Class, units core.Units) core.Units {
	if a.ledger.Usable(t.now) && units > a.ledger.Most(class, t.demand[a.ID]) {
		class = core.ClassNodeCritical
	}
	return t.free(a, class)
}

// free is what a class may still spend of an account in this turn.
func (t *turn) free(a *account, class core.Class) core.Units {
	key := accountClass{a.ID, class}
	free, ok := t.available[key]
	if !ok {
		free = a.ledger.Available(t.now, class, t.demand[a.ID])
		t.available[key] = free
	}
	return free - t.used[a.ID]
}

// whyShort names what an account lacks.
func (t *turn) whyShort(a *account, units core.Units) core.Reason {
	grade := a.ledger.Grade(t.now)
	switch {
	case a.Paused:
		return core.Paused
	case grade == quota.GradeLost || grade == quota.GradeStale:
		return core.ReadingLost
	case !a.ledger.Usable(t.now) && a.ledger.Refused(t.now):
		return core.BreakerOpen
	case !a.ledger.Usable(t.now):
		return core.WaitingForReading
	case t.free(a, core.ClassNodeCritical) >= units:
		return core.Reserve
	}
	return core.WaitingForBudget
}

// mergeReleases folds the pod-by-pod grants of a group into one release, and
// prefers nodes that cost nothing where there are enough of them.
func (t *turn) mergeReleases() {
	at := map[string]int{}
	merged := t.out.Releases[:0]
	for _, r := range t.out.Releases {
		key := string(r.Group) + "/" + string(r.Reason)
		i, ok := at[key]
		if !ok || len(r.Pods) > 0 || len(merged[i].Pods) > 0 {
			at[key] = len(merged)
			merged = append(merged, r)
			continue
		}
		merged[i].Count += r.Count
		merged[i].Cost = addCosts(merged[i].Cost, r.Cost)
	}
	t.out.Releases = merged
	for i, r := range merged {
		if len(r.Nodes) > 0 {
			continue
		}
		if warm := t.e.warmNodes(t.e.groups[r.Group], maxPreferred); len(warm) >= r.Count {
			merged[i].Nodes = warm
		}
	}
}

func addCosts(a, b []Cost) []Cost {
	sum := map[core.AccountID]core.Units{}
	for _, c := range slices.Concat(a, b) {
		sum[c.Account] += c.Units
	}
	out := make([]Cost, 0, len(sum))
	for _, id := range sortedKeys(sum) {
		out = append(out, Cost{Account: id, Units: sum[id]})
	}
	return out
}

// holds explains what is still held, in the order of release.
func (t *turn) holds() {
	for _, c := range t.inOrder() {
		if c.left <= 0 {
			continue
		}
		t.explain(c)
		h := Hold{Group: c.ID, Count: c.left, Reason: c.reason, Account: c.account}
		if a := t.e.accounts[c.account]; a != nil {
			h.Need = plan.Marginal(c.asks, c.waiting+c.granted, c.left)[c.account]
			h.Free = max(0, t.free(a, c.Class))
			h.Ahead = t.ahead[c.account]
			h.Expected = a.ledger.Expected(t.now, max(1, h.Need-h.Free))
		}
		for _, id := range c.accounts() {
			t.ahead[id] += c.left
		}
		t.wakeForHold(c)
		t.out.Holds = append(t.out.Holds, h)
	}
}

// accounts lists what a candidate waits on, each once.
func (c *candidate) accounts() []core.AccountID {
	var ids []core.AccountID
	for _, a := range c.asks {
		if a.Cold > 0 && !slices.Contains(ids, a.Account) {
			ids = append(ids, a.Account)
		}
	}
	return ids
}

// explain settles the Reason of a hold that no account explains.
func (t *turn) explain(c *candidate) {
	switch {
	case t.now.Before(c.refusedUntil):
		c.reason, c.account = core.ReleaseRefused, ""
	case c.foreign == c.left:
		c.reason, c.account = core.ForeignGate, ""
	case c.Failing:
		c.reason, c.account = core.ImageFailing, ""
	case c.Paused:
		c.reason, c.account = core.Paused, ""
	}
	if c.reason == "" {
		c.reason = core.WaitingForBudget
	}
}

// wakeForHold makes sure that what can end a hold without an event is looked at
// in time.
func (t *turn) wakeForHold(c *candidate) {
	if !c.firstExpiry.IsZero() {
		t.wakeAt(c.firstExpiry)
	}
	t.wakeForDrip(c)
	if t.now.Before(c.refusedUntil) {
		t.wakeAt(c.refusedUntil)
	}
}
