package kernel

import (
	"math"
	"time"
)

// Time is nanoseconds since the start of a run.
type Time int64

// Never is after every time that a run reaches.
const Never Time = math.MaxInt64

// Add is the time d later; Never where that is not to be written.
func (t Time) Add(d time.Duration) Time {
	sum := t + Time(d)
	if d > 0 && sum < t {
		return Never
	}
	return sum
}

// Sub is the time from earlier to t.
func (t Time) Sub(earlier Time) time.Duration { return time.Duration(t - earlier) }

// Seconds is t as a number of seconds.
func (t Time) Seconds() float64 { return time.Duration(t).Seconds() }

func (t Time) String() string {
	if t == Never {
		return "never"
	}
	return time.Duration(t).String()
}
