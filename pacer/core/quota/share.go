package quota

import (
	"math"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// fractional reports whether this cluster takes but a part of what it reads.
func (l *Ledger) fractional() bool { return l.settings.Fraction > 0 && l.settings.Fraction < 1 }

// counted reports whether the account is counted here at now and not read: then there
// is no remainder to take a fraction of, and it is of the limit.
func (l *Ledger) counted(now time.Time) bool { return l.settings.Fixed != nil || l.local(now) }

// share is the part of what is left at a reading that this cluster may take of an
// account that others use too. What they leave is there again at the next.
func (l *Ledger) share(left core.Units) core.Units {
	left -= l.settings.Guard
	if l.fractional() && left > 0 {
		return fraction(l.settings.Fraction, left)
	}
	return left
}

// Ceiling is what this cluster can ever be given of the account at once: its share of
// a reading of the whole limit, or its cap.
func (l *Ledger) Ceiling() core.Units { return max(1, l.ceiling(0)) }

// ceiling is the same beside a reserve.
func (l *Ledger) ceiling(kept core.Units) core.Units {
	if l.settings.Fixed != nil {
		return l.perWindow(true) - kept
	}
	return min(l.share(l.limit()-kept), l.perWindow(false)-kept)
}

// perWindow is what this cluster can be given in a window: the limit, its cap, and
// its fraction of a limit that is counted.
func (l *Ledger) perWindow(counted bool) core.Units {
	most := l.limit()
	if l.fractional() && counted {
		most = fraction(l.settings.Fraction, most)
	}
	if top := l.settings.MaxPerWindow; top > 0 {
		most = min(most, top)
	}
	return most
}

// capped is how much of what is free may be spent at now by what this cluster may take
// in a window. What others do with their readings cannot be seen from here, and a
// reading that they grant on may be old; clusters whose caps make the limit together
// stay within it all the same, because none of them takes more in any window.
func (l *Ledger) capped(now time.Time, free, open core.Units) core.Units {
	counted := l.counted(now)
	if l.settings.MaxPerWindow <= 0 && !(l.fractional() && counted) {
		return free
	}
	return min(free, l.perWindow(counted)-l.spentWithin(now)-(open-l.sums.begun))
}

// fraction is a part of units, rounded down to one at least, so that a small part is
// not nothing for ever. The nudge keeps 0.29 of 100 from being 28.
func fraction(f float64, units core.Units) core.Units {
	return min(units, max(1, core.Units(math.Floor(f*float64(units)+1e-9))))
}
