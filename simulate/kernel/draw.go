package kernel

import (
	"math"
	"time"
)

// Delay is a distribution of durations. The zero value is always zero.
type Delay struct {
	kind delayKind
	// a and b are nanoseconds: the value; the least and the width; the mean; or
	// the median, with b the deviation of the logarithm.
	a, b float64
}

type delayKind uint8

const (
	constant delayKind = iota
	uniform
	exponential
	logNormal
)

// maxDelay bounds what a tail can bring, so that sums of times do not overflow:
// 73 years.
const maxDelay = float64(math.MaxInt64 / 4)

// normal99 is the point that a standard normal variable is below in 99 % of
// draws.
const normal99 = 2.3263478740408408

// Constant is always d.
func Constant(d time.Duration) Delay { return Delay{kind: constant, a: float64(d)} }

// Uniform is from least to most, each as likely.
func Uniform(least, most time.Duration) Delay {
	return Delay{kind: uniform, a: float64(least), b: float64(most - least)}
}

// Exponential is the time to the next of arrivals that come at random, mean apart.
func Exponential(mean time.Duration) Delay { return Delay{kind: exponential, a: float64(mean)} }

// LogNormal is below p50 in half of the draws and below p99 in 99 % of them. It is
// constant where either is not positive or p99 is not above p50.
func LogNormal(p50, p99 time.Duration) Delay {
	if p50 <= 0 || p99 <= p50 {
		return Constant(p50)
	}
	deviation := log(float64(p99)/float64(p50)) / normal99
	return Delay{kind: logNormal, a: float64(p50), b: deviation}
}

// Draw is one duration, in whole nanoseconds and never negative. It takes one
// number of the stream, none where the delay is constant.
func (d Delay) Draw(s *Stream) time.Duration {
	x := d.a
	switch d.kind {
	case uniform:
		x = d.a + float64(d.b*s.Float())
	case exponential:
		x = -float64(d.a * log(s.openFloat()))
	case logNormal:
		x = float64(d.a * exp(float64(d.b*normal(s.openFloat()))))
	}
	return time.Duration(math.Round(min(max(x, 0), maxDelay)))
}

// Mean is the expectation, in whole nanoseconds.
func (d Delay) Mean() time.Duration {
	x := d.a
	switch d.kind {
	case uniform:
		x = d.a + d.b/2
	case logNormal:
		x = float64(d.a * exp(float64(d.b*d.b)/2))
	}
	return time.Duration(math.Round(min(max(x, 0), maxDelay)))
}
