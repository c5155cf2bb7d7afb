package limiter

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// Limiter is one account's state under a Config. Times must not go backwards. It
// is not safe for concurrent use.
//
// A request that several limiters meter asks all of them first and is charged to
// all of them or to none:
//
//	if a.Allows(now, 1) && b.Allows(now, 1) {
//		a.Charge(now, 1)
//		b.Charge(now, 1)
//	} else { // each that refused counts it, if it counts what it refuses
//		a.Deny(now, 1)
//		b.Deny(now, 1)
//	}
type Limiter struct {
	config Config
	window time.Duration // that headers state
	meter  meter
}

// meter is how one type counts. limit is what holds at the time of the call.
type meter interface {
	// remaining is what could be charged now; negative when overdrawn.
	remaining(now kernel.Time) int64
	charge(now kernel.Time, units int64)
	// next is the first time, now or later, at which so many units remain if
	// nothing is charged in between.
	next(now kernel.Time, units int64) kernel.Time
	// set changes the limit, keeping what was charged.
	set(now kernel.Time, limit int64)
}

// New makes a limiter that is full.
func New(c Config) (*Limiter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &Limiter{config: c}
	_, l.window, _ = c.Says()
	switch c.Type {
	case RollingLog:
		l.meter = &rollingLog{limit: c.Limit, window: kernel.Time(c.Window)}
	case FixedWindow:
		l.meter = &fixedWindow{config: c, edge: c.after(0)}
	case TokenBucket:
		l.meter = newBucket(c)
	case SlidingCounter:
		l.meter = &slidingCounter{config: c, edge: c.after(0)}
	case Concurrency:
		l.meter = &concurrency{limit: c.Limit}
	}
	return l, nil
}

// Allows reports whether so many units may be charged now.
func (l *Limiter) Allows(now kernel.Time, units int64) bool { return l.meter.remaining(now) >= units }

// AllowsFree reports whether a request that costs nothing is answered now.
func (l *Limiter) AllowsFree(now kernel.Time) bool {
	return !l.config.DenyHeadWhenEmpty || l.meter.remaining(now) > 0
}

// Charge charges units, whether or not they are there.
func (l *Limiter) Charge(now kernel.Time, units int64) { l.meter.charge(now, units) }

// Deny is told of a request that was refused. It is charged where the limiter
// counts what is denied and was itself one that refused.
func (l *Limiter) Deny(now kernel.Time, units int64) {
	if l.config.CountsDenied && l.config.Type != Concurrency && !l.Allows(now, units) {
		l.meter.charge(now, units)
	}
}

// Release gives units back that were charged to a limit of concurrency; others
// take nothing back.
func (l *Limiter) Release(now kernel.Time, units int64) {
	if l.config.Type == Concurrency {
		l.meter.charge(now, -units)
	}
}

// Remaining is what could be charged now; negative when overdrawn.
func (l *Limiter) Remaining(now kernel.Time) int64 { return l.meter.remaining(now) }

// Next is the first time, now or later, at which so many units may be charged if
// nothing else is until then; Never if they may not.
func (l *Limiter) Next(now kernel.Time, units int64) kernel.Time { return l.meter.next(now, units) }

// Header is what an answer states now, and whether it states anything. Nobody
// states less than nothing.
func (l *Limiter) Header(now kernel.Time) (Header, bool) {
	if l.window == 0 || !l.config.Headers {
		return Header{}, false
	}
	return Header{Limit: l.config.Limit, Window: l.window, Remaining: max(0, l.meter.remaining(now))}, true
}

// Limit is what holds now: units a window, burst, or at once.
func (l *Limiter) Limit() int64 { return l.config.Limit }

// SetLimit changes the limit from now on. What was charged stays charged. A
// bucket keeps the time in which it refills, so its rate changes with its burst.
func (l *Limiter) SetLimit(now kernel.Time, limit int64) {
	l.config.Limit = limit
	l.meter.set(now, limit)
}
