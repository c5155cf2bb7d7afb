package quota

import (
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// foreignTail is the chance that others take more than the margin between a
// reading and the arrival of what was granted on it. Source: the default table
// of the product.
const foreignTail = 1e-4

// fastMemory is how soon a change of pace of others is noticed.
const fastMemory = 10 * time.Minute

// foreign estimates how fast others spend from falls of `remaining` that our
// own claims do not explain. Two memories, one as long as the window and one
// short, are kept; the faster pace counts, so that a newcomer is met at once and
// a rare visitor is not forgotten at once.
//
// A steady visitor of a rolling window falls silent after its first: from then on
// each of its units comes back as another is taken. But what is gone and not ours was
// taken within one window, and is a pace as well. A sliding counter remembers our own
// units for longer; there it costs a few units of caution after a burst.
type foreign struct {
	slow, fast float64 // units, decayed
	at         time.Time
	// taken is what was gone at the last reading and not ours; sure is as much of it as
	// others must have taken within a window, by that reading or one before.
	taken, sure core.Units
	// seen are the falls that showed it, by the time of the reading, for two windows:
	// what others took at once comes back at once.
	seen []Spent
}

func (f foreign) clone() foreign {
	f.seen = slices.Clone(f.seen)
	return f
}

// memories returns the time constants for a window.
func memories(window time.Duration) (slow, fast time.Duration) {
	slow = max(window, time.Second)
	return slow, min(slow, fastMemory)
}

// note adds units seen at a reading sent at t.
func (f *foreign) note(t time.Time, window time.Duration, units core.Units) {
	f.decay(t, window)
	f.slow += float64(units)
	f.fast += float64(units)
	if units <= 0 {
		return
	}
	f.seen = slices.DeleteFunc(f.seen, func(s Spent) bool { return s.End.Before(t.Add(-2 * window)) })
	if n := len(f.seen); n > 0 && t.Sub(f.seen[n-1].End) < window/maxSpent {
		f.seen[n-1].Units += units
		return
	}
	f.seen = append(f.seen, Spent{End: t, Units: units})
}

// retract takes back, newest first, what turned out to be our own: the unit of a pull whose
// attempts could not be charged, and that was booked only as it ended, falls before that.
func (f *foreign) retract(units core.Units, window time.Duration) {
	slow, fast := memories(window)
	for i := len(f.seen) - 1; i >= 0 && units > 0; i-- {
		ours, age := min(units, f.seen[i].Units), max(0, f.at.Sub(f.seen[i].End)).Seconds()
		f.slow = max(0, f.slow-float64(ours)*math.Exp(-age/slow.Seconds()))
		f.fast = max(0, f.fast-float64(ours)*math.Exp(-age/fast.Seconds()))
		f.seen[i].Units -= ours
		units -= ours
	}
	f.seen = slices.DeleteFunc(f.seen, func(s Spent) bool { return s.Units == 0 })
}

// back is what may have come back to a rolling window between two times of what others
// were seen to take. They took it within a bucket of when it was seen.
func (f *foreign) back(from, to time.Time, window time.Duration) core.Units {
	var units core.Units
	for _, s := range f.seen {
		latest := s.End.Add(window + window/maxSpent)
		if latest.After(from) && latest.Add(-2*window/maxSpent).Before(to) {
			units += s.Units
		}
	}
	return units
}

func (f *foreign) decay(t time.Time, window time.Duration) {
	if !f.at.IsZero() && t.After(f.at) {
		slow, fast := memories(window)
		dt := t.Sub(f.at).Seconds()
		f.slow *= math.Exp(-dt / slow.Seconds())
		f.fast *= math.Exp(-dt / fast.Seconds())
	}
	if t.After(f.at) {
		f.at = t
	}
}

// perSecond is the pace of others.
func (f *foreign) perSecond(window time.Duration) float64 {
	return max(f.falls(window), f.steady(window))
}

// falls is the pace that falls show.
func (f *foreign) falls(window time.Duration) float64 {
	slow, fast := memories(window)
	return max(f.slow/slow.Seconds(), f.fast/fast.Seconds())
}

// hold takes in what others must have taken within the window of a reading, and what they
// may have at most. As our own units come back a reading is sure of little for a moment,
// just as there is the most to grant: what one before was sure of still holds as far as
// this one does not disprove it.
func (f *foreign) hold(sure, most core.Units) {
	f.sure = max(0, sure, min(f.sure, most))
}

// steady is the pace that keeps gone what is gone.
func (f *foreign) steady(window time.Duration) float64 {
	slow, _ := memories(window)
	return float64(f.sure) / slow.Seconds()
}

// margin is what others may take while the last reading is age old and a grant
// needs lag to arrive: by falls the tail of what comes at random, and by what stays
// gone the mean of what comes so evenly that no fall shows it.
func (f *foreign) margin(age, lag, window time.Duration) core.Units {
	span := (max(age, 0) + lag).Seconds()
	even := core.Units(math.Ceil(f.steady(window) * span))
	rate := f.falls(window)
	// Below one unit in ten windows the estimate is the tail of what has been
	// forgotten, not a pace.
	if window > 0 && rate*window.Seconds() < 0.1 {
		return even
	}
	return max(even, poissonQuantile(rate*span, foreignTail))
}
