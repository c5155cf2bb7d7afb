package engine

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// shut is what a breaker says of a candidate: the Reason to hold it, and the account.
type shut struct {
	reason  core.Reason
	account core.AccountID
}

// shutFor is the breaker that keeps a pod of the candidate from going now; false: none
// does. One that tries one lets a single release pass at a time.
func (t *turn) shutFor(c *candidate) (shut, bool) {
	if r := c.of; !r.breaker.Closed() && (!r.breaker.MayTry(t.now, false) || r.failing > 0 || t.tried[r.name] || t.e.trying(t.now, r.trial) != "") {
		return shut{reason: core.ImageFailing}, true
	}
	if !t.opened {
		return shut{}, false
	}
	for i := range c.Images {
		use := &c.Images[i]
		for _, id := range use.Accounts {
			a := t.e.accounts[id]
			if a == nil || a.breaker.Closed() || !t.e.draws(c.group, use, a) {
				continue
			}
			if !a.breaker.MayTry(t.now, t.e.asked(a, t.now)) || a.turn.tried || t.e.trying(t.now, a.trial) != "" {
				return shut{core.BreakerOpen, id}, true
			}
		}
	}
	return shut{}, false
}

// tries notes that this turn lets a pod go that breakers try.
func (t *turn) tries(c *candidate) {
	if !c.of.breaker.Closed() {
		t.tried[c.of.name] = true
	}
	if !t.opened {
		return
	}
	for i := range c.Images {
		for _, id := range c.Images[i].Accounts {
			if a := t.e.accounts[id]; a != nil && !a.breaker.Closed() && t.e.draws(c.group, &c.Images[i], a) {
				a.turn.tried = true
			}
		}
	}
}

// outOfReach reports whether breakers keep a candidate even where no wait is thought to
// help: its image or its registry fails, and not a limit of which more is asked than it
// gives anyway.
func (t *turn) outOfReach(c *candidate) bool {
	why, is := t.shutFor(c)
	if !is {
		return false
	}
	a := t.e.accounts[why.account]
	return a == nil || a.breaker.Cause.Class != feedback.Throttled
}

// breakerOf is the breaker of an account as people see it. A HEAD that was refused
// pauses the account too, until another is answered.
func (t *turn) breakerOf(a *account, next time.Time) feedback.View {
	v := a.breaker.View()
	if a.breaker.Closed() && a.ledger.Refused(t.now) {
		v = feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.Throttled, Head: true}, Since: a.ledger.ThrottledAt(), Opened: v.Opened}
	}
	if v.State == feedback.Paused && !v.Until.After(t.now) {
		v.Until = next // that is up to the next reading
	}
	return v
}

// failing lists the revisions and nodes that failing pulls are put down to.
func (t *turn) failing() []Failing {
	var out []Failing
	for _, r := range t.e.open {
		out = append(out, Failing{Workload: r.key.workload, Revision: r.key.revision, View: r.breaker.View()})
	}
	for _, n := range t.e.sick {
		out = append(out, Failing{Node: n.ID, View: n.trouble.View()})
	}
	return out
}

// hurry has a HEAD sent as soon as the back-off of the breaker is over, where the next
// one is due later and none was answered since the last failure.
func (a *account) hurry(next time.Time) time.Time {
	if at := a.breaker.WantsHead(); at.After(a.ledger.LastAttempt()) && at.Before(next) && !a.ledger.Refused(at) {
		return at
	}
	return next
}
