package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// failure is the last failed attempt of a pod to pull an image.
type failure struct {
	image   core.Image
	account core.AccountID
	at      stamp
	// free says that the attempt cannot have been charged.
	free bool
}

// observeFailed takes in a failed attempt. Of a pod that is not known only what it says
// of the account counts.
func (e *Engine) observeFailed(now time.Time, f PullFailed) {
	if f.At.After(now) {
		f.At = now // a clock ran ahead: what is seen now must count
	}
	p := e.pods.find(f.Pod)
	if p != nil && !e.noteFailure(now, p, f) {
		return
	}
	a := e.accounts[f.Account]
	if !f.OfWorkload() && a.excuses(now, f) {
		return
	}
	if a != nil && f.Class == feedback.Throttled {
		a.ledger.Throttled(f.At, f.RetryAfter)
	}
	e.judge(now, p, f)
}

// noteFailure keeps what failed with the pod; false: it was known already.
func (e *Engine) noteFailure(now time.Time, p *pod, f PullFailed) bool {
	if p.phase == phasePulled || p.more != nil && slices.Contains(p.more.started, f.Image) {
		return false // it is over
	}
	next := failure{image: f.Image, account: f.Account, at: stampOf(f.At), free: f.Free()}
	if known := p.failureOf(f.Image); known != nil {
		if known.at >= next.at {
			return false
		}
		*known = next
	} else {
		p.extra().failures = append(p.extra().failures, next)
	}
	if g := p.group.of(); g != nil && p.more.fails == nil && f.Class != feedback.KubeletQPS && f.Class != feedback.Throttled {
		p.more.fails = g.of
		g.of.failing++
	}
	for _, running := range p.pulls() {
		if running.image == f.Image {
			e.setClaim(now, running, false)
		}
	}
	return true
}

// failureOf is the last failed attempt at an image; nil: none stands.
func (p *pod) failureOf(image core.Image) *failure {
	if p.more == nil {
		return nil
	}
	for i := range p.more.failures {
		if f := &p.more.failures[i]; f.image == image {
			return f
		}
	}
	return nil
}

// failsFree reports whether the pod's last attempt at the image failed before it could
// be charged, so that its retries cost nothing for now.
func (p *pod) failsFree(image core.Image) bool {
	f := p.failureOf(image)
	return f != nil && f.free
}

// recover forgets what failed of a pod at an image that is there; "": all of it, since
// the pod is gone.
func (e *Engine) recover(now time.Time, p *pod, image core.Image) {
	if p.more == nil || len(p.more.failures) == 0 {
		return
	}
	p.more.failures = slices.DeleteFunc(p.more.failures, func(f failure) bool {
		over := image == "" || f.image == image
		if a := e.accounts[f.account]; over && a != nil {
			a.rate.Forget(p.ID)
		}
		return over
	})
	if r := p.more.fails; r != nil && len(p.more.failures) == 0 {
		p.more.fails = nil
		r.rate.Forget(p.ID)
		r.failing--
		r.closes(now)
	}
	p.forgetMore()
}
