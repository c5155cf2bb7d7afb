package limiter

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// Type is how a limiter counts.
type Type string

// The types of limiters.
const (
	// RollingLog allows Limit units in any span of Window: what was charged a
	// window ago is free again.
	RollingLog Type = "RollingLog"
	// FixedWindow allows Limit units between two edges, Window apart.
	FixedWindow Type = "FixedWindow"
	// TokenBucket allows Limit units at once and refills Refill units every Every.
	TokenBucket Type = "TokenBucket"
	// SlidingCounter counts between edges, and the window before by the part of it
	// that a window ending now still covers.
	SlidingCounter Type = "SlidingCounter"
	// Concurrency allows Limit units between their charge and their release.
	Concurrency Type = "Concurrency"
)

// Config describes a limiter. Every limiter starts full.
type Config struct {
	Type Type
	// Limit is units a window, of a bucket its burst. Zero allows none.
	Limit int64
	// Window is of the types that have one. Phase is the first edge after the
	// start; zero: the edges are at zero, one window, two windows.
	Window, Phase time.Duration
	// Refill units come every Every, as evenly as nanoseconds allow. A Refill of
	// zero is a bucket without limit.
	Refill int64
	Every  time.Duration
	// CountsDenied charges what is refused too.
	CountsDenied bool
	// Headers says that answers state limit, window and what remains.
	Headers bool
	// DenyHeadWhenEmpty refuses requests that cost nothing while nothing remains.
	DenyHeadWhenEmpty bool
}

// Header is what an answer states of a limiter.
type Header struct {
	Limit     int64
	Window    time.Duration
	Remaining int64
}

// Drain is what others take from an account: Units every Every, on the mean. The
// zero value is nothing.
type Drain struct {
	Units float64
	Every time.Duration
}

// in is how much is drained in a time.
func (d Drain) in(t time.Duration) float64 {
	if d.Every <= 0 {
		return 0
	}
	return float64(float64(d.Units*float64(t)) / float64(d.Every))
}

// unlimited says that nothing is ever refused.
func (c Config) unlimited() bool { return c.Type == TokenBucket && c.Refill == 0 }

// Says is the limit and window that headers state, a bucket's being its burst and
// the time in which that refills. It is false of a limiter that has no window.
func (c Config) Says() (limit int64, window time.Duration, ok bool) {
	switch {
	case c.Type == Concurrency || c.unlimited():
		return 0, 0, false
	case c.Type == TokenBucket:
		return c.Limit, time.Duration(muldiv(c.Limit, int64(c.Every), c.Refill)), true
	}
	return c.Limit, c.Window, true
}

// check says what is wrong with a configuration.
func (c Config) check() error {
	switch c.Type {
	case RollingLog, FixedWindow, SlidingCounter:
		if c.Window <= 0 {
			return fmt.Errorf("%s has a window of %v: want more than zero", c.Type, c.Window)
		}
		if c.Phase < 0 {
			return fmt.Errorf("%s has its first edge at %v: want zero or later", c.Type, c.Phase)
		}
	case TokenBucket:
		if c.Refill < 0 || c.Refill > 0 && c.Every <= 0 {
			return fmt.Errorf("%s refills %d units every %v: want both positive", c.Type, c.Refill, c.Every)
		}
		if unit, each := c.parts(); c.Limit > most/max(unit, each) {
			return fmt.Errorf("%s of %d units with %d every %v is too large to count in nanoseconds", c.Type, c.Limit, c.Refill, c.Every)
		}
	case Concurrency:
	default:
		return fmt.Errorf("unknown type of limiter %q: want %s, %s, %s, %s or %s", c.Type,
			RollingLog, FixedWindow, TokenBucket, SlidingCounter, Concurrency)
	}
	if c.Limit < 0 {
		return errors.New("a limit below zero")
	}
	return nil
}

// muldiv is a*b/c of numbers that are not negative, rounded down; what does not
// fit is the largest number.
func muldiv(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, uint64(c))
	return int64(min(quotient, math.MaxInt64))
}

// muldivUp is muldiv, rounded up.
func muldivUp(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	low, carry := bits.Add64(low, uint64(c)-1, 0)
	if high += carry; high >= uint64(c) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, uint64(c))
	return int64(min(quotient, math.MaxInt64))
}

// after is the first edge of a window that comes after now.
func (c Config) after(now kernel.Time) kernel.Time {
	window := kernel.Time(c.Window)
	into := (now - kernel.Time(c.Phase)) % window
	if into < 0 {
		into += window
	}
	return now - into + window
}
