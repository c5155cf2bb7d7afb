package engine

import (
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// pod is a Pod in the books: what of it is asked for again, in few words, since there
// may be a million.
type pod struct {
	ID    core.PodID
	Group core.GroupID
	Node  core.NodeID
	// unschedulable is since when the scheduler finds no node.
	created, holdUntil, unschedulable stamp
	// in is the set of its group that it is in, at its place there.
	in   *podSet
	more *morePod
	// started are the images of which a start was taken in; pods share the list.
	started *images
	at      int32
	phase   phase
	// booked says that a release was decided and is being written, released that it is.
	booked, released bool
	// overridden says that a person let it go at once, ordered that one let it go at
	// the pace of the refill.
	overridden, ordered bool
	ForeignGate         bool
}

// images is a list of images that is never changed.
type images struct{ list []core.Image }

func (i *images) has(image core.Image) bool { return i != nil && slices.Contains(i.list, image) }

// morePod is what few pods have at a time: images that started while others are
// missing, pulls that they wait for, and what of these failed last.
type morePod struct {
	started  []core.Image
	pulls    []*pull
	failures []failure
	// fails is the revision under which its failure is counted.
	fails *revision
}

// stamp is a time in nanoseconds since 1970, none for the zero time.
type stamp int64

const none stamp = math.MinInt64

func (s stamp) time() time.Time {
	if s == none {
		return time.Time{}
	}
	return time.Unix(0, int64(s)).UTC()
}

func stampOf(t time.Time) stamp {
	switch {
	case t.Before(time.Unix(0, int64(none)+1)):
		return none
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return stamp(t.UnixNano())
}

// phase is a PodPhase in a byte.
type phase uint8

const (
	phaseUnknown phase = iota
	phaseGated
	phaseUnbound
	phaseUnschedulable
	phaseBound
	phasePulled
)

func phaseOf(p PodPhase) phase {
	switch p {
	case PodGated:
		return phaseGated
	case PodUnbound:
		return phaseUnbound
	case PodUnschedulable:
		return phaseUnschedulable
	case PodBound:
		return phaseBound
	case PodPulled:
		return phasePulled
	}
	return phaseUnknown
}

// pulls are those that the pod waits for.
func (p *pod) pulls() []*pull {
	if p.more == nil {
		return nil
	}
	return p.more.pulls
}

// held reports whether the pod is one that we still hold.
func (p *pod) held() bool { return p.phase == phaseGated && !p.booked }

// waiting reports whether the pod is free to go and on no node yet.
func (p *pod) waiting() bool {
	return p.phase == phaseUnbound || p.phase == phaseUnschedulable || (p.phase == phaseGated && p.booked)
}

// ours reports whether we let the pod go, rather than never having held it.
func (p *pod) ours() bool { return p.booked || p.released }

// take takes in what is seen of a pod; a release mark that was seen stays.
func (p *pod) take(now time.Time, seen *Pod) {
	p.Group, p.Node, p.holdUntil, p.created = seen.Group, seen.Node, stampOf(seen.HoldUntil), stampOf(seen.Created)
	p.phase, p.ForeignGate = phaseOf(seen.Phase), seen.ForeignGate
	p.released = p.released || !seen.ReleasedAt.IsZero()
	if len(seen.Started) > 0 && p.more == nil {
		p.more = &morePod{}
	}
	if p.more != nil {
		p.more.started = seen.Started
	}
	if p.phase != phaseGated {
		p.booked = false
	}
	switch {
	case p.phase != phaseUnschedulable:
		p.unschedulable = none
	case p.unschedulable == none:
		p.unschedulable = stampOf(now)
	}
}
