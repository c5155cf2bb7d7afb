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
	ID      core.PodID
	group   *name[core.GroupID, group]
	node    *name[core.NodeID, node]
	created stamp
	// holdUntil bounds its hold; of one that was let go it is when that was.
	holdUntil stamp
	more      *morePod
	// started are the images of which a start was taken in; pods share the list.
	started *images
	// in says which set of its group it is in, at which place there.
	at    int32
	in    set
	phase phase
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
// missing, pulls that they wait for, what of these failed last, and since when the
// scheduler finds no node.
type morePod struct {
	started  []core.Image
	pulls    []*pull
	failures []failure
	// fails is the revision under which its failure is counted.
	fails         *revision
	unschedulable stamp
	first         [1]*pull
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
	switch s := t.Unix(); {
	case s <= math.MinInt64/int64(time.Second):
		return none
	case s >= math.MaxInt64/int64(time.Second):
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

// unschedulable is since when the scheduler finds no node for the pod.
func (p *pod) unschedulable() stamp {
	if p.more == nil {
		return none
	}
	return p.more.unschedulable
}

// extra makes room for what few pods have.
func (p *pod) extra() *morePod {
	if p.more == nil {
		p.more = &morePod{unschedulable: none}
		p.more.pulls = p.more.first[:0]
	}
	return p.more
}

// since is when the pod could first be bound, and so pull.
func (p *pod) since() stamp {
	if p.released && p.phase != phaseGated {
		return max(p.created, p.holdUntil)
	}
	return p.created
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
	p.holdUntil, p.created = stampOf(seen.HoldUntil), stampOf(seen.Created)
	p.phase, p.ForeignGate = phaseOf(seen.Phase), seen.ForeignGate
	p.released = p.released || !seen.ReleasedAt.IsZero()
	if p.phase != phaseGated && !seen.ReleasedAt.IsZero() {
		p.holdUntil = stampOf(seen.ReleasedAt)
	}
	if len(seen.Started) > 0 || p.more != nil {
		p.extra().started = seen.Started
	}
	if p.phase != phaseGated {
		p.booked = false
	}
	switch {
	case p.phase == phaseUnschedulable && p.unschedulable() == none:
		p.extra().unschedulable = stampOf(now)
	case p.phase != phaseUnschedulable && p.more != nil:
		p.more.unschedulable = none
		p.forgetMore()
	}
}
