package engine

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// trialFor is how long the one pod that is tried keeps others from going: longer than
// most pulls take.
const trialFor = 10 * time.Minute

// trial is the one pod that goes while a breaker tries one.
type trial struct {
	pod core.PodID
	at  time.Time
}

// endTrial ends the trial of a pod that told nothing of its account.
func (e *Engine) endTrial(a *account, pod core.PodID) {
	if a != nil && a.trial.pod == pod {
		a.trial = trial{}
	}
}

// trying is the pod that is being tried; empty: the next one may go.
func (e *Engine) trying(now time.Time, t trial) core.PodID {
	p := e.pods.find(t.pod)
	if t.pod == "" || p == nil || p.held() || p.phase == phasePulled || e.parked(p, now) || now.Sub(t.at) >= trialFor {
		return ""
	}
	return t.pod
}

// try notes that a pod was let go that breakers which are not closed try.
func (e *Engine) try(now time.Time, g *group, p *pod) {
	if !g.of.breaker.Closed() && e.trying(now, g.of.trial) == "" {
		g.of.trial = trial{p.ID, now}
	}
	uses := e.uses(g)
	for i := range uses {
		for _, a := range uses[i].draws {
			if !a.breaker.Closed() && e.trying(now, a.trial) == "" && e.draws(g, &g.Images[i], a) {
				a.trial = trial{p.ID, now}
			}
		}
	}
}

// findTried takes a pod of ours that is on its way for the one that is tried, where a
// world is taken in: which it was is not kept.
func (e *Engine) findTried(now time.Time) {
	for _, g := range e.inOrder() {
		for _, set := range []*podSet{&g.waiting, &g.bound} {
			for _, id := range set.ids(func(p *pod) bool { return p.ours() && (p.more == nil || len(p.more.failures) == 0) }) {
				e.try(now, g, e.pods.find(id))
			}
		}
	}
}

// draws reports whether a pod of the group may have to pull the image on the account:
// a node that it may use lacks it, be it that it is being pulled there.
func (e *Engine) draws(g *group, use *ImageUse, a *account) bool {
	not := []bitset{e.fleet.has(*use)}
	for _, id := range use.Accounts {
		if id == a.ID {
			break
		}
		if o := e.accounts[id]; o != nil {
			not = append(not, *e.fleet.egressSet(o.Egress))
		}
	}
	return e.nodesOf(g.Pool).count(*e.fleet.egressSet(a.Egress), not...) > 0
}
