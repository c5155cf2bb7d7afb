package model

import (
	"math"

	"github.com/pullpace/pace/simulate/kernel"
)

// pace is a client's rate limit: so many at once, then one every so often. Zero
// every is no limit. It is a bucket that is kept as the time at which it would be
// full again.
type pace struct {
	every, slack kernel.Time
	full         kernel.Time
}

func newPace(qps float64, burst int) pace {
	if qps <= 0 {
		return pace{}
	}
	burst = max(burst, 1)
	every := kernel.Time(math.Round(min(1e9/qps, 1e18/float64(burst)))) // so that the burst's time is one still
	return pace{every: every, slack: every * kernel.Time(burst-1)}
}

// next is when one more may go.
func (p *pace) next(now kernel.Time) kernel.Time { return max(now, p.full-p.slack) }

// take takes one, whether or not it may go.
func (p *pace) take(now kernel.Time) { p.full = max(p.full, now) + p.every }

// try takes one if it may go.
func (p *pace) try(now kernel.Time) bool {
	if p.full-p.slack > now {
		return false
	}
	p.take(now)
	return true
}

// ring is a queue of small numbers that allocates only to grow.
type ring struct {
	items       []int32
	head, count int
}

func (r *ring) push(x int32) {
	if r.count == len(r.items) {
		grown := make([]int32, max(16, 2*r.count))
		n := copy(grown, r.items[r.head:])
		copy(grown[n:], r.items[:r.head])
		r.items, r.head = grown, 0
	}
	r.items[(r.head+r.count)&(len(r.items)-1)] = x
	r.count++
}

func (r *ring) front() int32 { return r.items[r.head] }

func (r *ring) pop() int32 {
	x := r.items[r.head]
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
	return x
}
