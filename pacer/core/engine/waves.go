package engine

import (
	"slices"

	"github.com/pullpace/pace/pacer/core"
)

// maxPreferred bounds the nodes named in one preferred affinity term.
const maxPreferred = 50

// unbounded is a wave that only the budget bounds.
const unbounded = int(^uint(0) >> 1)

// wave is how many more pods of a group may go now, why no more, and where.
type wave struct {
	room   int
	reason core.Reason
	nodes  []core.NodeID
}

// wave bounds a group by its canary and its wave size.
func (e *Engine) wave(g *group, waiting int) wave {
	flying := waiting + len(g.bound.pods)
	if g.Pinned {
		flying = g.nodesPulling()
	}
	w := wave{room: unbounded}
	if g.Whole {
		return w
	}
	if size := g.Waves.Size; size > 0 {
		w = e.sizedWave(g, size, flying)
	}
	if n := g.Waves.Canary; n > 0 && g.past < n && n-g.past-flying < w.room {
		w.room, w.reason = max(0, n-g.past-flying), core.Canary
	}
	return w
}

// sizedWave lets as many nodes, or the nodes of as many zones or egress groups,
// pull at once as the policy says.
func (e *Engine) sizedWave(g *group, size, flying int) wave {
	if g.Waves.By == "Node" || g.Waves.By == "" {
		return wave{room: max(0, size-flying), reason: core.WaveFull}
	}
	domains := e.coldByDomain(g)
	open := min(size, len(domains))
	room := 0
	var nodes []core.NodeID
	for _, d := range domains[:open] {
		room += len(d.nodes)
		nodes = append(nodes, d.nodes...)
	}
	if len(domains) == 0 {
		return wave{room: unbounded}
	}
	return wave{room: max(0, room-flying), reason: core.WaveFull, nodes: nodes[:min(len(nodes), maxPreferred)]}
}

// domain is the nodes of a zone or egress group that have not got every image.
type domain struct {
	name  string
	nodes []core.NodeID
}

// coldByDomain lists the domains in which pulls are due or running, in order.
func (e *Engine) coldByDomain(g *group) []domain {
	byName := map[string][]core.NodeID{}
	for _, i := range e.nodesOf(g.Pool).list(len(e.fleet.byIndex), e.fleet.alive) {
		n := e.fleet.byIndex[i]
		if n == nil || n.Coming || !e.lacksAny(g, n) {
			continue
		}
		name := n.Zone
		if g.Waves.By == "Egress" {
			name = n.Egress
		}
		byName[name] = append(byName[name], n.ID)
	}
	var out []domain
	for name, nodes := range byName {
		slices.Sort(nodes)
		out = append(out, domain{name, nodes})
	}
	slices.SortFunc(out, func(a, b domain) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out
}

func (e *Engine) lacksAny(g *group, n *node) bool {
	uses := e.uses(g)
	for i := range uses {
		if len(g.Images[i].Accounts) > 0 && !uses[i].has(n) {
			return true
		}
	}
	return false
}
