// Package limit holds the limiters that registries are known to use: rolling log, fixed window, token bucket,
// sliding counter and concurrency. All arithmetic is exact and in integers; time is an argument.
//
// It does not know requests, identities or headers, reads no clock, starts no goroutine and is not safe for
// concurrent use: the caller locks, because a request that several limiters judge must be judged at once.
package limit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Kind names a limiter model.
type Kind string

// The models.
const (
	// RollingLog admits a unit iff fewer than Limit units lie in (now-Window, now].
	RollingLog Kind = "RollingLog"
	// FixedWindow admits Limit units between two edges; edges are at start + Phase + k*Window for every integer k.
	FixedWindow Kind = "FixedWindow"
	// TokenBucket holds up to Burst tokens, starts full and is refilled continuously at Rate.
	TokenBucket Kind = "TokenBucket"
	// SlidingCounter weighs the count of the previous window with the part of it that still lies in the last Window:
	// it admits a unit iff previous*(1-x) + current + 1 <= Limit, where x is the part of the current window that has passed.
	SlidingCounter Kind = "SlidingCounter"
	// Concurrency admits a unit while fewer than Limit are held; Release gives one back.
	Concurrency Kind = "Concurrency"
)

// A Rate is a number of units per duration. Zero units mean unlimited.
type Rate struct {
	Units int64
	Per   time.Duration
}

// A Spec describes a limiter. Fields that its kind does not use are ignored.
type Spec struct {
	Kind Kind
	// Limit is in units per Window, for Concurrency in units held at a time. Zero allows none.
	Limit  int64
	Window time.Duration
	// Phase is the distance from the start to an edge; 0 puts edges at the start, start+Window and so on.
	Phase time.Duration
	// Rate and Burst (in units) are those of a token bucket.
	Rate  Rate
	Burst int64
}

// Validate says what is wrong with the spec.
func (s Spec) Validate() error {
	switch s.Kind {
	case RollingLog, FixedWindow, SlidingCounter:
		if s.Window <= 0 {
			return fmt.Errorf("%s: window is %v, it must be positive", s.Kind, s.Window)
		}
	case Concurrency:
	case TokenBucket:
		return s.validateBucket()
	default:
		return fmt.Errorf("unknown limiter kind %q", s.Kind)
	}
	if s.Limit < 0 {
		return fmt.Errorf("%s: limit is %d, it must not be negative", s.Kind, s.Limit)
	}
	return nil
}

func (s Spec) validateBucket() error {
	switch {
	case s.Rate.Units < 0 || s.Burst < 0:
		return errors.New("TokenBucket: rate and burst must not be negative")
	case s.Rate.Units > 0 && s.Rate.Per <= 0:
		return fmt.Errorf("TokenBucket: the rate is per %v, that must be positive", s.Rate.Per)
	case s.Rate.Units > 0 && s.Burst > math.MaxInt64/int64(s.Rate.Per):
		return fmt.Errorf("TokenBucket: burst %d times %v does not fit into 64 bits", s.Burst, s.Rate.Per)
	}
	return nil
}

// model is what a kind of limiter must do. n is never negative and now never goes backwards.
type model interface {
	allow(now time.Time, n int64) bool
	// charge takes n units whether or not they are allowed.
	charge(now time.Time, n int64)
	remaining(now time.Time) int64
	nextFree(now time.Time) (time.Time, bool)
	reset(now time.Time) time.Time
	setLimit(now time.Time, limit int64)
}

// A Limiter meters one identity. The zero value is not usable; see New.
type Limiter struct {
	spec Spec
	m    model
	last time.Time
}

// New returns a limiter with its full allowance. start is time zero of window edges and of the bucket.
func New(s Spec, start time.Time) (*Limiter, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	l := &Limiter{spec: s, last: start}
	switch s.Kind {
	case RollingLog:
		l.m = &rolling{limit: s.Limit, window: s.Window}
	case FixedWindow:
		l.m = &fixed{limit: s.Limit, edges: edges{origin: start.Add(s.Phase), window: s.Window}}
	case SlidingCounter:
		l.m = newSliding(s, start)
	case Concurrency:
		l.m = &concurrency{limit: s.Limit}
	case TokenBucket:
		l.m = newBucket(s, start)
	}
	return l, nil
}

// clamp keeps time from going backwards: callers read the clock before they take their lock.
func (l *Limiter) clamp(now time.Time) time.Time {
	if now.Before(l.last) {
		return l.last
	}
	l.last = now
	return now
}

// Allow says whether n units could be charged now. It charges nothing.
func (l *Limiter) Allow(now time.Time, n int64) bool {
	return n <= 0 || l.m.allow(l.clamp(now), n)
}

// Charge takes n units even where Allow says no, as a registry does that counts refused requests.
// A window count then exceeds its limit, a token bucket is emptied and owes nothing.
func (l *Limiter) Charge(now time.Time, n int64) {
	if n > 0 {
		l.m.charge(l.clamp(now), n)
	}
}

// Remaining is the number of units that could be charged now. It is negative when more than the limit is in use.
func (l *Limiter) Remaining(now time.Time) int64 { return l.m.remaining(l.clamp(now)) }

// NextFree is the earliest time, not before now, at which one unit would be allowed if nothing more were charged;
// false when that cannot be known (Concurrency) or never comes (a limit of 0).
func (l *Limiter) NextFree(now time.Time) (time.Time, bool) { return l.m.nextFree(l.clamp(now)) }

// Reset is what a reset header would name: the next edge of a fixed window or sliding counter, the time at which the
// oldest unit leaves a rolling log, the time at which a bucket is full. It is now when nothing is in use.
func (l *Limiter) Reset(now time.Time) time.Time { return l.m.reset(l.clamp(now)) }

// SetLimit changes the limit (of a bucket: the burst) and keeps what was charged.
func (l *Limiter) SetLimit(now time.Time, limit int64) {
	if l.spec.Kind == TokenBucket {
		l.spec.Burst = limit
	} else {
		l.spec.Limit = limit
	}
	l.m.setLimit(l.clamp(now), limit)
}

// Release gives n units of a Concurrency limiter back; it does nothing for other kinds.
func (l *Limiter) Release(n int64) {
	if c, ok := l.m.(*concurrency); ok {
		c.held -= n
	}
}

// Quota is the limit and window that the limiter states about itself: a bucket states its burst and the time in which
// it fills. The window is 0 where there is none.
func (l *Limiter) Quota() (limit int64, window time.Duration) {
	if l.spec.Kind != TokenBucket {
		return l.spec.Limit, l.spec.Window
	}
	if l.spec.Rate.Units == 0 {
		return l.spec.Burst, 0
	}
	return l.spec.Burst, time.Duration(l.spec.Burst * int64(l.spec.Rate.Per) / l.spec.Rate.Units)
}

// Unlimited says whether the limiter never refuses: a token bucket with a rate of 0.
func (l *Limiter) Unlimited() bool {
	return l.spec.Kind == TokenBucket && l.spec.Rate.Units == 0
}
