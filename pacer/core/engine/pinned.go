package engine

import (
	"cmp"
	"slices"

	"github.com/pullpace/pace/pacer/core"
)

// nodeLine is the held nodes of a candidate in the order in which they go: spread over
// egress groups and their zones, and in each the oldest first.
type nodeLine struct {
	domains []nodeDomain
	// flying is how many nodes of an egress group pull already, or go.
	flying map[string]int
	// next are the nodes that go next, and cost what they may be charged.
	next []*pod
	cost []Cost
}

// nodeDomain is the held nodes of a zone of an egress group.
type nodeDomain struct {
	egress, zone string
	pods         []*pod
	flying       int
}

// newNodeLine lines the held nodes of a group up. Those that are not known, or gone, are
// not in it: nobody can say what they would pull.
func newNodeLine(g *group) *nodeLine {
	l := &nodeLine{flying: map[string]int{}}
	for _, p := range g.held.pods {
		if n := p.node.of(); n != nil && !n.Coming && !p.ForeignGate {
			d := l.domain(n)
			d.pods = append(d.pods, p)
		}
	}
	for i := range l.domains {
		slices.SortFunc(l.domains[i].pods, older)
	}
	for _, p := range g.bound.pods {
		if n := p.node.of(); n != nil && !n.Coming {
			l.domain(n).flying++
			l.flying[n.Egress]++
		}
	}
	return l
}

func older(p, q *pod) int {
	return cmp.Or(cmp.Compare(p.created, q.created), cmp.Compare(p.ID, q.ID))
}

func (l *nodeLine) domain(n *node) *nodeDomain {
	for i := range l.domains {
		if d := &l.domains[i]; d.egress == n.Egress && d.zone == n.Zone {
			return d
		}
	}
	l.domains = append(l.domains, nodeDomain{egress: n.Egress, zone: n.Zone})
	return &l.domains[len(l.domains)-1]
}

// order lists the domains that hold nodes, the one that pulls least first.
func (l *nodeLine) order() []*nodeDomain {
	var out []*nodeDomain
	for i := range l.domains {
		if len(l.domains[i].pods) > 0 {
			out = append(out, &l.domains[i])
		}
	}
	slices.SortFunc(out, func(a, b *nodeDomain) int {
		return cmp.Or(cmp.Compare(l.flying[a.egress], l.flying[b.egress]), cmp.Compare(a.flying, b.flying), older(a.pods[0], b.pods[0]))
	})
	return out
}

// leave takes the next nodes out, which go.
func (l *nodeLine) leave() []core.PodID {
	ids := make([]core.PodID, len(l.next))
	for i, p := range l.next {
		ids[i] = p.ID
		if n := p.node.of(); n != nil {
			d := l.domain(n)
			d.pods = slices.DeleteFunc(d.pods, func(q *pod) bool { return q == p })
			d.flying++
			l.flying[d.egress]++
		}
	}
	l.next = nil
	return ids
}

// inOrder lists all of them, the oldest first.
func (l *nodeLine) inOrder() []*pod {
	var out []*pod
	for i := range l.domains {
		out = append(out, l.domains[i].pods...)
	}
	slices.SortFunc(out, older)
	return out
}

// grantNode lets the next node go whose accounts have the units: one that waits for an
// egress group keeps none of another.
func (t *turn) grantNode(c *candidate) (core.Units, bool) {
	for i, d := range c.nodes.order() {
		account, reason := c.account, c.reason
		t.ask(c, []*pod{d.pods[0]})
		units, ok := t.pay(c, 1)
		if ok {
			return units, true
		}
		if i > 0 { // the first tells what is waited for
			c.account, c.reason = account, reason
		}
	}
	c.nodes.next = nil
	return 0, false
}

// ask makes these nodes the ones that a candidate's price is of.
func (t *turn) ask(c *candidate, nodes []*pod) {
	c.nodes.next, c.nodes.cost = nodes, nil
	for _, p := range nodes {
		for _, pull := range t.e.lacking(c.group, p.node.of()) {
			if pull.Units > 0 {
				c.nodes.cost = addCost(c.nodes.cost, Cost{pull.Account, pull.Units})
			}
		}
	}
}

// letWarmNodesPass lets nodes go that lack nothing of their bundle.
func (t *turn) letWarmNodesPass(c *candidate) {
	var ids []core.PodID
	for _, p := range c.nodes.inOrder() {
		if len(t.e.lacking(c.group, p.node.of())) == 0 {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) > 0 && t.releasable(c) >= len(ids) {
		t.releaseNodes(c, ids, c.costsNothing())
	}
}

// releaseNodes lets these very nodes go.
func (t *turn) releaseNodes(c *candidate, ids []core.PodID, reason core.Reason) {
	nodes := make([]*pod, len(ids))
	for i, id := range ids {
		nodes[i] = t.e.pods.find(id)
	}
	t.ask(c, nodes)
	t.release(c, len(ids), reason)
}

// dripNodes lets those of some nodes go that need no units of an account which has had
// its turn.
func (t *turn) dripNodes(c *candidate, due []core.PodID, reason core.Reason) {
	for _, id := range due {
		if t.releasable(c) <= 0 {
			return
		}
		p := t.e.pods.find(id)
		pulls := t.e.lacking(c.group, p.node.of())
		if slices.ContainsFunc(pulls, func(pull Pull) bool {
			a := t.e.accounts[pull.Account]
			return !a.turn.unlimited && !t.mayDrip(a, pull.Units)
		}) {
			continue
		}
		for _, pull := range pulls {
			t.e.accounts[pull.Account].turn.dripped = true
		}
		t.releaseNodes(c, []core.PodID{id}, reason)
	}
}

// impatient lets a node go that could not be fed before its hold ends: to hold it would
// cost its time and save nothing. Such nodes go one at each refill from the start, as
// they would once their holds have ended, and not all at once.
func (t *turn) impatient(c *candidate) {
	if !c.Pinned || c.Paused || t.releasable(c) <= 0 || t.outOfReach(c) {
		return
	}
	need := map[core.AccountID]core.Units{}
	for _, p := range c.nodes.inOrder() {
		if p.holdUntil == none {
			continue
		}
		for _, pull := range t.e.lacking(c.group, p.node.of()) {
			need[pull.Account] += pull.Units
			a := t.e.accounts[pull.Account]
			short := need[pull.Account] - max(0, t.free(a, c.Class))
			if short <= 0 || !a.turn.usable || a.Paused {
				continue
			}
			if at := a.ledger.Expected(t.now, short).From; stampOf(at) > p.holdUntil {
				t.dripNodes(c, []core.PodID{p.ID}, core.Hopeless)
				return
			}
		}
	}
}

// heldNodes are the nodes of held pods that can only go to one.
func (g *group) heldNodes() bitset {
	var nodes bitset
	for _, p := range g.held.pods {
		if n := p.node.of(); n != nil {
			nodes.add(n.index)
		}
	}
	return nodes
}

// nodesPulling counts the nodes of a group that pull: not those that are coming.
func (g *group) nodesPulling() int {
	count := 0
	for _, p := range g.bound.pods {
		if n := p.node.of(); n != nil && !n.Coming {
			count++
		}
	}
	return count
}

// lacking are the pulls that a pod of the group would begin on a node.
func (e *Engine) lacking(g *group, n *node) []Pull {
	if n == nil {
		return nil
	}
	pulls := e.pullsOn(g, n)
	return slices.DeleteFunc(pulls, func(p Pull) bool { return p.Running })
}
