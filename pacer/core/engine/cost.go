package engine

import (
	"math/bits"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// asks lists what pods of g that are on no node yet may be charged, wherever
// they land among the nodes they can use. It holds until the next call for the group.
func (e *Engine) asks(g *group) []plan.Ask {
	if g.Pinned {
		g.asks = e.asksFor(g.asks[:0], g.Images, g.heldNodes())
	} else {
		g.asks = e.grow(g, e.asksFor(g.asks[:0], g.Images, e.nodesOf(g.Pool)))
	}
	return g.asks
}

// rollbackNeed adds up what going back from every rollout under way would have to
// pull now.
func (e *Engine) rollbackNeed() map[core.AccountID]core.Units {
	var need map[core.AccountID]core.Units
	for _, g := range e.groups {
		if len(g.Back) == 0 || g.Lane != LaneNormal {
			continue
		}
		if need == nil {
			need = map[core.AccountID]core.Units{}
		}
		pods := len(g.held.pods) + len(g.waiting.pods) + len(g.bound.pods) + len(g.pulled.pods) + max(g.More, 0)
		for _, a := range e.asksFor(nil, g.Back, e.nodesOf(g.Pool)) {
			need[a.Account] += a.UpTo(pods)
		}
	}
	return need
}

// asksFor adds what pulling images to nodes may be charged.
func (e *Engine) asksFor(out []plan.Ask, images []ImageUse, nodes bitset) []plan.Ask {
	for _, use := range images {
		has := e.fleet.has(use)
		var earlier bitset
		for _, id := range use.Accounts {
			a := e.accounts[id]
			if a == nil {
				continue
			}
			drawing := *e.fleet.egressSet(a.Egress)
			var claimed bitset
			if set := e.claimed[imageAccount{use.Image, a}]; set != nil {
				claimed = *set
			}
			cold := nodes.count(drawing, has, claimed, earlier)
			out = append(out, plan.Ask{Account: id, Image: use.Image, Price: e.price(use.Image, a), Cold: cold})
			if len(use.Accounts) > 1 { // most have one, and nothing comes after it
				earlier.addAll(drawing)
			}
		}
	}
	return out
}

// parked reports whether a pod has found no node for so long that its cost no
// longer blocks others.
func (e *Engine) parked(p *pod, now time.Time) bool {
	since := p.unschedulable()
	return since != none && stampOf(now)-since >= stamp(e.cfg.ParkAfter)
}

// setPools books what the pods that are on no node yet may be charged: derived
// anew each time, so that a bind narrows it at once.
func (e *Engine) setPools(now time.Time) {
	e.lineUp(now)
	for _, g := range e.inOrder() {
		ours, ungated := e.inLine(g, now)
		if ours+ungated == 0 && !g.pooled {
			continue
		}
		for _, a := range e.asks(g) {
			l := e.accounts[a.Account].ledger
			named := g.pooledAs(a.Image)
			most := a.UpTo(ours)
			mine := min(most+e.unseen(now, g, a), core.Units(ours)*a.Price)
			l.Set(now, named.ours, quota.Claim{Units: mine})
			l.Set(now, named.ungated, quota.Claim{Units: a.UpTo(ours+ungated) - most, Ungated: true})
		}
		g.pooled = ours+ungated > 0
	}
}

// unseen is what pods of a group may have been charged where a node has their image by
// now and none of them was seen there yet: the pull made the node warm, and no reading
// knows of it.
func (e *Engine) unseen(now time.Time, g *group, a plan.Ask) core.Units {
	if g.Pinned || g.use(a.Image) == nil {
		return 0
	}
	account := e.accounts[a.Account]
	since := stampOf(now.Add(-unseenFor))
	if read := account.ledger.LastSent(); !read.IsZero() {
		since = max(since, stampOf(read.Add(-account.ledger.Lag())))
	}
	return core.Units(e.fleet.newcomers(a.Image, since, e.nodesOf(g.Pool), *e.fleet.egressSet(account.Egress))) * a.Price
}

// pooled is what the bookings for an image of a group's pods that are on no node are called.
type pooled struct {
	image         core.Image
	ours, ungated string
}

// pooledAs names them. The names are kept: each turn asks.
func (g *group) pooledAs(image core.Image) pooled {
	if i := slices.IndexFunc(g.pools, func(p pooled) bool { return p.image == image }); i >= 0 {
		return g.pools[i]
	}
	name := "unbound/" + string(g.ID) + "/" + string(image)
	g.pools = append(g.pools, pooled{image, name + "/ours", name + "/ungated"})
	return g.pools[len(g.pools)-1]
}

// unpool takes back what is booked for pods of a group that are on no node: nobody
// will say how many there are any more, or not of these images and accounts.
func (e *Engine) unpool(now time.Time, g *group) {
	if !g.pooled {
		return
	}
	uses := g.Images
	if p := e.pools[g.Pool]; p != nil && p.Growth != nil {
		uses = slices.Concat(uses, p.Growth.Bundle)
	}
	for _, use := range uses {
		named := g.pooledAs(use.Image)
		for _, id := range use.Accounts {
			if a := e.accounts[id]; a != nil {
				a.ledger.Set(now, named.ours, quota.Claim{})
				a.ledger.Set(now, named.ungated, quota.Claim{Ungated: true})
			}
		}
	}
	g.pooled, g.pools = false, nil
}

// warmNodes lists up to most nodes of the pool that have every image of the
// group and no pod of it: using them saves units without crowding.
func (e *Engine) warmNodes(g *group, most int) []core.NodeID {
	nodes := e.nodesOf(g.Pool)
	warm := make(bitset, len(nodes))
	copy(warm, nodes)
	for _, use := range g.Images {
		if len(use.Accounts) == 0 {
			continue
		}
		has := e.fleet.has(use)
		for w := range warm {
			warm[w] &= has.word(w)
		}
	}
	taken := e.placesOf(g)
	for w := range warm {
		warm[w] &^= taken.word(w)
	}
	var out []core.NodeID
	for w, word := range warm {
		for ; word != 0 && len(out) < most; word &= word - 1 {
			if n := e.fleet.byIndex[w*64+bits.TrailingZeros64(word)]; n != nil && n.trouble == nil && !n.Coming {
				out = append(out, n.ID)
			}
		}
	}
	return out
}
