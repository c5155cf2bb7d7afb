package kernel

import (
	"cmp"
	"math"
	"slices"
)

// class is the flows whose nodes' cards allow each of them the same rate.
type class struct {
	each  float64 // that rate, bytes a nanosecond
	rate  float64 // what they have
	clock float64 // bytes that each flow moved since the class began
	flows int
	heap  []ending // binary, the first to end on top
}

// ending is when the first of a node's flows is over, on the clock of the class.
type ending struct {
	at   float64
	seq  uint64
	node int32
}

func (e ending) before(o ending) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// next is when the first flow is over. A rest that is moved in less than half a
// nanosecond is what rounding has left of nothing.
func (c *class) next(now Time) Time {
	rest := c.heap[0].at - c.clock
	if rest <= 0 || math.IsInf(c.rate, 1) {
		return now
	}
	span := math.Round(rest / c.rate)
	if !(span < float64(Never-now)) {
		return Never
	}
	return now + Time(span)
}

// now is the time on a node's clock.
func (n *linkNode) now() float64 {
	if n.class == nil {
		return n.clock
	}
	return n.clock + (n.class.clock - n.classClock)
}

// join puts a node with flows into the class that its card and their number make.
func (l *Link) join(node int32) {
	n := &l.nodes[node]
	n.least = n.head
	for i := l.flows[n.head].next; i >= 0; i = l.flows[i].next {
		if a, b := &l.flows[i], &l.flows[n.least]; a.end < b.end || a.end == b.end && a.seq < b.seq {
			n.least = i
		}
	}
	c := l.classOf(n.cap / float64(n.flows))
	n.class, n.classClock = c, c.clock
	c.flows += int(n.flows)
	first := &l.flows[n.least]
	c.heap = append(c.heap, ending{})
	l.up(c, len(c.heap)-1, ending{at: c.clock + (first.end - n.clock), seq: first.seq, node: node})
}

// leave takes a node out of its class and brings its clock up to date.
func (l *Link) leave(n *linkNode) {
	c := n.class
	if c == nil {
		return
	}
	n.clock = n.now()
	n.class = nil
	c.flows -= int(n.flows)
	last := len(c.heap) - 1
	moved := c.heap[last]
	c.heap = c.heap[:last]
	if place := int(n.place); place < last {
		if place > 0 && moved.before(c.heap[(place-1)/2]) {
			l.up(c, place, moved)
		} else {
			l.down(c, place, moved)
		}
	}
	if last == 0 {
		i, _ := l.find(c.each)
		l.classes = slices.Delete(l.classes, i, i+1)
		l.spare = append(l.spare, c)
	}
}

// classOf is the class of a rate, made if there is none. Classes are in order of
// their rates.
func (l *Link) classOf(each float64) *class {
	i, found := l.find(each)
	if found {
		return l.classes[i]
	}
	var c *class
	if last := len(l.spare) - 1; last >= 0 {
		c, l.spare = l.spare[last], l.spare[:last]
		*c = class{each: each, heap: c.heap}
	} else {
		c = &class{each: each}
	}
	l.classes = slices.Insert(l.classes, i, c)
	return c
}

func (l *Link) find(each float64) (int, bool) {
	return slices.BinarySearchFunc(l.classes, each, func(c *class, each float64) int { return cmp.Compare(c.each, each) })
}

// up moves e from a place of the heap towards its top.
func (l *Link) up(c *class, i int, e ending) {
	for i > 0 && e.before(c.heap[(i-1)/2]) {
		l.put(c, i, c.heap[(i-1)/2])
		i = (i - 1) / 2
	}
	l.put(c, i, e)
}

// down moves e from a place of the heap away from its top.
func (l *Link) down(c *class, i int, e ending) {
	for {
		child := 2*i + 1
		if child >= len(c.heap) {
			break
		}
		if child+1 < len(c.heap) && c.heap[child+1].before(c.heap[child]) {
			child++
		}
		if !c.heap[child].before(e) {
			break
		}
		l.put(c, i, c.heap[child])
		i = child
	}
	l.put(c, i, e)
}

func (l *Link) put(c *class, i int, e ending) {
	c.heap[i] = e
	l.nodes[e.node].place = int32(i)
}
