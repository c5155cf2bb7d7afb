package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// fault makes attempts fail: those on an account, at an image or on a node, whatever of
// these is set.
type fault struct {
	account core.AccountID
	image   core.Image
	node    core.NodeID
	failure feedback.Failure
}

func (w *World) failEntry(a args) func() {
	f := &fault{
		account: core.AccountID(a.text("account", "")), image: core.Image(a.text("image", "")), node: core.NodeID(a.text("node", "")),
		failure: feedback.Failure{Class: feedback.Class(a.text("class", "Reset")), RetryAfter: a.span("wait", 0)},
	}
	if f.failure.Class == feedback.Throttled {
		f.failure.Kind = feedback.Kind(a.text("kind", string(feedback.KindPull)))
	}
	heads := a.has("heads")
	return func() {
		w.faults = append(w.faults, f)
		if r := w.registries[f.account]; r != nil && heads {
			r.down = true
		}
		w.later(a, func() {
			w.faults = slices.DeleteFunc(w.faults, func(o *fault) bool { return o == f })
			if r := w.registries[f.account]; r != nil && heads {
				r.down = false
			}
		})
	}
}

// broken is why an attempt fails before a registry counts anything; nil: it does not.
func (w *World) broken(n *node, img *image) *feedback.Failure {
	for _, f := range w.faults {
		r := w.meters(n, img)
		if (f.account == "" || r != nil && r.account.ID == f.account) && (f.image == "" || f.image == img.name) && (f.node == "" || f.node == n.ID) {
			return &f.failure
		}
	}
	return nil
}

// fail tells of a failed attempt, and has the kubelet try again after its back-off.
func (w *World) fail(p *pod, n *node, i int, f feedback.Failure) {
	w.report.failed++
	if f.Class == feedback.Throttled {
		w.report.attempts++
	}
	failed := &engine.PullFailed{Pod: p.ID, Image: p.group.Images[i].Image, At: w.time(), Failure: f}
	if r := w.meters(n, w.images[failed.Image]); r != nil {
		failed.Account = r.account.ID
	}
	p.failed = failed
	w.observe(engine.Event{Failed: failed})
	p.backoff = min(max(2*p.backoff, firstBackoff), lastBackoff)
	w.after(p.backoff, func() { w.need(p, i) })
}

// recreate deletes the pods of a group that are on nodes and have not got their images,
// and makes as many others, as a person does who hopes that it helps.
func (w *World) recreate(g *group) {
	stuck := 0
	for _, p := range w.podsOf(g) {
		if p.Phase == engine.PodBound {
			stuck++
			p.gone = true
			w.unfinished--
			w.node(p.Node).pods--
			w.observe(engine.Event{PodGone: p.ID})
		}
	}
	w.pods = slices.DeleteFunc(w.pods, func(p *pod) bool { return p.gone })
	w.addPods(g, stuck)
}

// resume is a person's order to go on with an account.
func (w *World) resume(r *registry) {
	r.account.Resumed = w.time()
	account := r.account
	w.observe(engine.Event{Account: &account})
}

// turned is a change of a breaker.
type turned struct {
	at   time.Duration
	of   string
	view feedback.View
}

// breakers notes what changed of breakers since the last decision.
func (r *report) breakers(now time.Duration, d engine.Decision) {
	seen := map[string]bool{}
	note := func(of string, v feedback.View) {
		seen[of] = true
		for i := len(r.turned) - 1; i >= 0; i-- {
			if r.turned[i].of == of {
				if r.turned[i].view.State == v.State {
					return
				}
				break
			}
		}
		r.turned = append(r.turned, turned{now, of, v})
	}
	for _, v := range d.Accounts {
		if v.Breaker.State != feedback.OK || slices.ContainsFunc(r.turned, func(t turned) bool { return t.of == string(v.Account) }) {
			note(string(v.Account), v.Breaker)
		}
	}
	for _, f := range d.Failing {
		note(f.Workload+string(f.Node), f.View)
	}
	for _, of := range r.troubled {
		if !seen[of] {
			note(of, feedback.View{State: feedback.OK})
		}
	}
	for _, f := range d.Failing {
		if of := f.Workload + string(f.Node); !slices.Contains(r.troubled, of) {
			r.troubled = append(r.troubled, of)
		}
	}
}

func (r *report) breakerList() string {
	var out strings.Builder
	for _, t := range r.turned {
		fmt.Fprintf(&out, "%v %s %s", t.at.Round(100*time.Millisecond), t.of, t.view.State)
		if t.view.State == feedback.Paused {
			fmt.Fprintf(&out, ": %s", t.view.Cause)
		}
		out.WriteString("\n")
	}
	return orNone(out.String())
}

// checkBreakers holds a decision to what a breaker that is not closed allows: nothing
// while paused, one at a time while it tries one.
func (w *World) checkBreakers(d engine.Decision) {
	for _, v := range d.Accounts {
		if v.Breaker.State == feedback.OK || v.Breaker.Cause.Head {
			continue
		}
		if v.Breaker.State == feedback.Paused && v.Breaker.Until.IsZero() {
			w.wrong("pauses %s without an end", v.Account)
		}
		most := 0
		if v.Breaker.State == feedback.Trying {
			most = 1
		}
		for _, r := range d.Releases {
			paced := r.Reason == core.Budget || r.Reason == core.FailOpen
			if paced && slices.ContainsFunc(r.Cost, func(c engine.Cost) bool { return c.Account == v.Account }) && !w.groupNamed(string(r.Group)).Whole {
				if most -= r.Count; most < 0 {
					w.wrong("releases %d of %s while the breaker of %s is %s", r.Count, r.Group, v.Account, v.Breaker.State)
				}
			}
		}
	}
}
