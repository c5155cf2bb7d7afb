package engine

import (
	"math/bits"

	"github.com/pullpace/pace/pacer/core"
)

// roster finds pods by their names, which it reads from the pods: of a million it
// takes a third of what a map takes. Pods are made many at a time, and those that are
// gone are made anew. The zero value is empty.
type roster struct {
	// slots are open to probing, a power of two of them and a quarter free at least.
	slots []*pod
	count int
	fresh []pod
	spare []*pod
}

const (
	leastSlots  = 64
	podsAtATime = 51 // a page of them
)

// find is the pod of a name; nil if there is none.
func (r *roster) find(id core.PodID) *pod {
	if len(r.slots) == 0 {
		return nil
	}
	return r.slots[r.slot(id)]
}

// slot is where a name is, or would be.
func (r *roster) slot(id core.PodID) int {
	last := len(r.slots) - 1
	at := int(spread(id)) & last
	for r.slots[at] != nil && r.slots[at].ID != id {
		at = (at + 1) & last
	}
	return at
}

// add makes the pod of a name that has none.
func (r *roster) add(id core.PodID) *pod {
	if 4*(r.count+1) > 3*len(r.slots) {
		r.grow()
	}
	p := r.take()
	*p = pod{ID: id}
	r.slots[r.slot(id)] = p
	r.count++
	return p
}

func (r *roster) take() *pod {
	if last := len(r.spare) - 1; last >= 0 {
		p := r.spare[last]
		r.spare = r.spare[:last]
		return p
	}
	if len(r.fresh) == 0 {
		r.fresh = make([]pod, podsAtATime)
	}
	p := &r.fresh[0]
	r.fresh = r.fresh[1:]
	return p
}

func (r *roster) grow() {
	old := r.slots
	r.slots = make([]*pod, max(leastSlots, 2*len(old)))
	for _, p := range old {
		if p != nil {
			r.slots[r.slot(p.ID)] = p
		}
	}
}

// remove takes a pod out that nothing refers to any more. Those behind it that its
// place kept from theirs move up.
func (r *roster) remove(p *pod) {
	last := len(r.slots) - 1
	free := r.slot(p.ID)
	for at := (free + 1) & last; r.slots[at] != nil; at = (at + 1) & last {
		home := int(spread(r.slots[at].ID)) & last
		if (at-home)&last >= (at-free)&last {
			r.slots[free], free = r.slots[at], at
		}
	}
	r.slots[free] = nil
	r.count--
	*p = pod{}
	r.spare = append(r.spare, p)
}

// spread makes of a name a number of which the low bits differ.
func spread(id core.PodID) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(len(id))
	for ; len(id) >= 8; id = id[8:] {
		word := uint64(id[0]) | uint64(id[1])<<8 | uint64(id[2])<<16 | uint64(id[3])<<24 |
			uint64(id[4])<<32 | uint64(id[5])<<40 | uint64(id[6])<<48 | uint64(id[7])<<56
		high, low := bits.Mul64(h^word^odd, odd)
		h = high ^ low
	}
	for i := range len(id) {
		h = h<<8 | h>>56 ^ uint64(id[i])
	}
	high, low := bits.Mul64(h^odd, odd)
	return high ^ low
}
