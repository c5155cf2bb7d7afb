package kernel

import (
	"math/bits"
	"slices"
)

// The reference of an event, from its highest bit down: the sequence number of
// its push, its kind, and the index of the entity that it is for. Sequence comes
// first so that events at one time compare by it.
const (
	indexBits = 24
	kindBits  = 6

	// MaxIndex and MaxKind are the largest index and kind of an event.
	MaxIndex = 1<<indexBits - 1
	MaxKind  = 1<<kindBits - 1

	maxSequence = 1<<(64-indexBits-kindBits) - 1
)

// Event is something that is due at a time: 16 bytes, copied by value.
type Event struct {
	At  Time
	ref uint64
}

// Kind is what is due, as its pusher numbered it.
func (e Event) Kind() uint8 { return uint8(e.ref >> indexBits & MaxKind) }

// Index is the entity that it is due for.
func (e Event) Index() int { return int(e.ref & MaxIndex) }

// Ticket names the push that the event came from.
func (e Event) Ticket() Ticket { return Ticket(e.ref >> (indexBits + kindBits)) }

// Ticket is the name of one push. None is zero, so that the zero value of an
// entity waits for nothing.
//
// It is how an event is taken back. Nothing is ever removed from the queue: the
// entity keeps the ticket of the event that it waits for, and whoever pops an
// event first asks whether the entity still waits for that ticket:
//
//	node.timer = queue.Push(at, kindNode, i)     // and any timer set before is void
//	node.timer = kernel.NoTicket                 // cancelled
//	if nodes[e.Index()].timer != e.Ticket() {    // stale: not for anybody
//		continue
//	}
type Ticket uint64

// NoTicket is the ticket of no event.
const NoTicket Ticket = 0

// Queue holds events in order of time and, at one time, in order of their pushes.
// It is a heap of four children a node, whose families share a cache line.
//
// An event that is popped leaves its place at the top open until the next push or
// pop. So a handler that pushes what comes next replaces the top, which costs one
// way down instead of two.
//
// The zero value is an empty queue. It allocates only to grow.
type Queue struct {
	// heap begins with three unused places and the root, so that the children of
	// place i are 4i-8 to 4i-5.
	heap []Event
	last uint64 // sequence number of the last push
	open bool   // the root was popped and its place not filled
	// lines are beside the heap; see PushInLine.
	lines []line
}

// line is events in the order of their times, on pages of which none is ever copied.
type line struct {
	pages  []*page
	spare  *page
	head   int // place of the first event on the first page
	count  int
	latest Time // of the last event
}

// page is events of a line.
type page [512]Event

const root = 3

// NewQueue makes a queue with room for n events.
func NewQueue(n int) *Queue { return &Queue{heap: make([]Event, root, root+1+n)} }

// Len is how many events are in the queue.
func (q *Queue) Len() int {
	n := max(len(q.heap)-root, 0)
	if q.open {
		n--
	}
	for i := range q.lines {
		n += q.lines[i].count
	}
	return n
}

// Push adds an event. It panics on a time before the start, on an index or a kind
// that does not fit and after 17 billion pushes: all are faults of the program.
func (q *Queue) Push(at Time, kind uint8, index int) Ticket {
	e := q.next(at, kind, index)
	if q.open {
		q.open = false
		q.down(e)
		return e.Ticket()
	}
	if len(q.heap) == 0 {
		q.heap = append(q.heap, Event{}, Event{}, Event{})
	}
	if len(q.heap) == cap(q.heap) { // by twice, which leaves less behind than append does
		q.heap = slices.Grow(q.heap, len(q.heap))
	}
	q.heap = append(q.heap, e)
	q.up(len(q.heap)-1, e)
	return e.Ticket()
}

// PushInLine is Push for events that come in the order of their times, as those do that
// wait for one clerk: only the first of a line is compared with others, so that a long
// line costs no more than a short one. Lines are few, and numbered from zero. An event
// that is due before the last of its line is pushed as any other.
func (q *Queue) PushInLine(number int, at Time, kind uint8, index int) Ticket {
	for len(q.lines) <= number {
		q.lines = append(q.lines, line{})
	}
	l := &q.lines[number]
	if l.count > 0 && at < l.latest {
		return q.Push(at, kind, index)
	}
	e := q.next(at, kind, index)
	l.push(e)
	return e.Ticket()
}

// next is the event of another push.
func (q *Queue) next(at Time, kind uint8, index int) Event {
	if at < 0 || uint(index) > MaxIndex || kind > MaxKind || q.last == maxSequence {
		panic("kernel: event out of range")
	}
	q.last++
	return Event{At: at, ref: q.last<<(indexBits+kindBits) | uint64(kind)<<indexBits | uint64(index)}
}

// Peek is the first event, and whether there is one.
func (q *Queue) Peek() (Event, bool) {
	e, _, ok := q.first()
	return e, ok
}

// Pop takes the first event off, and says whether there was one.
func (q *Queue) Pop() (Event, bool) {
	e, from, ok := q.first()
	if from != nil {
		from.pop()
	} else {
		q.open = ok
	}
	return e, ok
}

// first is the first event and the line that it is in; nil: it is in the heap.
func (q *Queue) first() (e Event, from *line, ok bool) {
	q.close()
	if ok = len(q.heap) > root; ok {
		e = q.heap[root]
	}
	for i := range q.lines {
		l := &q.lines[i]
		if l.count > 0 && (!ok || before(&l.pages[0][l.head], &e) == 1) {
			e, from, ok = l.pages[0][l.head], l, true
		}
	}
	return e, from, ok
}

func (l *line) push(e Event) {
	at := l.head + l.count
	if at == len(l.pages)*len(page{}) {
		if l.spare == nil {
			l.spare = &page{}
		}
		l.pages, l.spare = append(l.pages, l.spare), nil
	}
	l.pages[at/len(page{})][at%len(page{})] = e
	l.count++
	l.latest = e.At
}

func (l *line) pop() {
	l.count--
	if l.head++; l.head == len(page{}) {
		l.spare = l.pages[0]
		l.pages, l.head = slices.Delete(l.pages, 0, 1), 0
	}
}

// close fills the place that a popped event left with the last event.
func (q *Queue) close() {
	if !q.open {
		return
	}
	q.open = false
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap = q.heap[:last]
	if last > root {
		q.down(e)
	}
}

// before is 1 where a comes before b, else 0. Which of two events is first is as
// good as a coin's toss, so it is computed, not branched on.
func before(a, b *Event) uint64 {
	_, borrow := bits.Sub64(a.ref, b.ref, 0)
	_, borrow = bits.Sub64(uint64(a.At), uint64(b.At), borrow)
	return borrow
}

// up moves e from place i towards the root.
func (q *Queue) up(i int, e Event) {
	for i > root {
		parent := i/4 + 2
		if before(&e, &q.heap[parent]) == 0 {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

// down puts e at the root and moves it to its place.
func (q *Queue) down(e Event) {
	h, i := q.heap, root
	for {
		child := 4*i - 8
		if child+3 >= len(h) {
			break
		}
		family := h[child : child+4 : child+4]
		left := before(&family[1], &family[0])
		right := 2 + before(&family[3], &family[2])
		least := left + (right-left)*before(&family[right&3], &family[left&3])
		if before(&family[least&3], &e) == 0 {
			h[i] = e
			return
		}
		h[i] = family[least&3]
		i = child + int(least)
	}
	q.downLast(i, e)
}

// downLast is down for the one place whose children are not four.
func (q *Queue) downLast(i int, e Event) {
	h := q.heap
	if child := 4*i - 8; child < len(h) {
		least := child
		for c := child + 1; c < len(h); c++ {
			if before(&h[c], &h[least]) == 1 {
				least = c
			}
		}
		if before(&h[least], &e) == 1 {
			h[i] = h[least]
			i = least
		}
	}
	h[i] = e
}
