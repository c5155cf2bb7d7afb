package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// runOf is the AnalysisRun of a change; false: it is of something else.
func runOf(c change) (kube.Run, bool) {
	u, ok := c.object.(*unstructured.Unstructured)
	if !ok || u.GetKind() != kube.NewRun().GetKind() {
		return kube.Run{}, false
	}
	return kube.ReadRun(u)
}

// hearSteps takes in which steps of Rollouts wait: those of AnalysisRuns that ask our
// gate, and those that somebody asked about. What a run waits for is known from the
// run, so that a new leader needs not be asked again to know it.
func (t *Turn) hearSteps(now time.Time, changes []change) {
	tracker := t.world.tracker
	for _, c := range changes {
		run, ok := runOf(c)
		switch {
		case !ok:
		case c.gone || run.Completed && !(run.Unsure && run.Ours && run.Decision == kube.Wait):
			t.claims.end(run.Step)
		case run.Ours:
			t.claims.note(run.Step, run.Created)
		}
	}
	for _, runs := range tracker.Paused() {
		for _, run := range runs {
			t.claims.note(run.Step, run.Created)
		}
	}
	live, lost := t.claims.pending(now)
	for _, s := range append(lost, tracker.QuietSteps(now, claimTTL)...) {
		t.tellAll(now, tracker.EndStep(now, s))
	}
	var hopeless map[string]bool
	for _, w := range live {
		if _, known := tracker.ClaimOf(w.step); known || w.step.Index == kube.StepHealth {
			continue
		}
		if hopeless == nil {
			hopeless = t.world.hopeless()
		}
		verdict, events := tracker.AskStep(now, w.step, w.since, hopeless)
		t.tellAll(now, events)
		switch {
		case verdict.Hold:
		case verdict.Reason == core.Unverified:
			t.claims.doubt(w.step, say(holdFor(core.Unverified, retryLeader), "no such rollout at this step is known yet"))
		default:
			t.claims.set(w.step, say(allowFor(verdict.Reason), text(verdict.Reason)))
		}
	}
}

func (t *Turn) tellAll(now time.Time, events []engine.Event) {
	for _, ev := range events {
		t.tell(now, ev)
	}
}

func allowFor(reason core.Reason) GateAnswer { return GateAnswer{Decision: kube.Allow, Reason: reason} }

// answerSteps gives every step that waits the answer of a decision.
func (t *Turn) answerSteps(now time.Time, d engine.Decision) {
	live, _ := t.claims.pending(now)
	if len(live) == 0 {
		return
	}
	holds := map[core.GroupID]engine.Hold{}
	for _, h := range d.Holds {
		if before, more := holds[h.Group]; !more || h.Count > before.Count {
			holds[h.Group] = h
		}
	}
	for _, w := range live {
		if w.step.Index == kube.StepHealth {
			t.claims.set(w.step, t.healthOf(w.step, d))
			continue
		}
		claim, ok := t.world.tracker.ClaimOf(w.step)
		if !ok {
			continue
		}
		if claim.Released {
			t.claims.set(w.step, say(allowFor(claim.Reason), text(claim.Reason)))
			continue
		}
		if h, held := holds[claim.Group]; held {
			t.claims.set(w.step, t.holdAnswer(now, w.step, h, d))
		}
	}
}

// holdAnswer is the answer for a step that is held. An image that cannot be pulled is
// not worth to wait for: nothing of it would come up.
func (t *Turn) holdAnswer(now time.Time, s kube.Step, h engine.Hold, d engine.Decision) GateAnswer {
	if h.Reason == core.Paused {
		h.Expected = quota.Range{} // a person says when
	}
	a := GateAnswer{Decision: kube.Wait, Reason: h.Reason, RetryAfterSeconds: retryDefault, Need: h.Need, Free: h.Free, Expected: h.Expected}
	if until := h.Expected.From.Sub(now); until > 0 && until < retryDefault*time.Second {
		a.RetryAfterSeconds = int(until/time.Second) + 1
	}
	causes, _ := causesOf(t.world.tracker, d, []engine.Hold{h})
	t.explainer.quoteRefusal([]engine.Hold{h}, causes)
	if h.Reason == core.Paused {
		causes[0] = t.pausedBy(s, h)
	}
	a.Message = cut(message(h, causes[0], time.Time{}), maxWords)
	if why, bad := t.badImage(s, d); bad {
		a.Decision, a.Reason, a.Message = kube.Abort, core.ImageFailing, why
	}
	return a
}

// pausedBy says who paused a step, and why: its Rollout, or what it draws on.
func (t *Turn) pausedBy(s kube.Step, h engine.Hold) string {
	var paused client.Object
	if b := t.world.budgets[t.world.tracker.BudgetOf(h.Account)]; b != nil {
		paused = b
	} else if u := t.world.tracker.RolloutOf(kube.Owner{Kind: kube.RolloutKind, Namespace: s.Namespace, Name: s.Rollout}); u != nil {
		paused = u
	}
	if paused == nil || paused.GetAnnotations()[v1alpha1.AnnotationPaused] == "" {
		return ""
	}
	order := orderOf(paused.GetAnnotations()[v1alpha1.AnnotationPaused])
	return fmt.Sprintf("%s: %s (%s)", text(h.Reason), order.Reason, order.By)
}

// badImage reports whether an image of the step's revision cannot be pulled for a
// reason that waiting does not cure, and what the kubelet says.
func (t *Turn) badImage(s kube.Step, d engine.Decision) (string, bool) {
	owner := kube.Owner{Kind: kube.RolloutKind, Namespace: s.Namespace, Name: s.Rollout}
	at := slices.IndexFunc(d.Failing, func(f engine.Failing) bool {
		return f.Workload == owner.String() && f.Revision == s.Hash && f.State != feedback.OK
	})
	if at < 0 || !(feedback.Failure{Class: d.Failing[at].Cause.Class}).OfWorkload() {
		return "", false
	}
	return cut(failingImage(t.world.tracker, owner, s.Hash, d.Failing[at].View), maxSaid), true
}

// healthOf tells how the pulls of a revision do: abort where an image of it cannot be
// pulled, hold while pulls of it or of its accounts are throttled, allow otherwise.
func (t *Turn) healthOf(s kube.Step, d engine.Decision) GateAnswer {
	owner := kube.Owner{Kind: kube.RolloutKind, Namespace: s.Namespace, Name: s.Rollout}
	if known := t.world.tracker.RolloutOf(owner); known == nil || known.GetUID() != s.UID {
		return say(holdFor(core.Unverified, retryLeader), "no such rollout is known yet")
	}
	if why, bad := t.badImage(s, d); bad {
		return say(GateAnswer{Decision: kube.Abort, Reason: core.ImageFailing}, why)
	}
	throttled := func(f kube.FailingPull) bool { return f.Class == feedback.Throttled }
	if f := newest(t.world.tracker.FailuresOf(owner, s.Hash), throttled); f != nil {
		return say(holdFor(core.BreakerOpen, retryDefault), fmt.Sprintf("a pull of %s is throttled%s", cmp.Or(string(f.Image), "an image"), words(f)))
	}
	for _, id := range t.world.tracker.AccountsOf(owner, s.Hash) {
		at := slices.IndexFunc(d.Accounts, func(v engine.View) bool { return v.Account == id })
		if at < 0 {
			continue
		}
		v := d.Accounts[at]
		if v.Breaker.State == feedback.Paused && v.Breaker.Cause.Class == feedback.Throttled {
			a := say(holdFor(core.BreakerOpen, retryDefault), string(id)+" is paused: "+pausedBy(v.Breaker))
			a.Free = max(0, v.Available[core.ClassRollout])
			return a
		}
	}
	return allowFor(core.Budget)
}

// hopeless are the PullBudgets of which every account is asked for more than it gives.
func (w *world) hopeless() map[string]bool {
	out := map[string]bool{}
	for name, b := range w.budgets {
		out[name] = allHopeless(b.Status.Accounts)
	}
	return out
}

// observeArgo takes in a Rollout or an AnalysisRun.
func observeArgo(now time.Time, t *kube.Tracker, u *unstructured.Unstructured, gone bool) []engine.Event {
	if u.GetKind() != kube.RolloutKind {
		run, ok := runOf(change{object: u, gone: gone})
		if !ok {
			return nil
		}
		return t.Run(now, run, gone)
	}
	if gone {
		return t.RolloutGone(u.GetNamespace(), u.GetName())
	}
	return t.Rollout(now, u)
}
