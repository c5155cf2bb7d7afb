package engine

import (
	"math/bits"

	"github.com/pullpace/pace/pacer/core"
)

// roster finds pods by their names, which it reads from the pods: of a million it
// takes a third of what a map takes. Pods are made many at a time and numbered, and those
// that are gone are made anew. The zero value is empty.
type roster struct {
	// slots are open to probing, a power of two of them and a quarter free at least.
	slots []slot
	count int
	pages []*page
	made  int // pods in the pages
	spare []uint32
}

// slot is where a name is kept: its hash, so that a search looks at few other pods than
// the one that it finds, and the number of its pod, from one on; zero is free.
type slot struct{ hash, pod uint32 }

// page is pods that are made at a time.
type page [podsAtATime]pod

const (
	leastSlots  = 64
	manySlots   = 1 << 13
	podsAtATime = 51 // a page of memory
)

// numbered is a pod by its number.
func (r *roster) numbered(n uint32) *pod { return &r.pages[(n-1)/podsAtATime][(n-1)%podsAtATime] }

// find is the pod of a name; nil if there is none.
func (r *roster) find(id core.PodID) *pod {
	if len(r.slots) == 0 {
		return nil
	}
	if n := r.slots[r.place(uint32(spread(id)), id)].pod; n != 0 {
		return r.numbered(n)
	}
	return nil
}

// place is the slot where a name is, or would be.
func (r *roster) place(hash uint32, id core.PodID) int {
	last := len(r.slots) - 1
	at := int(hash) & last
	for s := r.slots[at]; s.pod != 0 && (s.hash != hash || r.numbered(s.pod).ID != id); s = r.slots[at] {
		at = (at + 1) & last
	}
	return at
}

// meet is the pod of a name, which is made where there is none.
func (r *roster) meet(id core.PodID) *pod {
	if 4*(r.count+1) > 3*len(r.slots) {
		r.grow()
	}
	hash := uint32(spread(id))
	s := &r.slots[r.place(hash, id)]
	if s.pod != 0 {
		return r.numbered(s.pod)
	}
	*s = slot{hash, r.take()}
	r.count++
	p := r.numbered(s.pod)
	*p = pod{ID: id}
	return p
}

// take is the number of a pod that is of no name.
func (r *roster) take() uint32 {
	if last := len(r.spare) - 1; last >= 0 {
		n := r.spare[last]
		r.spare = r.spare[:last]
		return n
	}
	if r.made == podsAtATime*len(r.pages) {
		r.pages = append(r.pages, new(page))
	}
	r.made++
	return uint32(r.made)
}

func (r *roster) grow() {
	old, times := r.slots, 2
	if len(old) < manySlots {
		times = 4 // pods seldom come alone
	}
	r.slots = make([]slot, max(leastSlots, times*len(old)))
	last := len(r.slots) - 1
	for _, s := range old {
		if s.pod == 0 {
			continue
		}
		at := int(s.hash) & last
		for r.slots[at].pod != 0 {
			at = (at + 1) & last
		}
		r.slots[at] = s
	}
}

// remove takes a pod out that nothing refers to any more. Those behind it that its
// place kept from theirs move up.
func (r *roster) remove(p *pod) {
	last := len(r.slots) - 1
	free := r.place(uint32(spread(p.ID)), p.ID)
	r.spare = append(r.spare, r.slots[free].pod)
	for at := (free + 1) & last; r.slots[at].pod != 0; at = (at + 1) & last {
		home := int(r.slots[at].hash) & last
		if (at-home)&last >= (at-free)&last {
			r.slots[free], free = r.slots[at], at
		}
	}
	r.slots[free] = slot{}
	r.count--
	*p = pod{}
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
