package quota

import (
	"math"

	"github.com/pullpace/pace/pacer/core"
)

// shared reports whether this cluster is one of several on the account, or is to
// take no more than so much of it.
func (l *Ledger) shared() bool {
	s := l.settings
	return (s.Fraction > 0 && s.Fraction < 1) || s.MaxPerWindow > 0
}

// share is the part of what is left at a reading that this cluster may take of an
// account that others use too.
func (l *Ledger) share(left core.Units) core.Units {
	left -= l.settings.Guard
	if f := l.settings.Fraction; f > 0 && f < 1 && left > 0 {
		return fraction(f, left)
	}
	return left
}

// Ceiling is what this cluster can ever take of the account in a window: the limit,
// its fraction of that, or its cap. What others do with their readings cannot be
// seen from here, and a reading that they grant on may be old; clusters whose
// fractions make one together stay within the limit all the same, because none of
// them takes more than its part of any window.
func (l *Ledger) Ceiling() core.Units {
	most := l.limit()
	if f := l.settings.Fraction; f > 0 && f < 1 {
		most = fraction(f, most)
	}
	if top := l.settings.MaxPerWindow; top > 0 {
		most = min(most, top)
	}
	return most
}

// fraction is a part of units, rounded down to one at least, so that a small part is
// not nothing for ever. The nudge keeps 0.29 of 100 from being 28.
func fraction(f float64, units core.Units) core.Units {
	return min(units, max(1, core.Units(math.Floor(f*float64(units)+1e-9))))
}
