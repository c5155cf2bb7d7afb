package kernel

import "math"

// Link is a fluid model of bandwidth that flows share: one link, and the network
// card of each node. Every flow has the largest rate that is fair (max-min): an
// equal share of what is left of the link when flows that their node's card bounds
// have theirs, and an equal share of the card.
//
// Flows whose cards allow them the same rate are a class. A class has one clock,
// which advances by the bytes that each of its flows moves, so a flow is over when
// the clock of its class shows a number that was known when it began. Nothing is
// updated for each flow: a change costs the logarithm of the number of nodes and
// the number of classes, which is that of different shares of cards in use.
//
// The caller keeps one event in its queue, at Next, and asks again after every
// call that changes anything.
type Link struct {
	capacity float64 // bytes a nanosecond; +Inf: unlimited
	classes  []*class
	spare    []*class
	nodes    []linkNode
	flows    []flow
	free     int32 // first of the flows not in use, -1: none
	active   int
	begun    uint64
	at       Time
	next     Time
	first    *class // that Next is of
	moved    float64
}

// linkNode is a node's card and the flows through it. Its clock advances as that
// of its class, from where it was when it joined.
type linkNode struct {
	cap        float64 // bytes a nanosecond
	flows      int32
	head       int32 // its flows, linked by flow.next
	least      int32 // of them the one that is over first
	place      int32 // in the heap of its class
	class      *class
	clock      float64 // when it joined
	classClock float64 // of the class when it joined
}

type flow struct {
	end  float64 // on the clock of its node
	seq  uint64  // ties are over in the order in which they began
	node int32
	next int32
	ref  int
}

// NewLink makes a link of so many bytes a second; 0 is unlimited.
func NewLink(capacity float64) *Link {
	return &Link{capacity: perNanosecond(capacity), free: -1, next: Never}
}

func perNanosecond(bytesPerSecond float64) float64 {
	if bytesPerSecond <= 0 {
		return math.Inf(1)
	}
	return bytesPerSecond / 1e9
}

// AddNode adds a node whose card moves so many bytes a second, 0: any number, and
// returns its index. Nodes are numbered from zero.
func (l *Link) AddNode(capacity float64) int {
	l.nodes = append(l.nodes, linkNode{cap: perNanosecond(capacity), head: -1, least: -1})
	return len(l.nodes) - 1
}

// SetCapacity changes the link to so many bytes a second from now on; 0 is
// unlimited.
func (l *Link) SetCapacity(now Time, capacity float64) {
	l.advance(now)
	l.capacity = perNanosecond(capacity)
	l.share()
}

// Flows is how many are under way.
func (l *Link) Flows() int { return l.active }

// Moved is how many bytes all flows have moved until the last change.
func (l *Link) Moved() float64 { return l.moved }

// Next is when the first of the flows will be over if nothing changes; Never if
// there is none.
func (l *Link) Next() Time { return l.next }

// Start begins to move bytes to a node. The flow's number is free for another
// once it was finished or cancelled; ref is what Finish returns of it.
func (l *Link) Start(now Time, node int, bytes int64, ref int) (number int) {
	l.advance(now)
	n := &l.nodes[node]
	l.leave(n)
	i := l.free
	if i < 0 {
		i = int32(len(l.flows))
		l.flows = append(l.flows, flow{})
	} else {
		l.free = l.flows[i].next
	}
	l.begun++
	l.flows[i] = flow{end: n.clock + float64(max(bytes, 0)), seq: l.begun, node: int32(node), next: n.head, ref: ref}
	n.head = i
	n.flows++
	l.active++
	l.join(int32(node))
	l.share()
	return int(i)
}

// Finish ends the flow that is over at Next and returns its ref. It must be called
// at that time, once for each flow; false before it.
func (l *Link) Finish(now Time) (ref int, ok bool) {
	if now < l.next || l.first == nil {
		return 0, false
	}
	l.advance(l.next)
	i := l.nodes[l.first.heap[0].node].least
	ref = l.flows[i].ref
	l.end(i)
	return ref, true
}

// Cancel ends a flow and returns how many bytes it has not moved.
func (l *Link) Cancel(now Time, number int) int64 {
	l.advance(now)
	f := &l.flows[number]
	n := &l.nodes[f.node]
	rest := math.Ceil(f.end - n.now())
	l.end(int32(number))
	return int64(max(rest, 0))
}

// end takes a flow off its node.
func (l *Link) end(i int32) {
	at := l.flows[i].node
	n := &l.nodes[at]
	l.leave(n)
	before := &n.head
	for *before != i {
		before = &l.flows[*before].next
	}
	*before = l.flows[i].next
	l.flows[i].next = l.free
	l.free = i
	n.flows--
	l.active--
	if n.flows > 0 {
		l.join(at)
	} else {
		n.clock, n.least = 0, -1
	}
	l.share()
}

// advance moves all clocks to now.
func (l *Link) advance(now Time) {
	if now <= l.at {
		return
	}
	span := float64(now - l.at)
	l.at = now
	for _, c := range l.classes {
		step := float64(c.rate * span)
		c.clock += step
		l.moved += float64(step * float64(c.flows))
	}
}

// share divides the link among the classes, the most bounded first, and finds
// what is over next.
func (l *Link) share() {
	left, flows := l.capacity, l.active
	l.next, l.first = Never, nil
	for _, c := range l.classes {
		c.rate = min(c.each, left/float64(flows))
		if !math.IsInf(left, 1) {
			left = max(0, left-float64(c.rate*float64(c.flows)))
		}
		flows -= c.flows
		if t := c.next(l.at); t < l.next || l.first == nil {
			l.next, l.first = t, c
		}
	}
}
