package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// failure is the last failed attempt of a pod to pull an image.
type failure struct {
	image core.Image
	at    stamp
	class feedback.Class
	// free says that the attempt cannot have been charged.
	free bool
}

// observeFailed takes in a failed attempt. Of a pod that is not known only what it says
// of the account counts.
func (e *Engine) observeFailed(now time.Time, f PullFailed) {
	if f.At.After(now) {
		f.At = now // a clock ran ahead: what is seen now must count
	}
	if p := e.pods.find(f.Pod); p != nil && !e.noteFailure(now, p, f) {
		return
	}
	if a := e.accounts[f.Account]; a != nil && f.Class == feedback.Throttled {
		a.ledger.Throttled(f.At, f.RetryAfter)
	}
}

// noteFailure keeps what failed with the pod; false: it was known already.
func (e *Engine) noteFailure(now time.Time, p *pod, f PullFailed) bool {
	if p.phase == phasePulled || p.more != nil && slices.Contains(p.more.started, f.Image) {
		return false // it is over
	}
	next := failure{image: f.Image, at: stampOf(f.At), class: f.Class, free: f.Free()}
	if known := p.failureOf(f.Image); known != nil {
		if known.at >= next.at {
			return false
		}
		*known = next
	} else {
		if p.more == nil {
			p.more = &morePod{}
		}
		p.more.failures = append(p.more.failures, next)
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

// recover forgets that an image failed: it is there.
func (p *pod) recover(image core.Image) {
	if p.more != nil {
		p.more.failures = slices.DeleteFunc(p.more.failures, func(f failure) bool { return f.image == image })
		p.forgetMore()
	}
}

// breakerOf is the breaker of an account as people see it.
func (t *turn) breakerOf(a *account) feedback.View {
	if !a.ledger.Refused(t.now) {
		return feedback.View{State: feedback.OK}
	}
	return feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.Throttled}, Since: a.ledger.ThrottledAt()}
}
