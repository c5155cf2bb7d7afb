package engine

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// turn is the scratch paper of one decision, and of the next.
type turn struct {
	e    *Engine
	now  time.Time
	line []*candidate // every group with something to release, in order of id
	sort []*candidate // the line, or a part of it, as it was ordered last
	// opened says that the breaker of an account is not closed; tried are the revisions
	// of which this turn lets the one go that is tried.
	opened bool
	tried  map[string]bool
	out    Decision
}

// tally is what a turn notes of an account.
type tally struct {
	// unlimited, opened and usable are what the books say of it, ceiling the most that it
	// can ever hold, as far as a limit is known: none of it changes within a turn.
	unlimited, opened, usable bool
	ceiling                   core.Units
	// used is what the turn has given away of it, available what each class that asked
	// might spend before.
	used      core.Units
	available []allowance
	demand    quota.Demand
	ahead     int
	// blocked says that a group that did not fit waits on it: those behind it must not
	// take what it lacks. nodesFirst says that a held node does.
	blocked, nodesFirst bool
	// dripped says that a pod went for it without units, tried that the one goes that its
	// breaker tries.
	dripped, tried bool
}

// allowance is what a class may spend, and the most that it ever may.
type allowance struct {
	class       core.Class
	units, most core.Units
}

// candidate is a group whose pods are held, in a turn.
type candidate struct {
	*group
	// draws are the accounts that it waits on, each once.
	draws []*account
	// waiting is how many of its pods are free to go and on no node yet.
	waiting int
	wave    wave
	// left is how many are still held after what this turn released.
	left, granted int
	went          []int // places of its releases in the decision
	nodes         *nodeLine
	costs         []Cost
	reason        core.Reason
	account       core.AccountID
}

// Decide answers for everything that is held. Without new events and at the same
// now it answers the same again.
func (e *Engine) Decide(now time.Time) Decision {
	now = e.clock(now)
	e.setPools(now)
	e.passTime(now)
	t := e.newTurn(now)
	t.queue()
	t.countDemand()
	for _, a := range e.listAccounts() {
		a.ledger.Watch(now, a.turn.demand.Held)
	}
	for _, c := range t.line {
		t.letPass(c)
	}
	t.drips()
	for _, class := range core.Classes() {
		t.allocate(class)
	}
	for _, c := range t.line {
		t.impatient(c)
	}
	t.preferWarm()
	t.finish()
	e.last = t.out
	return t.out
}

func (e *Engine) newTurn(now time.Time) *turn {
	opened := false
	for _, a := range e.listAccounts() {
		opened = opened || !a.breaker.Closed()
		a.turn = tally{
			available: a.turn.available[:0], ceiling: math.MaxInt64,
			unlimited: a.ledger.Unlimited(now), opened: a.ledger.Opened(now), usable: a.ledger.Usable(now),
		}
		if a.turn.usable && a.ledger.Limit() > 0 {
			a.turn.ceiling = a.ledger.Ceiling()
		}
	}
	t := &e.turn
	if t.e == nil {
		*t = turn{e: e, tried: map[string]bool{}}
	}
	clear(t.tried)
	clear(t.line)
	clear(t.sort)
	t.now, t.opened, t.line, t.out = now, opened, t.line[:0], Decision{ID: e.decisionID(now), At: now}
	return t
}

// decisionID names a decision by when it was made and on what; it is short
// because people read it out.
func (e *Engine) decisionID(now time.Time) string {
	h := fnv(fnv(fnvStart, uint64(now.UnixNano())), e.events^e.cfg.Seed)
	word := uint32(h ^ h>>32)
	var id [8]byte
	for i := range id {
		id[i] = "0123456789abcdef"[word>>(28-4*i)&15]
	}
	return string(id[:])
}

// queue collects the groups with held pods.
func (t *turn) queue() {
	for _, g := range t.e.inOrder() {
		if len(g.held.pods) == 0 {
			continue
		}
		ours, ungated := t.e.inLine(g, t.now)
		t.e.asks(g)
		c := &g.turn
		*c = candidate{
			group: g, waiting: ours + ungated, left: len(g.held.pods), wave: t.e.wave(g, ours+ungated),
			draws: c.draws[:0], went: c.went[:0], costs: c.costs[:0],
		}
		for _, ask := range c.asks {
			if a := t.e.accounts[ask.Account]; ask.Pulls() && !slices.Contains(c.draws, a) {
				c.draws = append(c.draws, a)
			}
		}
		if g.Pinned {
			c.nodes = newNodeLine(g)
		}
		t.line = append(t.line, c)
	}
}

// countDemand sums what everything held may cost, so that the last window of a
// finite demand can be recognised.
func (t *turn) countDemand() {
	need := t.e.rollbackNeed()
	for _, a := range t.e.listAccounts() {
		a.turn.demand.Rollback = a.RollbackNeed + need[a.ID]
	}
	for _, c := range t.line {
		for _, a := range c.asks {
			t.e.accounts[a.Account].turn.demand.Held += a.More(c.waiting, c.left+max(c.More, 0))
		}
	}
}

// letPass releases what does not wait for budget: what a person wants at once,
// repairs and rollbacks, and pods that cost nothing.
func (t *turn) letPass(c *candidate) {
	t.makeRoom(c)
	if c.overridden > 0 {
		t.releasePods(c, core.Override, func(p *pod) bool { return p.overridden })
	}
	if c.Lane != LaneNormal {
		reason := core.Repair
		if c.Lane == LaneRollback {
			reason = core.Rollback
		}
		t.release(c, t.releasable(c), reason)
	}
	if c.Paused {
		return
	}
	if _, held := t.shutFor(c); held {
		return
	}
	if c.Pinned {
		t.letWarmNodesPass(c)
		return
	}
	if n := t.releasable(c); n > 0 && !c.pullsFree() && len(c.marginal(n)) == 0 {
		t.release(c, n, c.costsNothing())
	}
}

// costsNothing is why a candidate goes that needs no pull that is paced.
func (c *candidate) costsNothing() core.Reason {
	if !slices.ContainsFunc(c.Images, func(u ImageUse) bool { return len(u.Accounts) > 0 }) {
		return core.NoBudget
	}
	return core.Warm
}

// pullsFree reports whether a pull of the group is believed to cost nothing, as one
// that a mirror answers. It needs no units, and is a pull all the same: of a wave,
// and of an account that a person may have paused.
func (c *candidate) pullsFree() bool {
	return slices.ContainsFunc(c.asks, func(a plan.Ask) bool { return a.Pulls() && a.Price == 0 })
}

// releasable is how many pods of a candidate may go at all: not those that
// another owner's gate holds, and none right after a refused release.
func (t *turn) releasable(c *candidate) int {
	if t.now.Before(c.refusedUntil) {
		return 0
	}
	return c.left - c.foreign
}

// free are the held pods that no other owner's gate is on, sorted.
func (g *group) free() []core.PodID {
	return g.held.ids(func(p *pod) bool { return !p.ForeignGate })
}

// releasePods releases the very pods that match, whatever they cost.
func (t *turn) releasePods(c *candidate, reason core.Reason, match func(*pod) bool) {
	ids := c.held.ids(func(p *pod) bool { return match(p) && !p.ForeignGate })
	if c.Whole && len(ids) > 0 {
		ids = c.free()
	}
	if len(ids) > 0 && t.releasable(c) >= len(ids) {
		t.releaseThese(c, ids, reason)
	}
}

// release notes that n pods of a candidate go, and what they may cost. Pods of a group
// that go for the same reason are one release, but for those that are named; nodes are
// named always.
func (t *turn) release(c *candidate, n int, reason core.Reason) {
	if n <= 0 {
		return
	}
	at := slices.IndexFunc(c.went, func(i int) bool {
		r := &t.out.Releases[i]
		return r.Reason == reason && (len(r.Pods) == 0 || c.Pinned)
	})
	if at < 0 {
		at = len(c.went)
		c.went = append(c.went, len(t.out.Releases))
		t.out.Releases = append(t.out.Releases, Release{Group: c.ID, Reason: reason, Nodes: c.wave.nodes})
	}
	r := &t.out.Releases[c.went[at]]
	for _, cost := range c.marginal(n) {
		t.e.accounts[cost.Account].turn.used += cost.Units
		r.Cost = addCost(r.Cost, cost)
	}
	r.Count += n
	t.e.joinLine(c.group, n)
	c.granted += n
	c.left -= n
	if c.Pinned {
		r.Pods = append(r.Pods, c.nodes.leave()...)
	}
}

// releaseThese is release of the very pods.
func (t *turn) releaseThese(c *candidate, ids []core.PodID, reason core.Reason) {
	if c.Pinned {
		t.releaseNodes(c, ids, reason)
		return
	}
	t.release(c, len(ids), reason)
	t.out.Releases[len(t.out.Releases)-1].Pods = ids
}

// marginal is what n more pods of a candidate may be charged, sorted by account. It
// holds until the next call.
func (c *candidate) marginal(n int) []Cost {
	c.costs = c.costs[:0]
	if c.nodes != nil && c.nodes.next != nil {
		c.costs = append(c.costs, c.nodes.cost...)
		return c.costs
	}
	from := c.waiting + c.granted
	for _, a := range c.asks {
		if units := a.More(from, n); units > 0 {
			c.costs = addCost(c.costs, Cost{a.Account, units})
		}
	}
	return c.costs
}

// addCost adds units to the costs of their account; costs stay sorted.
func addCost(costs []Cost, c Cost) []Cost {
	i, found := slices.BinarySearchFunc(costs, c.Account, func(k Cost, id core.AccountID) int { return cmp.Compare(k.Account, id) })
	if found {
		costs[i].Units += c.Units
		return costs
	}
	return slices.Insert(costs, i, c)
}

// finish fills in holds, probes, views and the wake.
func (t *turn) finish() {
	t.holds()
	accounts := t.e.listAccounts()
	t.out.Accounts, t.out.Probes = make([]View, 0, len(accounts)), make([]Probe, 0, len(accounts))
	for _, a := range accounts {
		d := a.turn.demand
		books := a.ledger.Books(t.now, d)
		if short := d.Held - max(0, a.ledger.Available(t.now, core.ClassRollout, d)); short > 0 {
			books.Forecast = a.ledger.Expected(t.now, short)
		}
		t.out.Accounts = append(t.out.Accounts, View{
			Account: a.ID, Books: books, Held: a.turn.ahead, Demand: d.Held,
			Paused: a.Paused,
		})
		view := &t.out.Accounts[len(t.out.Accounts)-1]
		waiting, next := a.turn.ahead > 0, a.ledger.NotBefore()
		if at := a.ledger.NextUnit(t.now); waiting && !at.IsZero() {
			t.wakeAt(at) // nobody tells of it
		}
		if at := a.ledger.NextProbe(waiting, t.jitter(a)); !at.IsZero() {
			at = a.hurry(at)
			t.out.Probes = append(t.out.Probes, Probe{Account: a.ID, At: at, Twice: a.ledger.WantsPair()})
			if waiting {
				t.wakeAt(at)
			}
			next = at
		}
		view.Breaker = t.breakerOf(a, next)
		if waiting && a.breaker.Until.After(t.now) {
			t.wakeAt(a.breaker.Until)
		}
	}
	t.out.Failing = t.failing()
	slices.SortStableFunc(t.out.Probes, func(a, b Probe) int { return a.At.Compare(b.At) })
	if len(t.out.Holds) > 0 {
		t.wakeAt(t.now.Add(maxSleep))
	}
}

// maxSleep bounds the wake while something is held, so that a lost event costs
// little; minSleep keeps a wake that is due from spinning.
const (
	maxSleep = 20 * time.Second
	minSleep = time.Second
)

// wakeAt makes the wake no later than at, and not sooner than minSleep.
func (t *turn) wakeAt(at time.Time) {
	if soonest := t.now.Add(minSleep); at.Before(soonest) {
		at = soonest
	}
	if t.out.Wake.IsZero() || at.Before(t.out.Wake) {
		t.out.Wake = at
	}
}

// jitter spreads the probes of accounts and clusters: within a tenth, the same
// for the same reading.
func (t *turn) jitter(a *account) float64 {
	h := fnv(a.lot, uint64(a.ledger.LastAttempt().UnixNano()))
	return (float64(h>>11)/(1<<53) - 0.5) / 5
}

// fnvStart and fnv are the 64-bit FNV-1a hash over words.
const fnvStart uint64 = 14695981039346656037

func fnv(h, word uint64) uint64 {
	for range 8 {
		h = (h ^ word&0xff) * 1099511628211
		word >>= 8
	}
	return h
}

// namespaces lists the namespaces of candidates that are sorted by them.
func namespaces(line []*candidate) []string {
	names := make([]string, 0, len(line))
	for _, c := range line {
		if last := len(names) - 1; last < 0 || names[last] != c.Namespace {
			names = append(names, c.Namespace)
		}
	}
	return names
}
