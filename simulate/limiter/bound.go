package limiter

import (
	"math"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// Bound is the earliest time at which the last of n pulls of one unit can start
// under any order, on an account that is full at time zero and from which others
// drain at their mean, when so many units of every window, or of a bucket's
// burst, are always to be left over. It is Never where the last is never to be
// had.
//
// The reasons, for B units a window W, D of them drained and K left (R = B-K at
// the start, B' = B-K-D afterwards):
//
//   - a rolling log: each half-open window of length W holds B' at most, and so
//     [0, T] holds no more than B'(T/W rounded down, and one);
//   - between fixed edges: R until the first edge, then B' a window, at its begin;
//   - a bucket: R at once, then what comes less what is drained;
//   - a counter that slides: R at once, then the k-th of the next windows when the
//     part of the window before that is over has freed k of its units.
//
// A limit of concurrency and a bucket without limit delay nothing that is over in
// no time: zero.
func (c Config) Bound(n int64, drain Drain, left int64) kernel.Time {
	if n <= 0 || c.Type == Concurrency || c.unlimited() {
		return 0
	}
	first := float64(c.Limit - left)
	if c.Type == TokenBucket {
		rate := float64(c.Refill) - drain.in(c.Every)
		return span(float64(float64(max(0, float64(n)-first))/rate), c.Every, first)
	}
	each := first - drain.in(c.Window)
	edge := c.after(0)
	switch {
	case c.Type == RollingLog:
		return span(whole(float64(n)/each)-1, c.Window, each)
	case float64(n) <= first:
		return 0
	case c.Type == FixedWindow:
		return later(edge, span(whole((float64(n)-first)/each)-1, c.Window, each))
	}
	return later(edge, span((float64(n)-first)/each, c.Window, each))
}

// span is so many times d, in whole nanoseconds; Never unless units is positive
// and the number is one that a clock can show.
func span(times float64, d time.Duration, units float64) kernel.Time {
	t := math.Round(float64(times * float64(d)))
	if units <= 0 || !(t >= 0) || t >= math.MaxInt64 {
		return kernel.Never
	}
	return kernel.Time(t)
}

func later(t, d kernel.Time) kernel.Time { return t.Add(time.Duration(d)) }

// whole rounds up, and forgives what rounding before has added.
func whole(x float64) float64 { return math.Ceil(x - 1e-9) }
