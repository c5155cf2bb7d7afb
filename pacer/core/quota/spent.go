package quota

import (
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// maxSpent bounds the log of what was spent: buckets of a 64th of the window, so
// that an expiry is late by 1.6 % of the window at most and never early.
const maxSpent = 64

// fallbackWindow is the least time that a lost limit is kept as a local log.
const fallbackWindow = 10 * time.Minute

// logWindow is how long a charge matters to the local log.
func (l *Ledger) logWindow() time.Duration {
	if w := l.window(); w > 0 {
		return w
	}
	return fallbackWindow
}

// spend notes units, and whose they were, in the bucket that ends at or after now.
func (l *Ledger) spend(now time.Time, by string, units core.Units) {
	if units <= 0 {
		return
	}
	l.spentTotal += units
	if f := l.settings.Fixed; f != nil && f.Rate > 0 {
		l.bucket.refill(now, *f, l.since)
		l.bucket.level -= float64(units)
	}
	end := l.bucketEnd(now)
	l.use.note(end, now.Add(-l.logWindow()), by, units)
	l.forget(now)
	l.charged(now, end)
	if n := len(l.spent); n > 0 && !l.spent[n-1].End.Before(end) {
		l.spent[n-1].Units += units
		return
	}
	l.spent = append(l.spent, Spent{End: end, Units: units})
	if over := len(l.spent) - maxSpent; over > 0 {
		// Merging forwards keeps the sum and can only delay an expiry.
		l.spent[over].Units += sumSpent(l.spent[:over])
		l.spent = slices.Delete(l.spent, 0, over)
	}
}

// bucketEnd is the end of the bucket that now is in.
func (l *Ledger) bucketEnd(now time.Time) time.Time {
	width := max(l.logWindow()/maxSpent, time.Nanosecond)
	return now.Truncate(width).Add(width)
}

// charged notes when the last charge of the bucket that ends then came, to the moment.
func (l *Ledger) charged(now, end time.Time) {
	last := len(l.ends) - 1
	if last >= 0 && !l.bucketEnd(l.ends[last]).Before(end) {
		l.ends[last] = later(l.ends[last], now)
		return
	}
	l.ends = append(l.ends, now)
	if over := len(l.ends) - maxSpent; over > 0 {
		l.ends = slices.Delete(l.ends, 0, over)
	}
}

// Spent is what was spent since these books began, and whether a claim is open of which
// some may have been charged too.
func (l *Ledger) Spent() (units core.Units, open bool) {
	_, _, under := l.outstanding()
	return l.spentTotal, under > 0
}

// unspend takes back what was spent on a pull of a declared rate that was not charged.
func (l *Ledger) unspend(now time.Time, by string, units core.Units) {
	f := l.settings.Fixed
	if units <= 0 || f == nil || f.Rate <= 0 {
		return
	}
	l.spentTotal -= units
	l.use.takeBack(by, units)
	l.bucket.refill(now, *f, l.since)
	l.bucket.level = min(float64(f.Burst), l.bucket.level+float64(units))
}

// forget drops the buckets that are out of the window.
func (l *Ledger) forget(now time.Time) {
	edge, old := now.Add(-l.logWindow()), 0
	for old < len(l.spent) && !l.spent[old].End.After(edge) {
		old++
	}
	l.spent = slices.Delete(l.spent, 0, old)
}

// spentWithin is what the local log holds for the window that ends now.
func (l *Ledger) spentWithin(now time.Time) core.Units {
	edge := now.Add(-l.logWindow())
	var units core.Units
	for _, s := range l.spent {
		if s.End.After(edge) {
			units += s.Units
		}
	}
	return units
}

// spentBy is what of our own a reading sent at t knows for sure: all that was spent
// before it and not so late that a closed pull may not show yet.
func (l *Ledger) spentBy(t time.Time) core.Units {
	units := l.spentWithin(t)
	if l.sums.closed == 0 {
		return max(units, 0)
	}
	for _, c := range l.claims {
		if !c.closed.IsZero() && t.Before(c.closed.Add(l.Lag())) {
			units -= c.Units
		}
	}
	return max(units, 0)
}

// expiring is what of our own a reading sent at t may show no more, though the log holds
// it: a pull is noted when it is seen to have ended, which is after it was charged.
func (l *Ledger) expiring(t time.Time) core.Units {
	return l.spentWithin(t) - l.spentWithin(t.Add(l.Lag()))
}

func sumSpent(spent []Spent) core.Units {
	var units core.Units
	for _, s := range spent {
		units += s.Units
	}
	return units
}

// bucket is the local token bucket of a fixed rate. It starts empty, because what
// was spent before it began is not known.
type bucket struct {
	level float64
	at    time.Time
}

// refill brings the bucket to now; since is when it began.
func (b *bucket) refill(now time.Time, f Fixed, since time.Time) {
	if b.at.IsZero() {
		b.at = since
	}
	if now.After(b.at) {
		b.level = min(float64(f.Burst), b.level+f.Rate*now.Sub(b.at).Seconds())
		b.at = now
	}
}

// NextUnit is when a limit that is counted here, and not read, brings one unit more
// than now; zero where no more is to come or a reading tells.
func (l *Ledger) NextUnit(now time.Time) time.Time {
	f := l.settings.Fixed
	switch {
	case f != nil && f.Rate > 0:
		b := l.bucket
		b.refill(now, *f, l.since)
		missing := 1 - (b.level - math.Floor(b.level))
		return now.Add(time.Duration(math.Ceil(missing / f.Rate * float64(time.Second))))
	case f == nil && !l.local(now):
		return time.Time{}
	}
	window := l.logWindow()
	for _, s := range l.spent {
		if at := s.End.Add(window); at.After(now) {
			return at
		}
	}
	return time.Time{}
}
