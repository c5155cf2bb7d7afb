package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// The pace of probes. Source: the default table of the product; a sixtieth of
// the window keeps a limit of seconds or minutes from idling between readings.
const (
	probeWaiting = 20 * time.Second
	probeIdle    = 5 * time.Minute
	probeFloor   = time.Second
	probesPerWin = 60
)

// interval is the time between two probes.
func (l *Ledger) interval(waiting bool) time.Duration {
	if !waiting {
		if d := l.settings.ProbeIdle; d > 0 {
			return max(d, probeFloor)
		}
		return probeIdle
	}
	d := l.settings.ProbeInterval
	if d <= 0 {
		d = probeWaiting
	}
	if w := l.window(); w > 0 {
		d = min(d, w/probesPerWin)
	}
	return max(d, probeFloor)
}

// NextProbe is when the account should be asked next, given whether work waits
// for it. jitter in [-0.1, 0.1] spreads the regular interval. Zero: never, as a
// declared limit needs no reading.
func (l *Ledger) NextProbe(waiting bool, jitter float64) time.Time {
	if l.settings.Fixed != nil {
		return time.Time{}
	}
	if l.HeadsCharged() {
		return later(later(l.lastAttempt, l.heads.charged).Add(retestHeads), l.retryAt)
	}
	if l.lastAttempt.IsZero() {
		return l.notBefore
	}
	waiting = waiting || l.anyFree() // that it costs again is seen in a reading first
	if l.last == nil && l.missed > 0 && l.missed < staleInterval {
		waiting = true // a first answer that did not come is not left for long
	}
	interval := l.interval(waiting)
	next := l.lastAttempt.Add(interval + time.Duration(jitter*float64(interval)))
	soon := l.lastAttempt.Add(probeFloor)
	if l.bare > 0 && l.bare < neverAfter {
		next = soon
	}
	if !l.usable && (waiting || l.last == nil) && l.notBefore.After(l.lastAttempt) {
		next = earliest(next, later(soon, l.notBefore))
	}
	switch {
	case waiting:
		next = l.foreseen(earliest(next, l.worthAsking(soon)))
	case l.unproved():
		next = earliest(next, l.covering(soon)) // before a refill hides what they cost
	}
	return later(later(next, l.retryAt), l.rests())
}

// foreseen puts a probe off to a moment, less than the floor away, at which what was
// charged last leaves a rolling window: sent before it, the next one would come so much
// too late.
func (l *Ledger) foreseen(next time.Time) time.Time {
	best := next.Add(probeFloor)
	consider := func(t time.Time) {
		if t.After(next) && t.Before(best) {
			best = t
		}
	}
	window := l.window()
	for _, end := range l.ends {
		consider(end.Add(window))
	}
	if best.Before(next.Add(probeFloor)) {
		return best
	}
	return next
}

// covering is the first time from soon on when a closed claim gets covered; zero:
// none does.
func (l *Ledger) covering(soon time.Time) time.Time {
	var best time.Time
	if l.sums.closed == 0 {
		return best
	}
	for _, c := range l.claims {
		if covered := c.closed.Add(l.Lag()); !c.closed.IsZero() && covered.After(l.lastAttempt) {
			best = earliestSet(best, later(covered, soon))
		}
	}
	return best
}

// worthAsking is the first time from soon on when a reading is likely to say
// something new: a closed claim gets covered, or one of our own charges leaves
// a rolling window.
func (l *Ledger) worthAsking(soon time.Time) time.Time {
	best := l.covering(soon)
	consider := func(t time.Time) {
		if t.After(l.lastAttempt) {
			best = earliestSet(best, later(t, soon))
		}
	}
	window := l.window()
	for _, end := range l.ends {
		consider(end.Add(window))
	}
	for _, s := range l.spent {
		consider(s.End.Add(window))
		consider(s.End.Add(window - window/maxSpent))
	}
	return best
}

// Expected is when need more units than are free now may be there, as a range
// over the kinds of limiter that could be behind the account: a steady refill, a
// rolling window, a fixed window. Zero when nothing is missing or known.
func (l *Ledger) Expected(now time.Time, need core.Units) Range {
	window, limit := l.window(), l.limit()
	if need <= 0 || window <= 0 || limit <= 0 || l.Unlimited(now) {
		return Range{}
	}
	windows := time.Duration((need - 1) / limit)
	rest := need - core.Units(windows)*limit
	steady := now.Add(time.Duration(float64(window) * float64(need) / float64(limit)))
	rolling := l.ownExpiry(now, rest).Add(windows * window)
	from, to := earliest(steady, rolling), later(steady, rolling)
	if !l.others.at.IsZero() && l.others.perSecond(window) > 0 {
		to = later(to, now.Add((windows+1)*window))
	}
	return Range{From: later(from, now), To: to}
}

// ownExpiry is when need units of our own charges have left a rolling window;
// units that are not ours come back within one window at the latest.
func (l *Ledger) ownExpiry(now time.Time, need core.Units) time.Time {
	window := l.window()
	var back core.Units
	for _, s := range l.spent {
		if back += s.Units; back >= need {
			return s.End.Add(window)
		}
	}
	return now.Add(window)
}

func earliest(a, b time.Time) time.Time {
	if b.IsZero() || (!a.IsZero() && a.Before(b)) {
		return a
	}
	return b
}

// earliestSet is earliest where a zero time means none yet.
func earliestSet(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return earliest(a, b)
}
