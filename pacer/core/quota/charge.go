package quota

import (
	"cmp"
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

// farBatches is how many batches it takes where no two came within a window: each
// may have met the edge of a fixed one.
const farBatches = 4

// maxRefillShare is how much of a batch a steady refill may have hidden at most.
// Prices are whole units, so that a half cannot turn one into another when the mean is
// rounded up. Pulls of which a mirror answers a part have a mean between none and one:
// that they cost nothing, and what others may have charged, is told by a quarter.
const (
	maxRefillShare = 0.5
	maxFreeShare   = 0.25
)

// maxDoubts bounds how often a price that proved wrong makes the next proof longer.
const maxDoubts = 5

// kind is what pulls are alike in as far as their price goes: a registry charges
// for each manifest or for each pull, and a mirror may stand before one host of an
// account and not before another.
type kind struct {
	host      string
	manifests int
}

// kind is that of a claim; the zero kind where it is not one pull.
func (c Claim) kind() kind {
	if c.Manifests == 0 {
		return kind{}
	}
	return kind{c.Host, c.Manifests}
}

// evidence is what batches of pulls were charged.
type evidence struct {
	batches, pulls int
	units          core.Units
	// most is the dearest batch's units per pull, rounded up.
	most core.Units
}

func (e *evidence) add(pulls int, fall, each core.Units) {
	e.batches++
	e.pulls += pulls
	e.units += fall
	e.most = max(e.most, each)
}

// charge is what pulls of a kind were found to cost.
type charge struct {
	// proved is the price that is believed and what has confirmed it since, cheaper
	// the batches in a row that say less.
	proved, cheaper evidence
	believed        bool
	// near says that two of the cheaper batches came within a window, last is when
	// the latest of them was read.
	near bool
	last time.Time
	// doubts is how often the price turned out to be too low.
	doubts int
}

// cloneCharges copies what was learned, so that two books can go on from it.
func cloneCharges(charges map[kind]*charge) map[kind]*charge {
	out := make(map[kind]*charge, len(charges))
	for k, c := range charges {
		own := *c
		out[k] = &own
	}
	return out
}

// PerPull is what one cold pull through a host that asks for so many manifests is
// charged: at most one unit for each, or what headers showed it to cost, and one where
// HEADs cost.
func (l *Ledger) PerPull(host string, manifests int) core.Units {
	return l.price(kind{host, manifests})
}

// price is what a pull of a kind is charged. A declared limit counts pulls: that is
// what a person can know of a registry that says nothing.
func (l *Ledger) price(k kind) core.Units {
	if l.settings.Fixed != nil {
		return core.Units(min(k.manifests, 1))
	}
	if c := l.charges[k]; c != nil && c.believed {
		return min(c.proved.most, core.Units(k.manifests))
	}
	return core.Units(k.manifests) + l.heads.ofPull()
}

// Certain reports whether a price that was seen in so many batches with so many
// pulls in all is believed.
func Certain(batches, pulls int) bool { return batches >= minBatches && pulls >= minPulls }

// certain reports whether the cheaper batches prove their price.
func (c *charge) certain() bool {
	b := c.cheaper.batches >> min(c.doubts, maxDoubts)
	return Certain(b, c.cheaper.pulls) && (c.near || b >= farBatches)
}

// Charges lists what was learned, by host, fewest manifests first.
func (l *Ledger) Charges() []Charge {
	var out []Charge
	for k, c := range l.charges {
		seen, batches := c.proved, c.proved.batches
		if seen.pulls == 0 {
			seen, batches = c.cheaper, 0
		}
		if seen.pulls > 0 {
			out = append(out, Charge{
				Host: k.host, Manifests: k.manifests, Mean: float64(seen.units) / float64(seen.pulls), Samples: seen.pulls,
				Batches: batches, Most: seen.most,
			})
		}
	}
	slices.SortFunc(out, func(a, b Charge) int { return cmp.Or(cmp.Compare(a.Host, b.Host), a.Manifests-b.Manifests) })
	return out
}

// restoreCharges takes learned prices back.
func (l *Ledger) restoreCharges(charges []Charge) {
	for _, c := range charges {
		if c.Manifests < 1 || !Certain(c.Batches, c.Samples) || c.Most < 0 || math.IsNaN(c.Mean) || math.IsInf(c.Mean, 0) {
			continue
		}
		l.charges[kind{c.Host, c.Manifests}] = &charge{believed: true, proved: evidence{
			batches: c.Batches, pulls: c.Samples, units: core.Units(math.Round(c.Mean * float64(c.Samples))), most: c.Most,
		}}
	}
}

// span is the time since a reading and the pulls that began and ended in it.
type span struct {
	from  Observation // zero SentAt: none has begun
	kinds map[kind]int
	pulls int
	// muddy says that something else ended in it of which the charge may be in it.
	muddy bool
}

// ended counts a covered claim in.
func (s *span) ended(c *claim) {
	if c.outcome != Pulled || c.Manifests == 0 || c.opened.Before(s.from.SentAt) {
		s.muddy = true
		return
	}
	s.kinds[c.kind()]++
	s.pulls++
}

// begin starts a span at a reading.
func (l *Ledger) begin(obs Observation) { l.span = span{from: obs, kinds: map[kind]int{}} }

// audit learns the price of the pulls of a span from the fall of `remaining` across
// it, where no refill can hide a part of that. Where nothing else was under way the
// fall is what they were charged; otherwise it is that at most, which is enough to
// tell that they are cheaper than was believed. Of pulls of several kinds only a
// charge of nothing can be told apart.
func (l *Ledger) audit(obs Observation) {
	s := l.span
	fall := s.from.Header.Remaining - obs.Header.Remaining
	if s.from.SentAt.IsZero() || !l.usable || fall < 0 || s.from.Header.Limit != obs.Header.Limit {
		l.begin(obs)
		return
	}
	quiet := !s.muddy && len(l.claims) == 0
	switch {
	case s.pulls == 0 && quiet:
		l.begin(obs)
		return
	case !quiet && (s.pulls < minPulls || l.refillPossible(obs, s.pulls, maxRefillShare)):
		if l.refillPossible(obs, max(minPulls, s.pulls+l.uncovered(s.from.SentAt)), maxRefillShare) {
			l.begin(obs)
		}
		return // or there are more yet
	case l.refillPossible(obs, s.pulls, maxRefillShare):
		l.begin(obs)
		return
	}
	if fall <= l.noise(s.from.SentAt, obs) && float64(fall) <= maxFreeShare*float64(s.pulls) {
		fall = 0 // as much as others take anyway
	}
	each := (fall + core.Units(s.pulls) - 1) / core.Units(s.pulls)
	if each == 0 && l.refillPossible(obs, s.pulls, maxFreeShare) {
		l.begin(obs)
		return
	}
	if len(s.kinds) > 1 && fall > 0 {
		if quiet {
			l.begin(obs)
		}
		return
	}
	for k, n := range s.kinds {
		if !quiet && each >= l.price(k) {
			return // others may have been charged: it says nothing yet
		}
		l.taught(k, n, fall, obs)
	}
	l.begin(obs)
}

// noise is what others may have taken since a time by the pace that is known of them.
func (l *Ledger) noise(since time.Time, obs Observation) core.Units {
	return l.others.margin(obs.SentAt.Sub(since), 0, obs.Header.Window)
}

// taught takes in that a batch of pulls of a kind was charged fall units. Dearer is
// believed at once, cheaper only after several batches in a row.
func (l *Ledger) taught(k kind, pulls int, fall core.Units, obs Observation) {
	c := l.charge(k)
	each := min((fall+core.Units(pulls)-1)/core.Units(pulls), core.Units(k.manifests))
	switch price := l.price(k); {
	case each > price:
		c.doubts++
		c.proved, c.cheaper, c.near = evidence{}, evidence{}, false
		c.proved.add(pulls, fall, each)
	case each == price:
		c.proved.add(pulls, fall, each)
		c.cheaper, c.near = evidence{}, false
	default:
		c.near = c.near || (c.cheaper.batches > 0 && obs.SentAt.Sub(c.last) < obs.Header.Window)
		c.cheaper.add(pulls, fall, each)
		c.last = obs.SentAt
		if c.certain() {
			c.proved, c.cheaper, c.near, c.believed = c.cheaper, evidence{}, false, true
		}
	}
}

func (l *Ledger) charge(k kind) *charge {
	c := l.charges[k]
	if c == nil {
		c = &charge{}
		l.charges[k] = c
	}
	return c
}

// disbelieve takes back every price of nothing: what was free is charged again, as
// when a mirror went away. Pulls that are under way may be charged in full too.
func (l *Ledger) disbelieve(now time.Time) {
	for k, c := range l.charges {
		if c.believed && c.proved.most == 0 {
			l.charges[k] = &charge{doubts: c.doubts + 1}
		}
	}
	for _, c := range l.claims {
		if c.isFree() {
			l.change(c, func() { c.Units = l.price(c.kind()) })
			c.unexplained = c.Units
			if !c.closed.IsZero() {
				l.spend(now, c.By, c.Units)
			}
		}
	}
}

// anyFree reports whether a pull is in the books that is believed to cost nothing.
func (l *Ledger) anyFree() bool { return l.sums.free > 0 }

// unproved reports whether pulls wait to be covered of which the price is not known
// for sure.
func (l *Ledger) unproved() bool {
	if l.sums.closed == 0 {
		return false
	}
	for _, c := range l.claims {
		if c.Manifests == 0 || c.closed.IsZero() {
			continue
		}
		if known := l.charges[c.kind()]; known == nil || !Certain(known.proved.batches, known.proved.pulls) {
			return true
		}
	}
	return false
}

// uncovered is how many pulls began at from or later that no reading covers yet.
func (l *Ledger) uncovered(from time.Time) int {
	pulls := 0
	for _, c := range l.claims {
		if c.Manifests > 0 && !c.opened.Before(from) {
			pulls++
		}
	}
	return pulls
}

// refillPossible reports whether units may have come back between the beginning of
// the span and obs: of our own that left a rolling window, or more than a share of
// the pulls by a steady refill and of what others took.
func (l *Ledger) refillPossible(obs Observation, pulls int, share float64) bool {
	window, from := obs.Header.Window, l.span.from.SentAt
	if window <= 0 {
		return true
	}
	elapsed := obs.SentAt.Sub(from)
	back := elapsed.Seconds()/window.Seconds()*float64(obs.Header.Limit) + float64(l.others.back(from, obs.SentAt, window))
	if back > share*float64(pulls) {
		return true
	}
	width := window / maxSpent
	return slices.ContainsFunc(l.spent, func(s Spent) bool {
		latest := s.End.Add(window)
		return latest.After(from) && latest.Add(-2*width-elapsed).Before(obs.SentAt)
	})
}
