package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
)

// podSet is pods of a group that need the same. A pod knows its place, so that it
// comes and goes at the same small cost in a set of any size; the order says nothing.
type podSet struct {
	pods []*pod
	is   set
}

// set is one of the sets of a group.
type set uint8

const (
	inNone set = iota
	inHeld
	inWaiting
	inBound
	inPulled
)

func (s *podSet) add(p *pod) {
	p.in, p.at = s.is, int32(len(s.pods))
	if len(s.pods) == cap(s.pods) { // by twice, which leaves less behind than append does
		s.pods = slices.Grow(s.pods, len(s.pods)+1)
	}
	s.pods = append(s.pods, p)
}

func (s *podSet) remove(p *pod) {
	last := len(s.pods) - 1
	moved := s.pods[last]
	s.pods[p.at], moved.at = moved, p.at
	s.pods[last] = nil
	s.pods = s.pods[:last]
	p.in = inNone
	if room := cap(s.pods); room >= 1<<12 && last <= room/4 { // many came at once and went
		s.pods = append(make([]*pod, 0, room/2), s.pods...)
	}
}

// ids are the names of those that match, sorted.
func (s *podSet) ids(match func(*pod) bool) []core.PodID {
	var ids []core.PodID
	for _, p := range s.pods {
		if match(p) {
			ids = append(ids, p.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// group is a Group with its pods by what they need, and what a turn asks of them,
// counted as they come and go: a turn walks groups and not pods.
type group struct {
	Group
	held, waiting, bound, pulled podSet
	// Of those held: how many another owner's gate holds too, and how many a person
	// let go.
	foreign, overridden, ordered int
	// Of those waiting: whose they are, and those that found no node.
	ours, ungated int
	stuck         []*pod
	inLine        int // that take of the room, those included that this turn let go

	past        int // the most pods seen past their pulls
	since       stamp
	firstExpiry stamp
	// refusedUntil is when the next may go after a refused release.
	refusedUntil time.Time
	// pooled says that the books hold something for pods on no node yet, pools under
	// which names.
	pooled bool
	pools  []pooled
	asks   []plan.Ask
	places places
	one    *images // a list that many pods share
	uses   []use   // of its images, as of an edition
	usesOf edition
	of     *revision
	turn   candidate // what the last turn noted of it
}

func newGroup(g Group) *group {
	made := &group{Group: g, since: none, firstExpiry: none}
	made.held.is, made.waiting.is, made.bound.is, made.pulled.is = inHeld, inWaiting, inBound, inPulled
	return made
}

// set is the set of that name.
func (g *group) set(of set) *podSet {
	switch of {
	case inHeld:
		return &g.held
	case inWaiting:
		return &g.waiting
	case inBound:
		return &g.bound
	}
	return &g.pulled
}

// startedWith is a list of started images with one more. Pods of one image share it.
func (g *group) startedWith(started *images, image core.Image) *images {
	if started != nil {
		return &images{append(slices.Clip(started.list), image)}
	}
	if g.one == nil || g.one.list[0] != image {
		g.one = &images{[]core.Image{image}}
	}
	return g.one
}

func (g *group) sets() []*podSet {
	return []*podSet{&g.held, &g.waiting, &g.bound, &g.pulled}
}

// hold adds a held pod.
func (g *group) hold(p *pod) {
	g.held.add(p)
	g.count(p, 1)
	if g.since == none || p.created < g.since {
		g.since = p.created
	}
	if p.holdUntil != none && (g.firstExpiry == none || p.holdUntil < g.firstExpiry) {
		g.firstExpiry = p.holdUntil
	}
}

// count counts a held pod in or out.
func (g *group) count(p *pod, by int) {
	if p.ForeignGate {
		g.foreign += by
	}
	if p.overridden {
		g.overridden += by
	}
	if p.ordered {
		g.ordered += by
	}
}

// wait adds a pod that is free to go and on no node yet.
func (g *group) wait(p *pod) {
	g.waiting.add(p)
	g.countWaiting(p, 1)
	if p.unschedulable() != none {
		g.stuck = append(g.stuck, p)
	}
}

// settle adds a pod that is on a node.
func (g *group) settle(set *podSet, p *pod) {
	set.add(p)
	if n := p.node.of(); n != nil {
		g.places.add(n)
	}
}

func (g *group) countWaiting(p *pod, by int) {
	if p.ours() {
		g.ours += by
	} else {
		g.ungated += by
	}
}

// remove takes a pod out of the set that it is in. It comes before any change of the
// pod, which is counted by what it was.
func (g *group) remove(p *pod) {
	switch p.in {
	case inNone:
	case inHeld:
		g.count(p, -1)
	case inWaiting:
		g.countWaiting(p, -1)
		if p.unschedulable() != none {
			i := slices.Index(g.stuck, p)
			g.stuck = slices.Delete(g.stuck, i, i+1)
		}
	default:
		if n := p.node.of(); n != nil {
			g.places.remove(n)
		}
	}
	if p.in != inNone {
		g.set(p.in).remove(p)
	}
	if len(g.held.pods) == 0 {
		g.since, g.firstExpiry = none, none
	}
}

// inLine counts the pods of a group that may go to any node: those that we let
// go and those that nobody held, without the parked ones.
func (e *Engine) inLine(g *group, now time.Time) (ours, ungated int) {
	ours, ungated = g.ours, g.ungated
	for _, p := range g.stuck {
		switch {
		case !e.parked(p, now):
		case p.ours():
			ours--
		default:
			ungated--
		}
	}
	return ours, ungated
}

// places is how many pods of a group are on each node, by index, counted when it is
// first asked for. Which nodes there are changes seldom; then it is counted anew.
type places struct {
	known bool
	pods  []int32
	taken bitset
}

func (p *places) add(n *node) {
	if !p.known {
		return
	}
	for len(p.pods) <= n.index {
		p.pods = append(p.pods, 0)
	}
	if p.pods[n.index]++; p.pods[n.index] == 1 {
		p.taken.add(n.index)
	}
}

func (p *places) remove(n *node) {
	if !p.known {
		return
	}
	if p.pods[n.index]--; p.pods[n.index] == 0 {
		p.taken.remove(n.index)
	}
}

// placesOf are the nodes with a pod of the group.
func (e *Engine) placesOf(g *group) bitset {
	if g.places.known {
		return g.places.taken
	}
	g.places = places{known: true}
	for _, set := range []*podSet{&g.bound, &g.pulled} {
		for _, p := range set.pods {
			if n := p.node.of(); n != nil {
				g.places.add(n)
			}
		}
	}
	return g.places.taken
}
