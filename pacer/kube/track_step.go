package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// steps are the Rollouts of Argo with those of their steps that wait at the gate, or
// went and whose pods did not all come yet.
type steps struct {
	rollouts map[Owner]*trackedRollout
	claims   map[Owner]map[Step]*trackedStep
	// pods are those that stand for the pods of a step.
	pods map[core.PodID]Step
	// runs are the AnalysisRuns that were seen, by namespace and name.
	runs map[[2]string]bool
	// unsure are the runs that ended without an answer because we held, by their step:
	// Argo pauses the Rollout then.
	unsure map[Step]Run
}

func newSteps() steps {
	return steps{rollouts: map[Owner]*trackedRollout{}, claims: map[Owner]map[Step]*trackedStep{}, pods: map[core.PodID]Step{}, runs: map[[2]string]bool{}, unsure: map[Step]Run{}}
}

// trackedRollout is a Rollout as last seen.
type trackedRollout struct {
	*Rollout
	object *unstructured.Unstructured
}

// trackedStep is a claim: the pods that stand for those which passing the gate at a
// step brings about.
type trackedStep struct {
	step         Step
	since, until time.Time
	// mark is that of its release; released is its time, zero while it is held.
	mark     v1alpha1.ReleaseMark
	released time.Time
	// heard is when something was last heard of it after that: a pod came or went.
	heard time.Time
	// idle says that nothing was heard of it for so long that its pods must not block
	// others any more.
	idle     bool
	standIns int
}

// Rollout takes in a Rollout. now is when it was seen.
func (t *Tracker) Rollout(now time.Time, u *unstructured.Unstructured) []engine.Event {
	owner := Owner{Kind: RolloutKind, Namespace: u.GetNamespace(), Name: u.GetName()}
	r, err := ReadRollout(u)
	if err != nil {
		return t.RolloutGone(owner.Namespace, owner.Name)
	}
	t.steps.rollouts[owner] = &trackedRollout{Rollout: r, object: u}
	w := t.workload(owner)
	w.settled, w.resumed = r.settled(), resumedAt(u)
	w.paused = u.GetAnnotations()[v1alpha1.AnnotationPaused] != ""
	override := u.GetAnnotations()[v1alpha1.AnnotationOverride]
	ordered := override != "" && override != w.override
	w.override = override
	t.checkSteps(now, owner)
	t.findRollback(owner)
	t.refreshGroups(owner)
	if ordered {
		t.letGo(owner, override)
	}
	return t.take()
}

// RolloutGone takes in the end of a Rollout; its pods tell of their own end.
func (t *Tracker) RolloutGone(namespace, name string) []engine.Event {
	owner := Owner{Kind: RolloutKind, Namespace: namespace, Name: name}
	delete(t.steps.rollouts, owner)
	t.checkSteps(time.Time{}, owner)
	if w := t.workloads[owner]; w != nil {
		w.paused, w.settled, w.override, w.resumed = false, true, "", time.Time{}
	}
	t.refreshGroups(owner)
	return t.take()
}

// RolloutOf is a Rollout as last seen; nil: it was not.
func (t *Tracker) RolloutOf(owner Owner) *unstructured.Unstructured {
	if known := t.steps.rollouts[owner]; known != nil {
		return known.object
	}
	return nil
}

// checkSteps ends the claims of a Rollout that it is past, and brings the pods of the
// others up to date.
func (t *Tracker) checkSteps(now time.Time, owner Owner) {
	known := t.steps.rollouts[owner]
	for _, c := range t.claimsOf(owner) {
		if known == nil || c.past(known.Rollout) {
			t.endStep(c)
			continue
		}
		t.setStepPods(now, c, false)
	}
}

// claimsOf are the claims of a Rollout, in order.
func (t *Tracker) claimsOf(owner Owner) []*trackedStep {
	out := slices.Collect(maps.Values(t.steps.claims[owner]))
	slices.SortFunc(out, func(a, b *trackedStep) int {
		return slices.Compare([]string{a.step.Hash, a.step.Index}, []string{b.step.Hash, b.step.Index})
	})
	return out
}

// stepClaim is the claim of a step; nil: there is none.
func (t *Tracker) stepClaim(s Step) *trackedStep { return t.steps.claims[s.owner()][s] }

func (t *Tracker) addClaim(c *trackedStep) {
	owner := c.step.owner()
	if t.steps.claims[owner] == nil {
		t.steps.claims[owner] = map[Step]*trackedStep{}
	}
	t.steps.claims[owner][c.step] = c
}

func (t *Tracker) dropClaim(s Step) {
	owner := s.owner()
	delete(t.steps.claims[owner], s)
	if len(t.steps.claims[owner]) == 0 {
		delete(t.steps.claims, owner)
	}
}

// past reports whether a Rollout has no more use for a claim: it goes back, is at
// another revision, or has left the step. One that was let go is needed until the
// step that makes its pods is behind.
func (c *trackedStep) past(r *Rollout) bool {
	_, by, ok := r.Opens(c.step.Index)
	switch {
	case r.UID != c.step.UID:
		return true
	case !ok, r.Aborted, r.Hash != c.step.Hash, r.settled():
		return true
	case c.released.IsZero():
		return !r.at(c.step)
	}
	return !r.Full && r.Index > by
}

// AskStep takes in that somebody waits at a step since a time, and answers whether
// it is held; hopeless are the PullBudgets of which more is asked than they give. Where
// it is not, nothing of it is kept. The Reason is Unverified where the Rollout is not at
// that step, as far as is known yet: a cache may show it as it was before.
func (t *Tracker) AskStep(now time.Time, s Step, since time.Time, hopeless map[string]bool) (Verdict, []engine.Event) {
	if t.stepClaim(s) != nil {
		return Verdict{Hold: true}, nil
	}
	known := t.steps.rollouts[s.owner()]
	if known == nil || !known.at(s) {
		return Verdict{Reason: core.Unverified}, nil
	}
	if _, _, ok := known.Opens(s.Index); !ok {
		return Verdict{Reason: core.Unverified}, nil
	}
	c := &trackedStep{step: s, since: since}
	v := t.rules.JudgeStep(Case{
		Pod: t.stepPod(known, c, 0), Namespace: t.namespace(s.Namespace).object, Gated: t.heldIn(s.Namespace), Hopeless: hopeless})
	if !v.Hold {
		return v, nil
	}
	c.until = since.Add(v.MaxHold)
	t.addClaim(c)
	t.setStepPods(now, c, true)
	if c.standIns == 0 {
		t.dropClaim(s)
		return Verdict{Reason: core.Warm}, t.take()
	}
	return v, t.take()
}

// heldIn is how many pods of a namespace are held.
func (t *Tracker) heldIn(namespace string) int {
	n := 0
	for id := range t.namespace(namespace).pods {
		if gate.Gated(t.pods[id].object) {
			n++
		}
	}
	return n
}

// RestoreStep takes in that a step was let go at a time by a process before this
// one. What of its pods is there already is not booked again.
func (t *Tracker) RestoreStep(now time.Time, s Step, since, released time.Time) []engine.Event {
	known := t.steps.rollouts[s.owner()]
	if known == nil || t.stepClaim(s) != nil || known.UID != s.UID {
		return nil
	}
	mark := v1alpha1.ReleaseMark{Time: released, Reason: string(core.Budget)}
	c := &trackedStep{step: s, since: since, released: released, heard: now, mark: mark}
	if c.past(known.Rollout) {
		return nil
	}
	t.addClaim(c)
	t.setStepPods(now, c, true)
	return t.take()
}

// Run takes in an AnalysisRun. One that ended is the end of what waits for it. One
// that ended by our leave before this process began tells what that process had
// booked.
func (t *Tracker) Run(now time.Time, r Run, gone bool) []engine.Event {
	key := [2]string{r.Step.Namespace, r.Name}
	seen := t.steps.runs[key]
	if t.steps.runs[key] = true; gone {
		delete(t.steps.runs, key)
	}
	c := t.stepClaim(r.Step)
	delete(t.steps.unsure, r.Step)
	switch {
	case !gone && !r.Completed:
		return nil
	case !gone && r.Unsure && r.Ours && r.Decision == Wait:
		t.steps.unsure[r.Step] = r // it waits on, for the Rollout to ask again
		return nil
	case !seen && !gone && r.Passed && r.Ours && r.Decision == Allow:
		return t.RestoreStep(now, r.Step, r.Created, r.At)
	case c != nil && c.released.IsZero():
		t.endStep(c)
	}
	return t.take()
}

// Paused are the steps of Rollouts that Argo paused because we held until their runs
// had no more questions, with since when, by Rollout. They are asked again when their
// Rollout goes on.
func (t *Tracker) Paused() map[Owner][]Run {
	out := map[Owner][]Run{}
	for s, run := range t.steps.unsure {
		r := t.steps.rollouts[s.owner()]
		switch {
		case r == nil || r.UID != s.UID || r.Hash != s.Hash || r.Aborted:
			delete(t.steps.unsure, s)
		case r.Inconclusive && (s.Index == StepHealth || r.at(s)):
			out[s.owner()] = append(out[s.owner()], run)
		}
	}
	return out
}

// QuietSteps are those that were let go and of which nothing was heard for a while,
// sorted: whoever asked may be lost.
func (t *Tracker) QuietSteps(now time.Time, after time.Duration) []Step {
	var out []Step
	for _, claims := range t.steps.claims {
		for s, c := range claims {
			if !c.released.IsZero() && !c.idle && now.Sub(c.heard) > after {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b Step) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// StepGoes takes in that a step was let go.
func (t *Tracker) StepGoes(now time.Time, s Step, mark v1alpha1.ReleaseMark) []engine.Event {
	c := t.stepClaim(s)
	if c == nil || !c.released.IsZero() {
		return nil
	}
	c.released, c.heard, c.mark = mark.Time, now, mark
	t.setStepPods(now, c, true)
	return t.take()
}

// EndStep takes in that nobody waits at a step any more. One that was let go blocks
// others no longer, and is booked as its pods come.
func (t *Tracker) EndStep(now time.Time, s Step) []engine.Event {
	c := t.stepClaim(s)
	switch {
	case c == nil:
		return nil
	case c.released.IsZero():
		t.endStep(c)
	case !c.idle:
		c.idle = true
		t.setStepPods(now, c, true)
	}
	return t.take()
}

func (t *Tracker) endStep(c *trackedStep) {
	for i := range c.standIns {
		t.podGone(c.podID(i))
	}
	t.dropClaim(c.step)
}

// Claim is the state of a step in the books.
type Claim struct {
	// Group is that of the pods that it waits with, empty where all of them came.
	Group core.GroupID
	// Released says that it was let go, Reason why.
	Released bool
	Reason   core.Reason
}

// ClaimOf is the claim of a step; false: there is none.
func (t *Tracker) ClaimOf(s Step) (Claim, bool) {
	c := t.stepClaim(s)
	if c == nil {
		return Claim{}, false
	}
	claim := Claim{Released: !c.released.IsZero(), Reason: core.Reason(c.mark.Reason)}
	if p := t.pods[c.podID(0)]; p != nil && c.standIns > 0 {
		claim.Group = p.group
	}
	return claim, true
}

// StepOf is the step that a pod stands for, with all that do; false: it is a pod.
func (t *Tracker) StepOf(id core.PodID) (Step, []core.PodID, bool) {
	s, ok := t.steps.pods[id]
	c := t.stepClaim(s)
	if !ok || c == nil {
		return Step{}, nil, false
	}
	ids := make([]core.PodID, c.standIns)
	for i := range ids {
		ids[i] = c.podID(i)
	}
	return s, ids, true
}

// ToAbort reports whether a Rollout is at a revision that is not stable, and a policy in
// mode Enforce says to abort it for a bad image.
func (t *Tracker) ToAbort(owner Owner, revision string) bool {
	r := t.steps.rollouts[owner]
	if r == nil || r.Aborted || r.Hash != revision || r.settled() || r.Stable == "" {
		return false
	}
	for id := range t.byOwner[owner] {
		g := t.groups[id]
		for _, p := range t.rules.policies {
			if g.announced.Revision == revision && p.name == g.policy && p.spec.Mode == v1alpha1.Enforce && p.spec.Rollouts != nil && p.spec.Rollouts.AbortBadImage {
				return true
			}
		}
	}
	return false
}

// AccountsOf are the accounts that the images of a revision draw on, sorted.
func (t *Tracker) AccountsOf(owner Owner, revision string) []core.AccountID {
	var out []core.AccountID
	for id := range t.byOwner[owner] {
		g := t.groups[id].announced
		for _, use := range g.Images {
			if g.Revision == revision {
				out = append(out, use.Accounts...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
