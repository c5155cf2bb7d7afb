package quota

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// The thresholds of the grades. Source: the table "No header" of the design.
const (
	neverAfter    = 3               // answers without a limit until it counts as none
	staleInterval = 3               // missed intervals until a reading is stale
	staleAfter    = 5 * time.Minute // and at least this long
	mismatchAfter = 5               // units pulled while the account stays full
)

// HTTP statuses; the core does not import net/http.
const (
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusTooManyRequests = 429
)

// unanswered reports whether a status says nothing of the account: no answer, an
// error of the server, or a registry that does not know who asks.
func unanswered(obs Observation) bool {
	switch {
	case obs.Status == 0 || obs.Status >= 500:
		return true
	case obs.Status == statusUnauthorized || obs.Status == statusForbidden:
		return !obs.Header.HasLimit
	}
	return false
}

// Read takes in the outcome of one probe.
func (l *Ledger) Read(now time.Time, obs Observation) {
	if obs.SentAt.After(now) {
		obs.SentAt = now // a reading from the future covers nothing that is not
	}
	refused, again := obs.Status == statusTooManyRequests, obs.SentAt.Sub(l.lastAttempt) <= pairWithin
	if obs.SentAt.After(l.lastAttempt) {
		l.lastAttempt = obs.SentAt
	}
	if l.heads.refused = refused && again; refused {
		l.refused(now, obs)
	}
	if unanswered(obs) {
		l.missed++
		return
	}
	l.missed = 0
	if !obs.Header.HasRemaining || !obs.Header.HasLimit {
		if obs.Status != statusTooManyRequests {
			l.readBare(obs)
		}
		return
	}
	l.readLimit(obs)
}

// refused handles a probe that was itself throttled: without a number it says
// that nothing may be granted until a later reading.
func (l *Ledger) refused(now time.Time, obs Observation) {
	wait := min(max(obs.Header.RetryAfter, 0), MaxRetryAfter)
	l.retryAt = now.Add(wait)
	l.refusedAt(obs.SentAt, wait)
}

// readBare handles an answer without a limit.
func (l *Ledger) readBare(obs Observation) {
	l.lastAnswer = later(l.lastAnswer, obs.SentAt)
	l.bare++
	if l.last != nil && l.lostAt.IsZero() {
		l.lostAt = obs.SentAt
		l.usable = false
	}
	l.cover(obs.SentAt)
	l.begin(Observation{})
}

// readLimit handles an answer that states limit and remaining.
func (l *Ledger) readLimit(obs Observation) {
	if l.last != nil && obs.SentAt.Before(l.last.SentAt) {
		return // overtaken by a younger answer
	}
	l.lastAnswer = later(l.lastAnswer, obs.SentAt)
	l.bare, l.lostAt = 0, time.Time{}
	obs.Header.Remaining = min(obs.Header.Remaining, obs.Header.Limit)
	if l.last != nil && obs.Header.Window == 0 {
		obs.Header.Window = l.last.Header.Window
	}
	if obs.Header.Source == "" && l.last != nil {
		obs.Header.Source = l.last.Header.Source
	}
	obs.Header.Remaining = l.sources.lowest(obs)
	l.learn(obs)
	l.checkIdentity(obs)
	l.gone(obs)
	l.last = &obs
	l.usable = !obs.SentAt.Before(l.notBefore)
	l.cover(obs.SentAt)
	l.audit(obs)
}

// gone splits what an answer says is gone into ours and others'. What these books
// did not watch for a whole window may have been taken at any pace, or by us; and
// what our own log leaves out within two of its buckets proves nobody else.
func (l *Ledger) gone(obs Observation) {
	gone := obs.Header.Limit - obs.Header.Remaining
	others := gone - l.spentBy(obs.SentAt)
	l.others.taken = max(0, others)
	if obs.SentAt.Sub(l.since) < obs.Header.Window {
		l.others.sure = 0
		return
	}
	_, _, open := l.outstanding()
	blur := 2 * obs.Header.Limit / maxSpent
	l.others.hold(gone-l.spentWithin(obs.SentAt)-open-blur, others+l.expiring(obs.SentAt)-blur)
}

// learn compares with the last reading and books what nobody here can have
// spent to others. A fall beyond their known pace while pulls were under way that
// are believed to cost nothing is the sign that they cost again.
func (l *Ledger) learn(obs Observation) {
	window := obs.Header.Window
	if l.last == nil || l.last.Header.Limit != obs.Header.Limit {
		l.others.decay(obs.SentAt, window)
		return
	}
	fall := l.last.Header.Remaining - obs.Header.Remaining
	var unexplained core.Units
	if fall > 0 {
		unexplained = l.explain(fall)
	}
	if unexplained > l.noise(l.last.SentAt, obs) && l.anyFree() {
		l.disbelieve(obs.SentAt)
		unexplained = l.explain(unexplained)
	}
	l.others.note(obs.SentAt, window, unexplained)
	l.priceHead(obs, fall, unexplained)
}

// checkIdentity finds readings that belong to somebody else: an address where
// an account's name is due, or an account that stays full while we pull.
func (l *Ledger) checkIdentity(obs Observation) {
	switch {
	case l.credentials && isAddress(obs.Header.Source):
		l.mismatch = DoubtSource
	case obs.Header.Remaining < obs.Header.Limit || l.settings.Mirrored:
		l.mismatch, l.unseen = DoubtNone, unseen{}
	case l.mismatch == DoubtUnseen:
	default:
		l.mismatch = DoubtNone
		if l.unseen.proves(obs, l.coveredSince(l.unseen.since, obs.SentAt)) {
			l.mismatch = DoubtUnseen
		}
	}
}

// doubt is why the readings may not be of what our pulls are charged to: what made
// them a mismatch, or a login under which pulls are charged nothing though no mirror
// was declared that would explain it.
func (l *Ledger) doubt() Doubt {
	if l.mismatch != DoubtNone || !l.credentials || l.settings.Mirrored || l.settings.Fixed != nil {
		return l.mismatch
	}
	for _, c := range l.charges {
		if c.believed && c.proved.most == 0 {
			return DoubtUnseen
		}
	}
	return DoubtNone
}

// coveredSince is what was pulled by claims that began at from or later and that a
// reading sent at t is the first to cover.
func (l *Ledger) coveredSince(from, t time.Time) core.Units {
	var units core.Units
	for _, c := range l.claims {
		if c.outcome == Pulled && !c.opened.Before(from) && !t.Before(c.closed.Add(l.Lag())) {
			units += c.Units
		}
	}
	return units
}

// unseen counts units that were pulled while every reading said that the account is
// full: the sign of somebody else's readings.
type unseen struct {
	since time.Time // of the full reading from which it counts
	units core.Units
	// proved is when the count of an earlier proof began; zero: none.
	proved time.Time
}

// proves takes in a full reading with the units that it is the first to cover, and
// reports whether they belong to another account. One such count may have met the
// edge of a fixed window; two in a row within less than a window cannot both.
func (u *unseen) proves(obs Observation, covered core.Units) bool {
	window := obs.Header.Window
	if u.since.IsZero() || window <= 0 || obs.SentAt.Sub(u.since) >= window {
		*u = unseen{since: obs.SentAt}
		return false
	}
	u.units += covered
	refill := obs.SentAt.Sub(u.since).Seconds() / window.Seconds() * float64(obs.Header.Limit)
	if float64(u.units)-refill < mismatchAfter {
		return false
	}
	if !u.proved.IsZero() && obs.SentAt.Sub(u.proved) < window {
		return true
	}
	*u = unseen{since: obs.SentAt, proved: u.since}
	return false
}

// isAddress reports whether a source is an address or a prefix, not a name.
// Docker Hub writes a prefix of IPv6 as "2001:db8:1:2::".
func isAddress(source string) bool {
	if _, err := netip.ParseAddr(source); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(source)
	return err == nil || strings.HasSuffix(source, "::")
}

// Grade says how far the last reading can be trusted at now.
func (l *Ledger) Grade(now time.Time) Grade {
	switch {
	case l.settings.Fixed != nil:
		return GradeOK
	case l.mismatch != DoubtNone:
		return GradeMismatch
	case l.HeadsCharged():
		return GradeStale // nobody asks any more
	case !l.lostAt.IsZero():
		return GradeLost
	case l.stale(now):
		return GradeStale
	case l.last == nil && l.bare >= neverAfter:
		return GradeNever
	case l.last == nil:
		return GradeNone
	}
	return GradeOK
}

// stale reports whether no answer came for too long: several probes in a row
// brought none, or nobody has asked for several idle intervals.
func (l *Ledger) stale(now time.Time) bool {
	return !now.Before(l.staleAt())
}

// staleAt is when the reading goes stale unless an answer comes.
func (l *Ledger) staleAt() time.Time {
	if l.HeadsCharged() {
		return l.heads.charged
	}
	answered := later(l.lastAnswer, l.since)
	if l.missed >= staleInterval {
		return answered.Add(staleAfter)
	}
	return answered.Add(max(staleAfter, staleInterval*l.interval(false)))
}

// Unlimited reports whether nothing is to be held for the account at now: the
// registry says nothing of a limit, or what it says is not ours.
func (l *Ledger) Unlimited(now time.Time) bool {
	switch l.Grade(now) {
	case GradeNever, GradeMismatch:
		return true
	case GradeLost, GradeStale:
		return l.limit() <= 0 && l.silentForAWindow(now)
	}
	return false
}

// Opened reports whether a limit that was known has been missing for a whole window:
// then pods go without a reading, one at each Refill of what was known.
func (l *Ledger) Opened(now time.Time) bool { return l.limit() > 0 && l.silentForAWindow(now) }

// silentForAWindow reports whether nothing was heard of the limit for its whole window;
// of one that was never known there is nothing to wait for.
func (l *Ledger) silentForAWindow(now time.Time) bool {
	window := max(l.window(), fallbackWindow)
	switch l.Grade(now) {
	case GradeLost:
		return now.Sub(l.lostAt) >= window
	case GradeStale:
		return l.last == nil || now.Sub(l.staleAt()) >= window
	}
	return false
}

// Refill is the time in which one unit comes back.
func (l *Ledger) Refill() time.Duration {
	window := l.window()
	if window <= 0 {
		window = fallbackWindow
	}
	return window / time.Duration(max(l.limit(), 1))
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
