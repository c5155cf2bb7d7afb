package policy

import (
	"slices"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
)

// scales reports whether an autoscaler adds nodes to a pool.
func (h *host) scales(p *pool) bool {
	return slices.ContainsFunc(p.members, func(id model.PoolID) bool { return h.spec.NodePools[id].Autoscaler != nil })
}

// growth is what an autoscaler would add to a pool now; nil: nothing.
func (h *host) growth(p *pool) *engine.Growth {
	var out *engine.Growth
	for _, id := range p.members {
		of := &h.spec.NodePools[id]
		if of.Autoscaler == nil || h.world.Pool(id).More == 0 {
			continue
		}
		var carried []core.Image
		for i := range h.spec.Images {
			if slices.Contains(of.Warm, h.spec.Images[i].Name) && h.images[i] != "" {
				carried = append(carried, h.images[i])
			}
		}
		if out == nil {
			out = &engine.Growth{Images: carried}
		}
		// of several what any of them lacks, and all that they pull
		out.Images = slices.DeleteFunc(out.Images, func(i core.Image) bool { return !slices.Contains(carried, i) })
		if !slices.Contains(out.Egress, of.Egress) {
			out.Egress = append(out.Egress, of.Egress)
		}
		if b := h.bundleOf(id); b != nil {
			for _, use := range b.group.Images {
				if !slices.ContainsFunc(out.Bundle, func(u engine.ImageUse) bool { return u.Image == use.Image }) {
					out.Bundle = append(out.Bundle, use)
				}
			}
		}
	}
	return out
}

// sameGrowth reports whether two are alike; which accounts an image draws on never changes.
func sameGrowth(a, b *engine.Growth) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Egress, b.Egress) && slices.Equal(a.Images, b.Images) &&
		slices.EqualFunc(a.Bundle, b.Bundle, func(x, y engine.ImageUse) bool { return x.Image == y.Image })
}

// room is what a pool's nodes take that are there, held or coming; nil where nothing
// asks for it.
func (h *host) room(p *pool) *engine.Room {
	if !h.scales(p) {
		return nil
	}
	out := &engine.Room{}
	for _, id := range p.members {
		of := h.world.Pool(id)
		empty := of.Coming + of.Held
		out.Pods += of.Places + empty*h.spec.NodePools[id].PodsPerNode
		out.Nodes += of.Open + empty
	}
	return out
}

// tellPools tells of the pools that have other nodes by now, or grow otherwise.
func (h *host) tellPools(tell func(engine.Event)) {
	for _, p := range h.pools {
		if h.scales(p) {
			if growth := h.growth(p); !sameGrowth(growth, p.growth) {
				p.growth, p.changed = growth, true
			}
		}
		if p.changed {
			p.changed = false
			tell(engine.Event{Pool: &engine.Pool{ID: p.id, Nodes: slices.Clip(p.nodes), Growth: p.growth}})
		}
	}
}

// tellRoom tells of the groups for which there is more or less room now.
func (h *host) tellRoom(tell func(engine.Event)) {
	for _, g := range h.groups {
		if !g.known || !h.scales(g.workload.pool) {
			continue
		}
		if room := h.room(g.workload.pool); g.announced.Room == nil || *room != *g.announced.Room {
			g.announced.Room = room
			next := g.announced
			tell(engine.Event{Group: &next})
		}
	}
}
