package quota

import (
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// A price is believed after this many batches with this many pulls in all. One
// batch may have straddled a refill; the dearest batch counts.
const (
	minBatches = 2
	minPulls   = 3
)

// maxRefillShare is how much of a batch a steady refill may have hidden at most.
// Prices are whole units, so that a quarter cannot turn one into another when
// the mean is rounded up.
const maxRefillShare = 0.25

// charge is what pulls of so many manifests were found to cost.
type charge struct {
	batches, pulls int
	units          core.Units
	// most is the dearest batch's units per pull, rounded up.
	most core.Units
}

// PerPull is what one cold pull that asks for so many manifests is charged: at
// most one unit for each, or what headers showed it to cost.
func (l *Ledger) PerPull(manifests int) core.Units {
	if c := l.charges[manifests]; c != nil && Certain(c.batches, c.pulls) {
		return min(c.most, core.Units(manifests))
	}
	return core.Units(manifests)
}

// Certain reports whether a price that was seen in so many batches with so many
// pulls in all is believed.
func Certain(batches, pulls int) bool { return batches >= minBatches && pulls >= minPulls }

// Charges lists what was learned, fewest manifests first.
func (l *Ledger) Charges() []Charge {
	var out []Charge
	for manifests, c := range l.charges {
		if c.pulls > 0 {
			out = append(out, Charge{
				Manifests: manifests, Mean: float64(c.units) / float64(c.pulls), Samples: c.pulls,
				Batches: c.batches, Most: c.most,
			})
		}
	}
	slices.SortFunc(out, func(a, b Charge) int { return a.Manifests - b.Manifests })
	return out
}

// restoreCharges takes learned prices back.
func (l *Ledger) restoreCharges(charges []Charge) {
	for _, c := range charges {
		if c.Manifests < 1 || c.Samples < 1 || c.Most < 0 || math.IsNaN(c.Mean) || math.IsInf(c.Mean, 0) {
			continue
		}
		l.charges[c.Manifests] = &charge{
			batches: c.Batches, pulls: c.Samples, units: core.Units(math.Round(c.Mean * float64(c.Samples))), most: c.Most,
		}
	}
}

// audit learns the price of a batch of pulls from the fall of `remaining` across
// it, where nothing else can explain or hide that fall.
func (l *Ledger) audit(obs Observation) {
	manifests, pulls := l.batch(obs.SentAt)
	if pulls == 0 || l.refillPossible(obs, pulls) {
		return
	}
	fall := l.last.Header.Remaining - obs.Header.Remaining
	if fall < 0 || l.last.Header.Limit != obs.Header.Limit {
		return
	}
	c := l.charges[manifests]
	if c == nil {
		c = &charge{}
		l.charges[manifests] = c
	}
	c.batches++
	c.pulls += pulls
	c.units += fall
	c.most = max(c.most, (fall+core.Units(pulls)-1)/core.Units(pulls))
}

// batch is how many pulls, all of so many manifests, began after the last reading
// and are covered by one sent at t; none if anything else was under way.
func (l *Ledger) batch(t time.Time) (manifests, pulls int) {
	if l.last == nil || !l.usable {
		return 0, 0
	}
	for _, c := range l.claims {
		switch {
		case c.closed.IsZero() || t.Before(c.closed.Add(l.Lag())):
			return 0, 0
		case c.outcome != Pulled || c.Manifests == 0 || c.opened.Before(l.last.SentAt):
			return 0, 0
		case manifests != 0 && c.Manifests != manifests:
			return 0, 0
		}
		manifests, pulls = c.Manifests, pulls+1
	}
	return manifests, pulls
}

// refillPossible reports whether units may have come back between the last
// reading and obs: of our own that left a rolling window, or more than a quarter
// of the batch by a steady refill.
func (l *Ledger) refillPossible(obs Observation, pulls int) bool {
	window := obs.Header.Window
	if window <= 0 {
		return true
	}
	elapsed := obs.SentAt.Sub(l.last.SentAt)
	if elapsed.Seconds()/window.Seconds()*float64(obs.Header.Limit) > maxRefillShare*float64(pulls) {
		return true
	}
	width := window / maxSpent
	return slices.ContainsFunc(l.spent, func(s Spent) bool {
		latest := s.End.Add(window)
		return latest.After(l.last.SentAt) && latest.Add(-2*width-elapsed).Before(obs.SentAt)
	})
}
