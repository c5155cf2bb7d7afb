package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Claim is units set aside for one thing that may be charged.
type Claim struct {
	Units core.Units
	// Ungated says that nobody asked us: the demand was not held.
	Ungated bool
	// Parent is a claim that this one draws on first, empty for none; what a
	// child takes of its parent is not reserved twice.
	Parent string
	// Manifests is how many manifests the pull asks for, 0 where it is not one pull;
	// Host is the host of its image.
	Manifests int
	Host      string
	// By is whose pull it is, for people; empty where it is nobody's alone.
	By string
}

// Outcome says how a claim ended.
type Outcome string

// The outcomes of a claim.
const (
	Pulled  Outcome = "pulled"  // the image arrived, and was charged for all we know
	Present Outcome = "present" // it was there already: nothing was sent that costs
	Failed  Outcome = "failed"  // given up after attempts that may have been charged
	Gone    Outcome = "gone"    // its pod or node is gone, perhaps in the middle of a pull
)

// claim is a Claim in the books.
type claim struct {
	Claim
	opened time.Time
	// closed is when it was seen to need no more pulls; zero while open.
	closed  time.Time
	outcome Outcome
	// unexplained is how much of a falling `remaining` it can still account for.
	unexplained core.Units
	// begun is what of it was spent as it was opened; see spendAtOnce.
	begun core.Units
}

// Set opens a claim or changes an open one; zero units remove it as if it had
// never been, unless it is a pull, which costs nothing only as long as that stays
// true. A closed claim of the same id is left to its reading and the new one is
// kept beside it by the caller's choice of id.
func (l *Ledger) Set(now time.Time, id string, c Claim) {
	old, ok := l.claims[id]
	if c.Units <= 0 && c.Manifests == 0 {
		if ok && old.closed.IsZero() {
			l.unspend(now, old.By, old.begun)
			l.drop(id, old)
		}
		return
	}
	if !ok {
		made := &claim{Claim: c, opened: now, unexplained: c.Units}
		l.spendAtOnce(now, made)
		l.claims[id] = made
		l.sums.count(made, 1)
		return
	}
	if c.By == "" {
		c.By = old.By // it is the same pull still
	}
	l.change(old, func() {
		old.unexplained = max(0, old.unexplained+c.Units-old.Units)
		old.Claim = c
		old.closed = time.Time{}
		l.spendAtOnce(now, old)
	})
}

// spendAtOnce spends a pull as it begins, where a rate is declared: the registry
// charges it within moments of that and refills from then on, however long the image
// takes. Spent at its end, a pull of a minute would hold its unit for a minute.
func (l *Ledger) spendAtOnce(now time.Time, c *claim) {
	if f := l.settings.Fixed; f == nil || f.Rate <= 0 || c.Manifests == 0 {
		return
	}
	if more := c.Units - c.begun; more > 0 {
		l.spend(now, c.By, more)
	} else {
		l.unspend(now, c.By, -more)
	}
	c.begun = c.Units
}

// change changes a claim and keeps the sums.
func (l *Ledger) change(c *claim, do func()) {
	l.sums.count(c, -1)
	do()
	l.sums.count(c, 1)
}

// drop takes a claim out of the books.
func (l *Ledger) drop(id string, c *claim) {
	l.sums.count(c, -1)
	delete(l.claims, id)
}

// sums are what the claims come to, kept as they come and go.
type sums struct {
	reserved, ungated, open core.Units
	// begun is what of open was spent already.
	begun core.Units
	// closed counts those that wait for a reading, free pulls that are believed to
	// cost nothing, children those that draw on another.
	closed, free, children int
}

func (s *sums) count(c *claim, by int) {
	units := core.Units(by) * max(c.Units, 0)
	if c.Ungated {
		s.ungated += units
	} else {
		s.reserved += units
	}
	if c.closed.IsZero() {
		s.open += units
		s.begun += core.Units(by) * c.begun
	} else {
		s.closed += by
	}
	if c.isFree() {
		s.free += by
	}
	if c.Parent != "" {
		s.children += by
	}
}

// isFree reports whether it is a pull that is believed to cost nothing.
func (c *claim) isFree() bool { return c.Manifests > 0 && c.Units == 0 }

// Close ends a claim. What may have been charged stays subtracted until a
// reading covers it, whatever the outcome; only Present frees it at once.
func (l *Ledger) Close(now time.Time, id string, outcome Outcome) {
	c, ok := l.claims[id]
	if !ok || !c.closed.IsZero() {
		return
	}
	if outcome == Present {
		l.unspend(now, c.By, c.begun)
		l.drop(id, c)
		return
	}
	l.change(c, func() { c.closed, c.outcome = now, outcome })
	l.spend(now, c.By, c.Units-c.begun)
	if l.settings.Fixed != nil {
		l.drop(id, c) // it is spent, and no reading ever covers it
	}
}

// outstanding sums what no reading covers yet: reserved by us, ungated, and how
// much of both is still open. A parent counts for itself or for its children,
// whichever is more, so that nothing is reserved twice.
func (l *Ledger) outstanding() (reserved, ungated, open core.Units) {
	if l.sums.children == 0 {
		return l.sums.reserved, l.sums.ungated, l.sums.open
	}
	return l.walk()
}

// walk is outstanding where claims draw on others.
func (l *Ledger) walk() (reserved, ungated, open core.Units) {
	children := l.children()
	for id, c := range l.claims {
		if l.claims[c.Parent] != nil {
			continue // counted in its parent
		}
		units := l.weight(id, children, maxDepth)
		if c.Ungated {
			ungated += units
		} else {
			reserved += units
		}
		if c.closed.IsZero() {
			open += units
		}
	}
	return reserved, ungated, open
}

// maxDepth bounds a claim tree: step, node bundle, pods, and one to spare. It
// also ends a loop that a hostile status could describe.
const maxDepth = 4

// children lists the claims below each claim.
func (l *Ledger) children() map[string][]string {
	below := map[string][]string{}
	for id, c := range l.claims {
		if c.Parent != "" && c.Parent != id {
			below[c.Parent] = append(below[c.Parent], id)
		}
	}
	return below
}

// weight is what a claim and everything below it hold.
func (l *Ledger) weight(id string, below map[string][]string, depth int) core.Units {
	var sum core.Units
	if depth > 0 {
		for _, child := range below[id] {
			sum += l.weight(child, below, depth-1)
		}
	}
	return max(l.claims[id].Units, sum)
}

// cover drops every closed claim that a reading sent at sentAt has seen.
func (l *Ledger) cover(sentAt time.Time) {
	if l.sums.closed == 0 {
		return
	}
	var over, late core.Units // late: of pulls that were booked only as they ended
	for id, c := range l.claims {
		if c.closed.IsZero() || sentAt.Before(c.closed.Add(l.Lag())) {
			continue
		}
		l.span.ended(c)
		l.drop(id, c)
		if c.outcome != Pulled || c.Parent != "" {
			continue // not charged for sure, or its parent explained it
		}
		over += c.unexplained
		if c.closed.Equal(c.opened) {
			late += c.unexplained
		}
	}
	l.others.retract(min(late, l.restoreExplanations(over)), l.window())
}

// restoreExplanations gives claims back what they explained of falls that pulls made
// which are over: a fall says nothing of whose it is, and the oldest claim explains it. A
// claim that waits long, as one of a pull that fails, would be spent on the falls of
// others, and its own be taken for somebody else's. It returns what no claim explained.
func (l *Ledger) restoreExplanations(units core.Units) core.Units {
	if units <= 0 {
		return 0
	}
	for _, c := range l.claimsByAge() {
		back := min(units, c.Units-c.unexplained)
		c.unexplained += back
		if units -= back; units == 0 {
			break
		}
	}
	return units
}

// explain takes a fall of `remaining` out of what claims can account for, oldest
// first, and returns the part that no claim explains.
func (l *Ledger) explain(fall core.Units) core.Units {
	for _, c := range l.claimsByAge() {
		if fall == 0 {
			return 0
		}
		took := min(fall, c.unexplained)
		c.unexplained -= took
		fall -= took
	}
	return fall
}
