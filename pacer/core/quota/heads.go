package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Reading costs nothing where a HEAD is free. A registry that charges for it is found
// by pairs: two HEADs in a row, so close that others are not likely to come between
// them. Where HEADs cost, each pair falls by what one costs; the first that does not
// fall shows that they are free. The first HEADs of all are a pair; later one is asked
// for after a fall that nothing here explains, and not again for a window. Until a test
// that began with a fall is over, what its HEADs may cost is kept back, since nothing
// falls on an empty account. One that is empty from the start, and refuses HEADs, is
// left alone until some units came back.
//
// How sure that is: say others pull at any steady pace, independently of each other.
// Before a pair, s passed since the reading before, and the account fell by f in that
// time. What came back in s, at the pace of the limit, may have hidden r = limit * s /
// window more. Let X be what others took in s, and m its mean; the chance that X is
// f + r at most and that one of them then meets the d between the two HEADs, is
//
//	P(X <= f+r) * m*d/s  =  d/s * sum over k <= f+r of (k+1) * P(X = k+1)  <=  (f+r+1) * d/s
//
// whatever m is. Pairs do not overlap, so that the chances multiply, and a test ends at
// the first pair that did not fall. With an answer after 100 ms and a reading every 20 s
// it is 1 % for a pair; three of them, and one before them with nothing to compare,
// leave a chance of 1 in a million. Where others come in bursts, or HEADs are slow
// beside the limit, it takes more pairs, or no number of them tells.
const (
	// pairWithin is how close two readings are that make a pair: closer than two that
	// were not asked for as one.
	pairWithin = 900 * time.Millisecond
	// byChance is what is left to chance when HEADs are believed to cost, minPairs how
	// many pairs it takes at least, and maxPairs after how many a test is given up.
	byChance = 1e-5
	minPairs = 3
	maxPairs = 12
	// refills is how many units come back before an empty account is asked again.
	refills = 3
	// retestHeads is when HEADs that cost are asked again, as registries change.
	retestHeads = 24 * time.Hour
)

// heads is what is known of the price of a HEAD.
type heads struct {
	// suspect says that a reading fell and nothing here explains it.
	suspect bool
	// pairs are those of the test under way, alike those that fell, each by cost, and
	// chance what is left to chance of these.
	pairs, alike int
	cost         core.Units
	chance       float64
	// gap is the time before the reading of now, gapFall what it fell by.
	gap     time.Duration
	gapFall core.Units
	// refused says that the last HEAD was, as the second of a pair.
	refused bool
	// tested is when the last test ended, charged since when HEADs are known to cost;
	// zero: none did, they are not.
	tested  time.Time
	charged time.Time
}

// HeadsCharged reports whether the registry is known to charge for a HEAD, so that it
// is not asked any more.
func (l *Ledger) HeadsCharged() bool { return !l.heads.charged.IsZero() }

// WantsPair reports whether the next probe should be two in a row.
func (l *Ledger) WantsPair() bool {
	h := &l.heads
	switch {
	case l.settings.Fixed != nil || l.bare > 0:
		return false
	case l.last != nil && (l.window() <= 0 || len(l.sources.names()) > 0):
		return false // with several sources two HEADs may be of two accounts
	case h.tested.IsZero():
		return true
	}
	return h.suspect && l.lastAttempt.Sub(h.tested) >= max(l.window(), fallbackWindow)
}

// kept is what the HEADs of a test under way may still cost.
func (h *heads) kept() core.Units {
	if h.pairs == 0 {
		return 0
	}
	return 2 * h.cost * core.Units(maxPairs-h.pairs)
}

// rests is when an account may be asked again that refused a HEAD for lack of units, as
// long as it is not known whether they cost: each that comes back might go to the next.
func (l *Ledger) rests() time.Time {
	if !l.heads.refused || l.last == nil || !l.heads.tested.IsZero() {
		return time.Time{}
	}
	return l.lastAttempt.Add(min(refills*l.Refill(), l.window()))
}

// condemn ends the readings of an account whose HEADs cost.
func (l *Ledger) condemn(at time.Time) {
	l.heads = heads{charged: at}
	// What HEADs took was not others.
	l.others = foreign{at: l.others.at, taken: l.others.taken}
}

// ofPull is what a HEAD adds to the price of a pull: runtimes begin with one.
func (h *heads) ofPull() core.Units {
	if h.charged.IsZero() {
		return 0
	}
	return 1
}

// priceHead takes in how far a reading fell from the one before, and what of that nothing
// here explains.
func (l *Ledger) priceHead(obs Observation, fall, unexplained core.Units) {
	h, since := &l.heads, obs.SentAt.Sub(l.last.SentAt)
	if since > pairWithin || obs.Header.Source != l.last.Header.Source {
		h.gap, h.gapFall = since, unexplained
		h.suspect = h.suspect || unexplained > 0
		return
	}
	switch {
	case l.last.Header.Remaining <= 0:
		return // there was nothing to fall
	case fall <= 0:
		*h = heads{tested: obs.SentAt}
	case h.charged.IsZero():
		l.pair(obs, since, unexplained)
	}
}

// pair takes in a pair that fell.
func (l *Ledger) pair(obs Observation, since time.Duration, fell core.Units) {
	h := &l.heads
	h.pairs++
	if fell > 0 && (h.cost == 0 || fell < h.cost) {
		h.cost, h.chance, h.alike = fell, 1, 0 // what fell more was others, too
	}
	if fell > 0 && fell == h.cost {
		h.alike++
		h.chance *= l.othersBetween(since)
	}
	h.gap = 0 // the next pair has a time of its own before it
	switch {
	case h.alike >= minPairs && h.chance <= byChance:
		l.condemn(obs.SentAt)
	case h.pairs >= maxPairs:
		*h = heads{tested: obs.SentAt}
	}
}

// othersBetween is the chance that others made a pair fall, by what was seen before it.
func (l *Ledger) othersBetween(pair time.Duration) float64 {
	h := &l.heads
	if h.gap <= 0 {
		return 1
	}
	hidden := float64(l.limit()) * h.gap.Seconds() / l.window().Seconds()
	return min(1, (float64(max(h.gapFall, 0))+hidden+1)*pair.Seconds()/h.gap.Seconds())
}

// Anew forgets what was found out about HEADs, as they are asked for in another way.
func (l *Ledger) Anew() { l.heads = heads{} }
