package quota

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// maxLag is how long after a pull a reading is trusted to contain it; a twelfth
// of the window where that is less.
const maxLag = 5 * time.Second

// Ledger is the books of one account. It is not safe for concurrent use.
type Ledger struct {
	settings    Settings
	credentials bool

	claims  map[string]*claim
	sums    sums // of the claims
	span    span
	charges map[kind]*charge
	spent   []Spent     // oldest first
	ends    []time.Time // of the last charge in each bucket of that
	use     use
	// spentTotal is what was spent since these books began.
	spentTotal core.Units
	flow       flow
	others     foreign
	bucket     bucket

	// last is the newest observation with a limit; usable says that it may be
	// granted on, as nothing has happened since that makes it worthless.
	last   *Observation
	usable bool
	// notBefore is the earliest SentAt of a reading to grant on.
	notBefore time.Time

	since       time.Time // when this ledger began to ask
	lastAnswer  time.Time // SentAt of the last answer of any kind
	lastAttempt time.Time // SentAt of the last probe
	bare        int       // answers in a row without a limit
	missed      int       // probes in a row without an answer
	lostAt      time.Time // when a known limit went missing
	retryAt     time.Time // when a throttled probe may be sent again

	throttledAt time.Time // of the last 429 to a pull
	// restored is what was open when the state was exported, until Reopened.
	restored core.Units

	unseen   unseen
	heads    heads
	mismatch Doubt
	sources  sightings
}

// New returns empty books that ask for a reading sent at now or later.
func New(now time.Time, s Settings, credentials bool) *Ledger {
	return &Ledger{
		settings: s, credentials: credentials, claims: map[string]*claim{}, charges: map[kind]*charge{},
		span:  span{kinds: map[kind]int{}},
		since: now, notBefore: now,
	}
}

// Configure changes the rules; what is in the books stays.
func (l *Ledger) Configure(s Settings, credentials bool) {
	l.settings, l.credentials = s, credentials
}

// Distrust makes every reading worthless that was sent before now plus lag, for
// a start after which charges may be under way that nobody told us of.
func (l *Ledger) Distrust(now time.Time) {
	l.notBefore = now.Add(l.Lag())
	l.usable = false
}

// Throttled notes that the registry refused a pull for lack of budget: nothing
// is granted until a reading was sent after it, and after what it asked for. Where
// the limit is declared there is no reading to wait for, but a pause. What was
// believed to cost nothing is charged again: a mirror that answers sends no 429.
func (l *Ledger) Throttled(at time.Time, retryAfter time.Duration) {
	if l.settings.Fixed != nil {
		retryAfter = max(retryAfter, min(fixedPause, l.window()))
	}
	l.disbelieve(at)
	l.refusedAt(at, retryAfter)
}

// fixedPause is how long a declared limit rests after a 429: the first step of the
// breaker, or a window where that is less.
const fixedPause = 30 * time.Second

func (l *Ledger) refusedAt(at time.Time, retryAfter time.Duration) {
	until := at.Add(min(max(retryAfter, 0), MaxRetryAfter))
	l.throttledAt = later(l.throttledAt, at)
	if until.After(l.notBefore) {
		l.notBefore = until
	}
	if l.last != nil && l.last.SentAt.Before(until) {
		l.usable = false
	}
}

// MaxRetryAfter bounds what a header can make us wait: the longest back-off of
// the breaker.
const MaxRetryAfter = 30 * time.Minute

// Lag is how long after a pull a reading is trusted to contain it.
func (l *Ledger) Lag() time.Duration {
	if w := l.window(); w > 0 {
		return min(maxLag, w/12)
	}
	return maxLag
}

// window is the account's window, zero when unknown.
func (l *Ledger) window() time.Duration {
	if f := l.settings.Fixed; f != nil {
		if f.Rate > 0 {
			return time.Duration(float64(f.Burst) / f.Rate * float64(time.Second))
		}
		return f.Window
	}
	if l.last != nil {
		return l.last.Header.Window
	}
	return 0
}

// limit is the account's limit, zero when unknown.
func (l *Ledger) limit() core.Units {
	if f := l.settings.Fixed; f != nil {
		return max(f.Pulls, f.Burst)
	}
	if l.last != nil {
		return l.last.Header.Limit
	}
	return 0
}

// Demand is what else the budget depends on besides the books.
type Demand struct {
	// Rollback is what a rollback of every live rollout would have to pull now.
	Rollback core.Units
	// Held is what everything held now, and still to come of it, may cost; where
	// that is little enough the percentage reserve is dropped. Negative: no end known.
	Held core.Units
}

// Available is what class may spend at now. Unlimited accounts answer
// [math.MaxInt64]/2; where nothing may be granted it is zero or less.
func (l *Ledger) Available(now time.Time, class core.Class, d Demand) core.Units {
	if !l.Unlimited(now) && !l.local(now) && l.outlived(now) {
		return 0
	}
	return l.believed(now, class, d)
}

// believed is what class could spend by the last reading, be it as old as it may.
func (l *Ledger) believed(now time.Time, class core.Class, d Demand) core.Units {
	if l.Unlimited(now) {
		return math.MaxInt64 / 2
	}
	return l.beside(now, l.rollbackReserve(class, d), l.percentReserve(class), d.Held)
}

// beside is what is left beside what is kept for rollbacks and a part of the limit.
func (l *Ledger) beside(now time.Time, kept, part, held core.Units) core.Units {
	free := l.free(now, kept)
	if part == 0 || held >= 0 && held <= free {
		return free // the last window of a finite demand
	}
	return l.free(now, kept+part)
}

// rollbackReserve is what class leaves for rollbacks: half of the limit at most,
// since a rollout must be able to go on.
func (l *Ledger) rollbackReserve(class core.Class, d Demand) core.Units {
	if !l.settings.RollbackReserve || class <= core.ClassRollback {
		return 0
	}
	return min(max(d.Rollback, 0), l.limit()/2)
}

// percentReserve is what class leaves besides the rollback's own.
func (l *Ledger) percentReserve(class core.Class) core.Units {
	percent := core.Units(l.settings.ReservePercent)
	switch {
	case class <= core.ClassServing:
		return 0
	case class > core.ClassRollout:
		percent *= 3
	}
	return l.limit() * percent / 100
}

// free is what is left beside a reserve. Of a reading the reserve is kept before our
// share is taken, so that what is kept is as much for each who shares.
func (l *Ledger) free(now time.Time, kept core.Units) core.Units {
	reserved, ungated, open := l.outstanding()
	var free core.Units
	switch f := l.settings.Fixed; {
	case !l.readable(now) && !l.local(now):
		return -kept
	case f != nil && f.Rate > 0:
		b := l.bucket
		b.refill(now, *f, l.since)
		free = core.Units(math.Floor(b.level)) - (open - l.sums.begun) - l.settings.Guard
	case f != nil:
		free = f.Pulls - l.spentWithin(now) - open - l.settings.Guard
	case l.local(now):
		free = l.limit() - l.spentWithin(now) - open - l.takenByOthers(now) - l.settings.Guard
	default:
		free = l.share(l.last.Header.Remaining-l.margin(now)-kept) + kept - reserved - ungated - l.heads.kept()
	}
	return l.capped(now, free, open) - kept
}

// local reports whether a limit that cannot be read any more is counted here.
func (l *Ledger) local(now time.Time) bool {
	g := l.Grade(now)
	return g == GradeLost || g == GradeStale
}

// takenByOthers is what the last reading knew of that is not our own, for as long as
// it may still count: a window.
func (l *Ledger) takenByOthers(now time.Time) core.Units {
	if l.last == nil || now.Sub(l.last.SentAt) >= l.window() {
		return 0
	}
	return l.others.taken
}

// margin is what others may take before a grant of now arrives.
func (l *Ledger) margin(now time.Time) core.Units {
	if l.last == nil {
		return 0
	}
	return l.others.margin(now.Sub(l.last.SentAt), l.Lag(), l.window())
}

// claimsByAge lists the claims, oldest first, ties by id.
func (l *Ledger) claimsByAge() []*claim {
	ids := slices.Sorted(maps.Keys(l.claims))
	slices.SortStableFunc(ids, func(a, b string) int {
		return l.claims[a].opened.Compare(l.claims[b].opened)
	})
	out := make([]*claim, len(ids))
	for i, id := range ids {
		out[i] = l.claims[id]
	}
	return out
}

// Books returns the whole of it for people and status.
func (l *Ledger) Books(now time.Time, d Demand) Books {
	reserved, ungated, _ := l.outstanding()
	b := Books{
		Grade: l.Grade(now), Limit: l.limit(), Window: l.window(),
		Reserved: reserved, Ungated: ungated, Foreign: l.margin(now),
		ForeignPerHour: hundredths(l.others.perSecond(l.window()) * 3600),
		Unlimited:      l.Unlimited(now),
		Opened:         l.Opened(now),
		Doubt:          l.doubt(),
		HeadsCharged:   l.heads.charged,
		Flow:           l.Flow(),
	}
	if l.last != nil {
		b.Remaining, b.Source, b.SentAt = l.last.Header.Remaining, l.last.Header.Source, l.last.SentAt
		b.Sources = l.sources.names()
	}
	classes := core.Classes()
	b.Available = make([]core.Units, 0, len(classes))
	var kept, part, left core.Units
	for i, class := range classes {
		k, p := l.rollbackReserve(class, d), l.percentReserve(class)
		if i == 0 || k != kept || p != part { // else it is as much as the class before may spend
			kept, part, left = k, p, l.believed(now, class, d)
		}
		b.Available = append(b.Available, max(0, left))
	}
	return b
}

// hundredths rounds a number for people.
func hundredths(f float64) float64 { return math.Round(f*100) / 100 }

// Export returns what must survive a restart. What is open counts as spent at
// now until it is seen again on its pod.
func (l *Ledger) Export(now time.Time) State {
	_, _, open := l.outstanding()
	s := State{
		Spent:          slices.Clone(l.spent),
		Use:            l.Use(now),
		Open:           open,
		Charges:        l.Charges(),
		Hopeless:       l.flow.since,
		HeadsCharged:   l.heads.charged,
		ForeignTaken:   l.others.taken,
		ForeignPerHour: hundredths(l.others.perSecond(l.window()) * 3600),
	}
	if l.last != nil {
		last := *l.last
		s.Last = &last
	}
	return s
}

// Restore takes an exported state back into new books. Nothing is granted on
// the old reading.
func (l *Ledger) Restore(now time.Time, s State) {
	l.last, l.usable = nil, false
	if s.Last != nil {
		last := *s.Last
		last.SentAt = earliest(last.SentAt, now) // a clock ran ahead: answers of now must count
		l.last = &last
	}
	l.spent, l.ends = slices.Clone(s.Spent), nil
	for i := range l.spent {
		l.spent[i].End = earliest(l.spent[i].End, now.Add(l.logWindow()/maxSpent))
	}
	// None is forgotten yet: a declared window is not known before Configure.
	l.use = restoredUse(s.Use, now.Add(l.logWindow()/maxSpent))
	slices.SortFunc(l.spent, func(a, b Spent) int { return cmp.Or(a.End.Compare(b.End), cmp.Compare(a.Units, b.Units)) })
	l.restored = max(s.Open, 0)
	l.restoreCharges(s.Charges)
	l.flow = flow{}
	if !s.Hopeless.IsZero() {
		l.flow.since = earliest(s.Hopeless, now)
	}
	if w := l.window(); w > 0 && s.ForeignPerHour > 0 && !math.IsInf(s.ForeignPerHour, 0) {
		slow, _ := memories(w)
		l.others = foreign{slow: s.ForeignPerHour / 3600 * slow.Seconds(), at: now}
	}
	l.others.taken = max(s.ForeignTaken, 0)
	l.heads = heads{}
	if !s.HeadsCharged.IsZero() {
		l.heads.charged = earliest(s.HeadsCharged, now)
	}
	l.Distrust(now)
}

// Reset drops every claim, before they are set again from what the cluster shows.
func (l *Ledger) Reset() {
	clear(l.claims)
	l.sums = sums{}
	l.begin(Observation{})
}

// Reopened ends a restart: what was open when the state was exported and is not
// open now has ended in between, and was charged for all we know. Nothing of ours is
// let go without an export, so that what is open of ours was open then; pods that
// nobody held may have come since, and stand for none that ended.
func (l *Ledger) Reopened(now time.Time) {
	children, open := l.children(), core.Units(0)
	for id, c := range l.claims {
		if !c.Ungated && c.closed.IsZero() && l.claims[c.Parent] == nil {
			open += l.weight(id, children, maxDepth)
		}
	}
	l.spend(now, "", l.restored-open)
	l.restored = 0
}

// Usable reports whether the last reading may be granted on at now; a declared limit
// needs none, and rests after a 429.
func (l *Ledger) Usable(now time.Time) bool { return l.readable(now) && !l.outlived(now) }

// readable reports whether there is a reading that nothing has made worthless, or no
// need of one.
func (l *Ledger) readable(now time.Time) bool {
	if l.settings.Fixed != nil {
		return !l.Refused(now)
	}
	return l.usable && l.last != nil
}

// outlived reports whether the last reading is older than its window: what it tells of
// has all been given back since, and maybe taken again. It is good enough to show, and
// another one comes before anything is granted.
func (l *Ledger) outlived(now time.Time) bool {
	if l.settings.Fixed != nil || l.last == nil || l.window() <= 0 {
		return false
	}
	return now.Sub(l.last.SentAt) > max(l.window(), staleInterval*probeFloor)
}

// Refused reports whether a 429 is what keeps the account from being granted on.
func (l *Ledger) Refused(now time.Time) bool {
	if l.settings.Fixed != nil {
		return !l.throttledAt.IsZero() && now.Before(l.notBefore)
	}
	return l.throttledAt.After(l.lastSent())
}

// Excuse lets the next reading be granted on, whatever was asked for to wait: a person
// says so.
func (l *Ledger) Excuse(now time.Time) {
	l.notBefore = earliest(l.notBefore, now)
	l.retryAt = earliest(l.retryAt, now)
}

// NotBefore is the earliest time of a reading to grant on.
func (l *Ledger) NotBefore() time.Time { return l.notBefore }

// ThrottledAt is when a pull was last refused for lack of budget.
func (l *Ledger) ThrottledAt() time.Time { return l.throttledAt }

// Most is what class can ever be given at once: what the account ever allows us
// less the reserves of the class.
func (l *Ledger) Most(class core.Class, d Demand) core.Units {
	return l.ceiling(l.rollbackReserve(class, d) + l.percentReserve(class))
}

// Limit is what the account allows in a window, zero when unknown.
func (l *Ledger) Limit() core.Units { return l.limit() }

// Window is the account's window, zero when unknown.
func (l *Ledger) Window() time.Duration { return l.window() }

func (l *Ledger) lastSent() time.Time {
	if l.last == nil {
		return time.Time{}
	}
	return l.last.SentAt
}

// Unanswered reports whether the last probe got no answer.
func (l *Ledger) Unanswered() bool { return l.missed > 0 }

// LastAttempt is when the last probe was sent, zero before the first.
func (l *Ledger) LastAttempt() time.Time { return l.lastAttempt }
