package limiter

import (
	"math"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// most bounds a level and a debt, so that their sums and differences fit.
const most = math.MaxInt64 / 4

// tokenBucket holds its level in parts of a unit that are so small that a
// nanosecond refills a whole number of them, at any limit.
type tokenBucket struct {
	unit        int64 // parts of a unit
	each        int64 // parts that a nanosecond refills for each unit of the limit
	refill      int64 // parts that a nanosecond refills
	full, level int64 // in parts
	at          kernel.Time
	unlimited   bool
}

// newBucket scales the parts by the burst, because a limit that changes later
// changes the rate in the same proportion.
func newBucket(c Config) *tokenBucket {
	b := &tokenBucket{unlimited: c.unlimited()}
	b.unit, b.each = c.parts()
	b.set(0, c.Limit)
	b.level = b.full
	return b
}

// parts is how many parts a unit has and how many of them come in a nanosecond for
// each unit of the limit: Refill every Every is Limit*each every unit nanoseconds.
func (c Config) parts() (unit, each int64) {
	if c.Refill == 0 {
		return 1, 0
	}
	g := gcd(c.Refill, int64(c.Every))
	each, every := c.Refill/g, int64(c.Every)/g
	burst := max(c.Limit, 1)
	g = gcd(each, burst)
	each, burst = each/g, burst/g
	return muldiv(every, burst, 1), each
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (b *tokenBucket) fill(now kernel.Time) {
	since := int64(now - b.at)
	if since <= 0 {
		return
	}
	b.at = now
	switch missing := b.full - b.level; {
	case b.refill == 0:
	case since > missing/b.refill:
		b.level = b.full
	default:
		b.level += since * b.refill
	}
}

func (b *tokenBucket) remaining(now kernel.Time) int64 {
	if b.unlimited {
		return math.MaxInt64
	}
	b.fill(now)
	whole := b.level / b.unit
	if b.level%b.unit < 0 {
		whole--
	}
	return whole
}

func (b *tokenBucket) charge(now kernel.Time, units int64) {
	if b.unlimited {
		return
	}
	b.fill(now)
	b.level = max(b.level-min(units, most/b.unit)*b.unit, -most)
}

func (b *tokenBucket) next(now kernel.Time, units int64) kernel.Time {
	if b.remaining(now) >= units {
		return now
	}
	if b.refill == 0 || units > b.full/b.unit {
		return kernel.Never
	}
	missing := units*b.unit - b.level
	return now.Add(time.Duration((missing + b.refill - 1) / b.refill))
}

// set keeps the time in which the bucket refills: half the limit comes half as
// fast.
func (b *tokenBucket) set(now kernel.Time, limit int64) {
	b.fill(now)
	limit = min(limit, most/max(b.unit, b.each))
	b.full, b.refill = limit*b.unit, limit*b.each
	b.level = min(b.level, b.full)
}

// concurrency counts what was charged and not yet given back.
type concurrency struct{ limit, count int64 }

func (c *concurrency) remaining(kernel.Time) int64       { return c.limit - c.count }
func (c *concurrency) charge(_ kernel.Time, units int64) { c.count += units }
func (c *concurrency) set(_ kernel.Time, limit int64)    { c.limit = limit }
func (c *concurrency) next(now kernel.Time, n int64) kernel.Time {
	if c.limit-c.count >= n {
		return now
	}
	return kernel.Never
}
