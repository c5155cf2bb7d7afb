package quota

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Fork returns books that know what these know and go on from here: what is set
// aside there is theirs, what the registry says they learn by [Ledger.Follow].
// Open claims are not in them; their owner sets them again.
func (l *Ledger) Fork() *Ledger {
	f := *l
	f.spent, f.ends, f.use = slices.Clone(l.spent), slices.Clone(l.ends), use{}
	f.claims, f.sums = map[string]*claim{}, sums{}
	for id, c := range l.claims {
		if !c.closed.IsZero() {
			kept := *c
			f.claims[id] = &kept
			f.sums.count(&kept, 1)
		}
	}
	f.begin(Observation{})
	f.flow.steps = slices.Clone(l.flow.steps)
	f.charges, f.others = cloneCharges(l.charges), l.others.clone()
	return &f
}

// Follow takes over what other books of the same account know of it: readings and
// their grade, prices, and the pace of others. What is set aside, what was spent and
// which answers of 429 count stay these books' own. moved is how many units more the
// last reading would have said to be left if pulls had been made when these books
// let them go.
func (l *Ledger) Follow(from *Ledger, moved core.Units) {
	own := *l
	*l = *from
	l.claims, l.sums, l.spent, l.ends, l.use, l.bucket = own.claims, own.sums, own.spent, own.ends, own.use, own.bucket
	l.spentTotal, l.flow, l.others = own.spentTotal, own.flow, own.others
	l.charges = cloneCharges(from.charges)
	l.begin(Observation{}) // prices are learned from what happened
	l.restored, l.throttledAt, l.notBefore = own.restored, own.throttledAt, own.notBefore
	l.cover(from.lastAnswer)
	l.others = from.others.clone() // cover takes none of it back: pulls of these books did not happen
	if from.last == nil {
		return
	}
	last := *from.last
	last.Header.Remaining = min(last.Header.Remaining+moved, last.Header.Limit)
	l.last = &last
	l.usable = from.lostAt.IsZero() && !last.SentAt.Before(l.notBefore)
}

// LastSent is when the last reading with a limit was sent, zero before the first.
func (l *Ledger) LastSent() time.Time { return l.lastSent() }
