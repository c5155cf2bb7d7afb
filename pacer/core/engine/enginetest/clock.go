package enginetest

import (
	"container/heap"
	"time"
)

// clock runs what is due in order of time, ties in order of arrival.
type clock struct {
	now   time.Duration
	seq   int
	queue dueQueue
	ran   int
}

type due struct {
	at  time.Duration
	seq int
	run func()
}

type dueQueue []due

func (q dueQueue) Len() int { return len(q) }
func (q dueQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || (q[i].at == q[j].at && q[i].seq < q[j].seq)
}
func (q dueQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(x any)   { *q = append(*q, x.(due)) }
func (q *dueQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// at runs f at a time since the start, now at the earliest.
func (c *clock) at(t time.Duration, f func()) {
	c.seq++
	heap.Push(&c.queue, due{at: max(t, c.now), seq: c.seq, run: f})
}

func (c *clock) after(d time.Duration, f func()) { c.at(c.now+d, f) }

// step runs what is due next, unless it is after until.
func (c *clock) step(until time.Duration) bool {
	if len(c.queue) == 0 || c.queue[0].at > until {
		return false
	}
	next := heap.Pop(&c.queue).(due)
	c.now = next.at
	c.ran++
	next.run()
	return true
}
