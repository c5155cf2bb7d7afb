package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// sickFor is how long a node is told of as failing after its last failure: longer than
// the kubelet's longest back-off.
const sickFor = 10 * time.Minute

// rateOf is the threshold of an account's rate.
func (a *account) rateOf() feedback.Threshold {
	return feedback.Threshold{FailurePercent: a.Breaker.WithDefaults().FailurePercent, ResumeBelow: feedback.DefaultResumeBelow}
}

// wait is how long the breaker of an account stays open at least. Where a limit is
// declared, or sends no header, its window bounds the first back-off.
func (e *Engine) wait(a *account, told time.Duration) feedback.Wait {
	s := a.Breaker.WithDefaults()
	if w := a.ledger.Window(); w > 0 {
		s.Base = min(s.Base, w)
	}
	return feedback.Wait{
		Told: min(told, quota.MaxRetryAfter), Base: s.Base, Max: s.Max, Lot: e.lot(string(a.ID), a.breaker.Opened, a.breaker.Failed),
		Readable: e.asked(a, e.now) && a.ledger.Limit() > 0,
	}
}

// asked reports whether a HEAD can tell how the account is.
func (e *Engine) asked(a *account, now time.Time) bool {
	return a.Settings.Fixed == nil && !a.ledger.HeadsCharged() && a.ledger.Grade(now) != quota.GradeStale
}

// lot in [0, 1) draws the jitter of a back-off, the same for the same opening.
func (e *Engine) lot(of string, numbers ...int) float64 {
	h := e.named(of)
	for _, n := range numbers {
		h = fnv(h, uint64(n))
	}
	return float64((h^h>>29)>>11) / (1 << 53)
}

// named is where the lots of a name begin.
func (e *Engine) named(of string) uint64 {
	h := fnv(fnvStart, e.cfg.Seed)
	for _, b := range []byte(of) {
		h = fnv(h, uint64(b))
	}
	return h
}

// atOnce reports whether one such failure opens the breaker of its account: the account
// itself is refused, and not a mirror or somebody else.
func atOnce(f feedback.Failure) bool {
	return f.Class == feedback.Throttled && f.Kind != feedback.KindUpstream && f.Kind != feedback.KindForeign
}

// ofTransport reports whether the way to the registry, or the registry, failed.
func ofTransport(c feedback.Class) bool {
	switch c {
	case feedback.DNS, feedback.TLS, feedback.Timeout, feedback.Reset, feedback.Mirror:
		return true
	}
	return false
}

// judge puts a new failure down to an account, a revision or a node. p is nil for a pod
// that is not known.
func (e *Engine) judge(now time.Time, p *pod, f PullFailed) {
	a := e.accounts[f.Account]
	switch {
	case f.Class == feedback.KubeletQPS:
	case f.Class == feedback.Disk:
		e.endTrial(a, f.Pod)
		e.blameNode(e.nodeOf(p), f, feedback.Cause{Class: f.Class})
	case f.OfWorkload():
		e.endTrial(a, f.Pod)
		e.failsOfItself(now, p, f)
	case a == nil:
	case !a.breaker.Closed():
		e.failsAgain(a, f)
	case atOnce(f.Failure):
		e.openAccount(a, f.At, feedback.Cause{Class: f.Class, Kind: f.Kind}, f.RetryAfter)
	default:
		e.countFailure(now, a, p, f)
	}
}

func (e *Engine) nodeOf(p *pod) *node {
	if p == nil {
		return nil
	}
	return p.node.of()
}

// failsAgain takes in a failure of an account of which the breaker is not closed.
func (e *Engine) failsAgain(a *account, f PullFailed) {
	cause := feedback.Cause{Class: f.Class, Kind: f.Kind}
	if f.Pod != "" && a.trial.pod == f.Pod {
		a.trial = trial{}
		a.breaker.TryFailed(f.At, cause, e.wait(a, f.RetryAfter))
		return
	}
	a.breaker.Open(f.At, cause, e.wait(a, f.RetryAfter))
}

func (e *Engine) openAccount(a *account, at time.Time, c feedback.Cause, told time.Duration) {
	a.breaker.Open(at, c, e.wait(a, told))
	a.rate.Clear()
}

// countFailure counts a failure in the rates of its account and egress group, and opens
// what they say.
func (e *Engine) countFailure(now time.Time, a *account, p *pod, f PullFailed) {
	n := e.nodeOf(p)
	if n == nil {
		return
	}
	where := feedback.Where{Node: n.ID, Egress: n.Egress}
	g := p.group.of()
	if g != nil {
		where.Revision = g.of.name
		g.of.rate.Fail(f.At, f.Pod, where, f.Class)
	}
	a.rate.Fail(f.At, f.Pod, where, f.Class)
	nodes := e.nodesDrawing(a)
	switch v := a.rate.Judge(now, a.rateOf(), nodes, e.succeeded(now)); v.Blame {
	case feedback.BlameAll:
		e.openHost(now, a, f.At, v.Cause)
	case feedback.BlameNode:
		e.blameNode(e.fleet.find(v.Of.Node), f, v.Cause)
	case feedback.BlameRevision:
		if g != nil && v.Of.Revision == where.Revision {
			none := func(feedback.Where) int { return 0 }
			if own := g.of.rate.Judge(now, g.PauseOn, nodes, none); own.Blame != feedback.NoBlame && own.Blame != feedback.BlameNode {
				e.openRevision(g.of, f, own.Cause)
			}
		}
	}
	if ofTransport(f.Class) {
		e.countEgress(now, a, n, f)
	}
}

// nodesDrawing is how many nodes may draw on an account.
func (e *Engine) nodesDrawing(a *account) int {
	return e.fleet.egressSet(a.Egress).count(e.fleet.alive)
}

// openHost opens an account of which many pulls fail and, where the way to its registry
// failed, those of the same registry that have not shown that they work.
func (e *Engine) openHost(now time.Time, a *account, at time.Time, c feedback.Cause) {
	e.openAccount(a, at, c, 0)
	if !ofTransport(c.Class) {
		return
	}
	for _, o := range e.listAccounts() {
		if o.Host == a.Host && o.breaker.Closed() && !o.rate.Works(now, o.rateOf()) {
			e.openAccount(o, at, c, 0)
		}
	}
}

// countEgress counts a failure on the way to a registry in the rate of the egress group,
// and opens those of its accounts that fail too where several registries fail from there.
// One of which no pull failed and whose readings are answered is reached from there.
func (e *Engine) countEgress(now time.Time, a *account, n *node, f PullFailed) {
	r := e.egressRate(n.Egress)
	r.Fail(f.At, f.Pod, feedback.Where{Node: n.ID, Revision: a.Host}, f.Class)
	v := r.Judge(now, a.rateOf(), e.nodesDrawing(a), e.succeededFrom(now, n.Egress))
	if v.Blame != feedback.BlameAll || !r.Several(feedback.BlameRevision) {
		return
	}
	for _, o := range e.listAccounts() {
		if o.Egress == n.Egress && o.breaker.Closed() && o.suffers(now) {
			e.openAccount(o, f.At, v.Cause, 0)
		}
	}
	r.Clear()
}

// suffers reports whether an account shows that it fails, be it by too few pulls to say
// so alone or by a HEAD that was not answered.
func (a *account) suffers(now time.Time) bool {
	t := a.rateOf()
	return !a.rate.Works(now, t) && (a.rate.Fails(now, t) || a.ledger.Unanswered())
}

// succeeded counts the pods of a revision or egress group that pulled well of late; of a
// node that fails none are believed to.
func (e *Engine) succeeded(now time.Time) func(feedback.Where) int {
	return func(w feedback.Where) int {
		switch r := e.revisions[w.Revision]; {
		case r != nil:
			return r.rate.Passed(now, r.pauseOn)
		case w.Egress != "":
			return e.egressRate(w.Egress).Passed(now, feedback.Threshold{})
		}
		return 0
	}
}

// succeededFrom is succeeded of the registries that are asked from an egress group.
func (e *Engine) succeededFrom(now time.Time, egress string) func(feedback.Where) int {
	return func(w feedback.Where) int {
		sum := 0
		for _, a := range e.accounts {
			if a.Host == w.Revision && (a.Egress == "" || a.Egress == egress) {
				sum += a.rate.Passed(now, feedback.Threshold{})
			}
		}
		return sum
	}
}

func (e *Engine) egressRate(egress string) *feedback.Rate {
	r := e.egresses[egress]
	if r == nil {
		r = &feedback.Rate{}
		e.egresses[egress] = r
	}
	return r
}

// hear takes in what a HEAD tells of a breaker that is not closed.
func (a *account) hear(o quota.Observation) {
	good := o.Status != 0 && o.Status != 429 && o.Status < 500
	a.breaker.Heard(o.SentAt, good, o.Header.HasRemaining && o.Header.Remaining <= 0)
}

// blameNode puts a failure down to a node.
func (e *Engine) blameNode(n *node, f PullFailed, c feedback.Cause) {
	if n == nil {
		return
	}
	if n.trouble == nil {
		n.trouble = &feedback.Breaker{}
		e.sick = append(e.sick, n)
		slices.SortFunc(e.sick, func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
	}
	n.trouble.Close(f.At)
	n.trouble.Open(f.At, c, feedback.Wait{Told: sickFor})
}

// passes takes in that a pull succeeded, before what its pods failed of is forgotten.
func (e *Engine) passes(now time.Time, running *pull) {
	if e.replacing {
		return
	}
	a := running.account
	if running.node.trouble != nil {
		running.node.trouble.Close(now)
	}
	retried := false
	for _, p := range running.pods {
		failed := p.failureOf(running.image) != nil
		retried = retried || failed
		e.rightly(now, a, running, p, failed)
	}
	if !a.breaker.Closed() && (retried || a.breaker.Before(running.since.time())) {
		if a.breaker.Passes(now); a.breaker.Closed() {
			a.trial = trial{}
		}
	}
}

// rightly counts a pod that got its image in the rates.
func (e *Engine) rightly(now time.Time, a *account, running *pull, p *pod, failed bool) {
	if a.breaker.Closed() {
		a.rate.Pass(now, p.ID, feedback.Threshold{}.WithDefaults().Window)
		e.egressRate(running.node.Egress).Pass(now, p.ID, feedback.Threshold{}.WithDefaults().Window)
	}
	if g := p.group.of(); g != nil && (failed || p.phase == phasePulled) {
		g.of.rate.Pass(now, p.ID, g.PauseOn.WithDefaults().Window)
		g.of.breaker.Passes(now)
	}
}

// excusedFor is how late a failure of before an order to go on may be seen: kubelets on
// a busy machine told of failed pulls after 10 to 17 s.
const excusedFor = 30 * time.Second

// resume carries out a person's order to go on.
func (e *Engine) resume(now time.Time, a *account) {
	a.breaker.Close(now)
	a.trial = trial{}
	a.rate.Clear()
	a.ledger.Excuse(now)
	a.excused, a.excusedUntil = map[core.PodID]bool{}, now.Add(excusedFor)
	e.everyPull(func(running *pull) {
		for _, p := range running.pods {
			if running.account == a {
				a.excused[p.ID] = true
			}
		}
	})
}

// excuses reports whether a person ordered to go on in spite of what a pod shows: its
// pull was under way then. Once for each.
func (a *account) excuses(now time.Time, f PullFailed) bool {
	if a == nil || !a.excused[f.Pod] || !now.Before(a.excusedUntil) {
		return false
	}
	delete(a.excused, f.Pod)
	return true
}

// passTime has breakers try one when their time has come, and forgets what is over.
func (e *Engine) passTime(now time.Time) {
	for _, a := range e.listAccounts() {
		a.breaker.Turn(now, e.asked(a, now))
	}
	e.open = slices.DeleteFunc(e.open, func(r *revision) bool {
		r.breaker.Turn(now, false)
		if r.groups == 0 && now.Sub(r.breaker.Since) >= rememberFor {
			r.breaker.Close(now)
		}
		if r.breaker.Closed() && r.groups == 0 {
			delete(e.revisions, r.name)
		}
		return r.breaker.Closed()
	})
	e.sick = slices.DeleteFunc(e.sick, func(n *node) bool {
		over := n.trouble.Closed() || !now.Before(n.trouble.Until) || e.fleet.find(n.ID) != n
		if over {
			n.trouble = nil
		}
		return over
	})
}
