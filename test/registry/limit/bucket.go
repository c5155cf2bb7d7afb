package limit

import (
	"math"
	"time"
)

// bucket counts in parts: a token is `cost` parts and every nanosecond adds `rate` parts, so that nothing is rounded.
type bucket struct {
	rate, cost int64
	burst      int64
	level      int64
	at         time.Time
}

func newBucket(s Spec, start time.Time) model {
	if s.Rate.Units == 0 {
		return unlimited{}
	}
	g := gcd(s.Rate.Units, int64(s.Rate.Per))
	b := &bucket{rate: s.Rate.Units / g, cost: int64(s.Rate.Per) / g, burst: s.Burst, at: start}
	b.level = b.full()
	return b
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (b *bucket) full() int64 { return b.burst * b.cost }

func (b *bucket) refill(now time.Time) {
	passed := int64(now.Sub(b.at))
	b.at = now
	missing := b.full() - b.level
	if passed > missing/b.rate { // also keeps passed*rate from overflowing
		b.level = b.full()
		return
	}
	b.level += passed * b.rate
}

func (b *bucket) allow(now time.Time, n int64) bool { return b.remaining(now) >= n }

func (b *bucket) charge(now time.Time, n int64) {
	if n > b.remaining(now) {
		b.level = 0
		return
	}
	b.level -= n * b.cost
}

func (b *bucket) remaining(now time.Time) int64 {
	b.refill(now)
	return b.level / b.cost
}

func (b *bucket) nextFree(now time.Time) (time.Time, bool) {
	b.refill(now)
	if b.burst < 1 {
		return time.Time{}, false
	}
	return now.Add(b.until(b.cost)), true
}

// until is the time in which the level reaches the given number of parts, rounded up to a nanosecond.
func (b *bucket) until(level int64) time.Duration {
	missing := level - b.level
	if missing <= 0 {
		return 0
	}
	return time.Duration((missing-1)/b.rate + 1)
}

func (b *bucket) reset(now time.Time) time.Time {
	b.refill(now)
	return now.Add(b.until(b.full()))
}

func (b *bucket) setLimit(now time.Time, burst int64) {
	b.refill(now)
	b.burst = min(burst, math.MaxInt64/b.cost)
	b.level = min(b.level, b.full())
}

// unlimited never refuses.
type unlimited struct{}

func (unlimited) allow(time.Time, int64) bool              { return true }
func (unlimited) charge(time.Time, int64)                  {}
func (unlimited) remaining(time.Time) int64                { return math.MaxInt64 }
func (unlimited) nextFree(now time.Time) (time.Time, bool) { return now, true }
func (unlimited) reset(now time.Time) time.Time            { return now }
func (unlimited) setLimit(time.Time, int64)                {}

type concurrency struct {
	limit, held int64
}

func (c *concurrency) allow(_ time.Time, n int64) bool { return c.held+n <= c.limit }
func (c *concurrency) charge(_ time.Time, n int64)     { c.held += n }
func (c *concurrency) remaining(time.Time) int64       { return c.limit - c.held }
func (c *concurrency) reset(now time.Time) time.Time   { return now }

func (c *concurrency) nextFree(now time.Time) (time.Time, bool) {
	return now, c.held < c.limit
}

func (c *concurrency) setLimit(_ time.Time, limit int64) { c.limit = limit }
