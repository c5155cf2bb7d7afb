package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

func (e *Engine) observeNode(now time.Time, n Node) {
	known := e.fleet.find(n.ID) != nil
	e.fleet.upsert(now, n, e.replacing)
	if !known {
		e.rebuildPools()
		e.placeStrays(now)
	}
}

func (e *Engine) dropNode(now time.Time, id core.NodeID) {
	if n := e.fleet.find(id); n != nil {
		for _, running := range slices.Clone(n.pulls) {
			e.endPull(now, running, running.node.leaves())
		}
	}
	e.fleet.drop(id)
	e.rebuildPools()
}

// leaves is how a pull to the node ends that nobody waits for any more: it may have been
// charged, but for one to a node that never was there.
func (n *node) leaves() quota.Outcome {
	if n.Coming {
		return quota.Present
	}
	return quota.Gone
}

// rebuildPools makes every pool resolve its nodes again, and every group where its
// pods are.
func (e *Engine) rebuildPools() {
	for _, p := range e.pools {
		p.bits = nil
	}
	for _, g := range e.groups {
		g.places = places{}
	}
}

// nodesOf is the set of live nodes of a pool.
func (e *Engine) nodesOf(id core.PoolID) bitset {
	p := e.pools[id]
	if p == nil {
		return nil
	}
	if p.bits == nil {
		p.bits = make(bitset, len(e.fleet.alive))
		for _, name := range p.Nodes {
			if n := e.fleet.find(name); n != nil {
				p.bits.add(n.index)
			}
		}
	}
	return p.bits
}

func (e *Engine) observeGroup(now time.Time, g Group) {
	known := e.groups[g.ID]
	if known == nil {
		fresh := newGroup(g)
		e.join(fresh)
		e.groups[g.ID] = fresh
		e.names.give(g.ID, fresh)
		e.sorted = nil
		e.placeStrays(now)
		return
	}
	if !slices.EqualFunc(known.Images, g.Images, ImageUse.drawsAs) ||
		e.growing > 0 && (known.Pool != g.Pool || (known.Room == nil) != (g.Room == nil)) {
		e.unpool(now, known)
	}
	if g.Resumed.After(known.Resumed) {
		known.of.breaker.Close(now)
	}
	moved := known.Workload != g.Workload || known.Revision != g.Revision
	if moved {
		e.part(known)
	}
	known.Group, known.uses = g, nil
	if moved {
		e.join(known)
	}
}

// drawsAs reports whether two uses are of the same image and accounts.
func (u ImageUse) drawsAs(v ImageUse) bool {
	return u.Image == v.Image && slices.Equal(u.Accounts, v.Accounts)
}

// dropGroup forgets a group; its pods become strays until they are seen again.
func (e *Engine) dropGroup(now time.Time, id core.GroupID) {
	g := e.groups[id]
	if g == nil {
		return
	}
	e.unpool(now, g)
	e.part(g)
	delete(e.groups, id)
	e.names.give(id, nil)
	e.sorted = nil
	for _, set := range g.sets() {
		for _, p := range set.pods {
			p.in = inNone
			e.strays[p.ID] = true
		}
	}
}

// placeStrays tries again to place the pods whose group or node was missing.
func (e *Engine) placeStrays(now time.Time) {
	for _, id := range sortedKeys(e.strays) {
		if p := e.pods.find(id); p != nil {
			e.place(now, p)
		}
	}
}
