package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
)

// growthOf is what comes where pods of a group find no room; nil: nothing does, or
// nobody knows how much room there is.
func (e *Engine) growthOf(g *group) *Growth {
	if e.growing == 0 || g.Room == nil {
		return nil
	}
	if p := e.pools[g.Pool]; p != nil {
		return p.Growth
	}
	return nil
}

// setPool takes in a pool, and takes back what is booked for nodes that it would no
// longer bring.
func (e *Engine) setPool(p Pool) {
	e.takeOffPool(p.ID, p.Growth)
	if p.Growth != nil {
		e.growing++
	}
	e.pools[p.ID] = &pool{Pool: p}
}

func (e *Engine) dropPool(id core.PoolID) {
	e.takeOffPool(id, nil)
	delete(e.pools, id)
}

// takeOffPool makes way for another state of a pool.
func (e *Engine) takeOffPool(id core.PoolID, next *Growth) {
	old := e.pools[id]
	if old == nil || old.Growth == nil {
		return
	}
	e.growing--
	if old.Growth.brings(next) {
		return
	}
	for _, g := range e.inOrder() {
		if g.Pool == id {
			e.unpool(e.now, g)
		}
	}
}

// brings reports whether what is added pulls the same.
func (g *Growth) brings(other *Growth) bool {
	return other != nil && slices.EqualFunc(g.Bundle, other.Bundle, ImageUse.drawsAs)
}

// grow adds to what pods of a group may be charged what the nodes pull that they may
// bring: their own images, and those that such a node pulls for itself.
func (e *Engine) grow(g *group, asks []plan.Ask) []plan.Ask {
	growth := e.growthOf(g)
	if growth == nil {
		return asks
	}
	room := e.roomOf(g)
	for i := range asks {
		a := &asks[i]
		a.Cold, a.Room = min(a.Cold, g.Room.Nodes), room
		a.Grows = slices.Contains(e.drawnByNew(growth, g.use(a.Image)), a.Account)
	}
	for i := range growth.Bundle {
		use := &growth.Bundle[i]
		if g.use(use.Image) != nil {
			continue // the same pull
		}
		drawn := e.drawnByNew(growth, use)
		for _, id := range use.Accounts {
			if a := e.accounts[id]; a != nil {
				asks = append(asks, plan.Ask{Account: id, Image: use.Image, Price: e.price(use.Image, a), Grows: slices.Contains(drawn, id), Room: room})
			}
		}
	}
	return asks
}

// use is the group's use of an image; nil: it has none.
func (g *group) use(image core.Image) *ImageUse {
	if i := slices.IndexFunc(g.Images, func(u ImageUse) bool { return u.Image == image }); i >= 0 {
		return &g.Images[i]
	}
	return nil
}

// drawnByNew lists the accounts that pulling an image to a new node may draw on.
func (e *Engine) drawnByNew(growth *Growth, use *ImageUse) []core.AccountID {
	if slices.Contains(growth.Images, use.Image) && !use.Always {
		return nil
	}
	var out []core.AccountID
	left := slices.Clone(growth.Egress)
	for _, id := range use.Accounts {
		a := e.accounts[id]
		switch {
		case a == nil:
		case a.Egress == "":
			return append(out, id)
		case len(growth.Egress) == 0:
			out = append(out, id)
		default:
			if i := slices.Index(left, a.Egress); i >= 0 {
				out, left = append(out, id), slices.Delete(left, i, i+1)
			}
			if len(left) == 0 {
				return out
			}
		}
	}
	return out
}

// roomOf is how many pods of a group find room if those of all others that are on no
// node yet find theirs before them.
func (e *Engine) roomOf(g *group) int {
	room := g.Room.Pods
	for _, other := range e.lined {
		if other != g {
			room -= other.inLine * g.takenBy(other)
		}
	}
	return max(room, 0)
}

// takenBy is how many places for pods of a group one of another takes at most.
func (g *group) takenBy(other *group) int {
	places := int64(1)
	if g.Size.MilliCPU > 0 {
		places = max(places, (other.Size.MilliCPU+g.Size.MilliCPU-1)/g.Size.MilliCPU)
	}
	if g.Size.Memory > 0 {
		places = max(places, (other.Size.Memory+g.Size.Memory-1)/g.Size.Memory)
	}
	return int(min(places, 1<<20))
}

// lineUp finds the groups with pods that are on no node, where room matters.
func (e *Engine) lineUp(now time.Time) {
	if e.lined = e.lined[:0]; e.growing == 0 {
		return
	}
	for _, g := range e.inOrder() {
		ours, ungated := e.inLine(g, now)
		g.inLine = 0
		e.joinLine(g, ours+ungated)
	}
}

// joinLine notes that more pods of a group take of the room.
func (e *Engine) joinLine(g *group, pods int) {
	if e.growing == 0 || pods == 0 {
		return
	}
	if g.inLine == 0 {
		e.lined = append(e.lined, g)
	}
	g.inLine += pods
}

// makeRoom brings up to date what room the pods that this turn let go leave a candidate.
func (t *turn) makeRoom(c *candidate) {
	if !c.grows() {
		return
	}
	room := t.e.roomOf(c.group)
	for i := range c.asks {
		c.asks[i].Room = room
	}
}

func (c *candidate) grows() bool {
	return slices.ContainsFunc(c.asks, func(a plan.Ask) bool { return a.Grows })
}
