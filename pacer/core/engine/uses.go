package engine

import "github.com/pullpace/pace/pacer/core"

// use is an image of a group with what its names are of at present: each pod asks, and a
// search for each would take longer than all the rest.
type use struct {
	image core.Image
	// always says that every start asks the registry.
	always bool
	// draws are its accounts that are known, in order of preference.
	draws []*account
	// on are the nodes that have it; nil: none has.
	on *bitset
}

// edition tells whether names are of what they were of before: it counts how often an
// account came or went, and an image came to its first node or left its last.
type edition struct{ accounts, images int }

// uses are the images of a group.
func (e *Engine) uses(g *group) []use {
	now := edition{e.edition, e.fleet.edition}
	if g.uses != nil && g.usesOf == now {
		return g.uses
	}
	g.uses, g.usesOf = make([]use, len(g.Images)), now
	for i := range g.Images {
		of := &g.Images[i]
		u := use{image: of.Image, always: of.Always, on: e.fleet.present[of.Image]}
		for _, id := range of.Accounts {
			if a := e.accounts[id]; a != nil {
				u.draws = append(u.draws, a)
			}
		}
		g.uses[i] = u
	}
	return g.uses
}

// drawnOn is the account that pulling the image to a node is charged to; nil: none.
func (u *use) drawnOn(n *node) *account {
	for _, a := range u.draws {
		if a.Egress == "" || a.Egress == n.Egress {
			return a
		}
	}
	return nil
}

// has reports whether a node need not ask for the image.
func (u *use) has(n *node) bool {
	return u.on != nil && u.on.has(n.index) && (!u.always || !n.AlwaysCosts)
}
