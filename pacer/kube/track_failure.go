package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// trackedFailure is a container whose pull fails, as last seen.
type trackedFailure struct {
	PullFailure
	// first and last are when an attempt was seen to fail, attempts how many were.
	first, last time.Time
	attempts    int
	// told says that the last attempt was announced.
	told bool
	// asked is when Events were last asked for its words.
	asked time.Time
}

// noteFailures announces each failed attempt of the pod to pull an image, once. An
// attempt on a node that is not ready is not: what its pods say is old, and their
// number says nothing of the registry. It is announced when the node is back.
func (t *Tracker) noteFailures(now time.Time, p *trackedPod) {
	found := Failing(p.object)
	if len(found) == 0 && len(p.failures) == 0 {
		return
	}
	seen := make(map[string]*trackedFailure, len(found))
	for _, f := range found {
		before := p.failures[f.Container]
		if before != nil && before.Image != f.Image {
			before = nil
		}
		next := again(now, before, f)
		if !next.told {
			next.Failure = t.recent.See(now, f.Host, next.Failure)
		}
		seen[f.Container] = next
	}
	p.failures = seen
	t.indexFailing(p, len(seen) > 0)
	t.tellFailures(now, p)
}

// again is a failure as it stands when it is seen once more; before is nil where it is
// seen first. A container's status goes from an attempt to the back-off after it and to
// the next attempt.
func again(now time.Time, before *trackedFailure, f PullFailure) *trackedFailure {
	next := &trackedFailure{PullFailure: f, first: now, last: now, attempts: 1}
	if before == nil {
		return next
	}
	next.first, next.asked = before.first, before.asked
	bare := f.Class == feedback.Unknown && !f.Attempt
	if bare {
		// An older kubelet's back-off does not repeat the cause.
		next.Failure, next.Message = before.Failure, before.Message
	}
	if bare || next.sameCause(before) && !retried(before, f) {
		next.Failure = before.Failure
		next.last, next.attempts, next.told = before.last, before.attempts, before.told
		return next
	}
	next.attempts = before.attempts + 1
	return next
}

// retried reports whether a failure is of another attempt than the one before. What was
// between them may not have been seen, but a back-off repeats the words of its attempt,
// and those of another attempt often differ: in what is left to wait.
func retried(before *trackedFailure, f PullFailure) bool {
	if f.Attempt {
		return !before.Attempt || f.Message != before.Message
	}
	return !strings.Contains(f.Message, before.Message[:min(len(before.Message), maxWords/2)])
}

// sameCause reports whether two failures are of one kind.
func (f *trackedFailure) sameCause(other *trackedFailure) bool {
	return f.Class == other.Class && f.Kind == other.Kind
}

// indexFailing notes whether a pull of the pod fails where it is.
func (t *Tracker) indexFailing(p *trackedPod, failing bool) {
	node, id := core.NodeID(p.object.Spec.NodeName), PodID(p.object)
	pods := t.failing[node]
	switch {
	case failing && pods == nil:
		t.failing[node] = map[core.PodID]bool{id: true}
	case failing:
		pods[id] = true
	default:
		delete(pods, id)
		if len(pods) == 0 {
			delete(t.failing, node)
		}
	}
}

// dropFailures forgets the failures of a pod.
func (t *Tracker) dropFailures(p *trackedPod) {
	p.failures = nil
	t.indexFailing(p, false)
}

// tellFailures announces what was not announced yet.
func (t *Tracker) tellFailures(now time.Time, p *trackedPod) {
	if t.unreachable(core.NodeID(p.object.Spec.NodeName)) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.failures)) {
		f := p.failures[name]
		if f.told {
			continue
		}
		f.told, f.last = true, now
		t.emit(engine.Event{Failed: &engine.PullFailed{Pod: PodID(p.object), Image: f.Image, Account: t.accountAt(p, f.PullFailure), At: now, Failure: f.Failure}})
	}
}

// tellOf announces what was kept back of the pods of a node that is back.
func (t *Tracker) tellOf(now time.Time, node core.NodeID) {
	for _, id := range slices.Sorted(maps.Keys(t.failing[node])) {
		if p := t.pods[id]; p != nil {
			t.tellFailures(now, p)
		}
	}
}

// unreachable reports whether a node says, or is said, to be not ready.
func (t *Tracker) unreachable(id core.NodeID) bool {
	n := t.nodes[id]
	return n != nil && notReady(n.object)
}

// notReady reports whether a node is known not to be ready; one that never said so is
// taken for ready.
func notReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
	})
}

// accountAt is the account that a failed pull draws on where the pod is; empty: none
// that is paced.
func (t *Tracker) accountAt(p *trackedPod, f PullFailure) core.AccountID {
	if f.Image == "" {
		return ""
	}
	egress := ""
	if n := t.nodes[core.NodeID(p.object.Spec.NodeName)]; n != nil {
		egress = n.announced.Egress
	}
	for _, id := range candidates(t.rules.budgets, t.egress, f.Host, &p.object.Spec, t.namespace(p.object.Namespace).labels) {
		if a := t.accounts[id]; a.Egress == "" || a.Egress == egress {
			return id
		}
	}
	return ""
}

// Throttled notes that a registry answered somebody else than a pull by 429, as of a
// probe: refusals of it may be throttles in disguise for a while.
func (t *Tracker) Throttled(now time.Time, account core.AccountID) {
	if a, known := t.accounts[account]; known {
		t.recent.Throttled(now, a.Host)
	}
}

// FailingPull is a pull of a pod that fails, with where and since when.
type FailingPull struct {
	PullFailure
	Pod     *corev1.Pod
	Account core.AccountID
	// First and Last are when an attempt was first and last seen to fail, Attempts how
	// many were.
	First, Last time.Time
	Attempts    int
	// Unreachable says that the node is not ready, so that all this may be old.
	Unreachable bool
}

// FailingPulls are the pulls that fail now, in the order of pods and containers.
func (t *Tracker) FailingPulls() []FailingPull {
	var ids []core.PodID
	for _, pods := range t.failing {
		ids = slices.AppendSeq(ids, maps.Keys(pods))
	}
	slices.Sort(ids)
	var out []FailingPull
	for _, id := range ids {
		out = append(out, t.failuresOf(t.pods[id])...)
	}
	return out
}

// FailuresOf are the pulls of a revision of a workload that fail now.
func (t *Tracker) FailuresOf(owner Owner, revision string) []FailingPull {
	var out []FailingPull
	for _, id := range slices.Sorted(maps.Keys(t.byOwner[owner])) {
		g := t.groups[id]
		if g.announced.Revision != revision {
			continue
		}
		for _, pod := range slices.Sorted(maps.Keys(g.pods)) {
			out = append(out, t.failuresOf(t.pods[pod])...)
		}
	}
	return out
}

func (t *Tracker) failuresOf(p *trackedPod) []FailingPull {
	if p == nil {
		return nil
	}
	var out []FailingPull
	for _, name := range slices.Sorted(maps.Keys(p.failures)) {
		f := p.failures[name]
		out = append(out, FailingPull{PullFailure: f.PullFailure, Pod: p.object, Account: t.accountAt(p, f.PullFailure),
			First: f.first, Last: f.last, Attempts: f.attempts, Unreachable: t.unreachable(core.NodeID(p.object.Spec.NodeName))})
	}
	return out
}

// askAgain is after how long Events are asked again for words that they did not have.
const askAgain = 5 * time.Minute

// Wordless are pods whose status tells that a pull is backed off and not why, at most
// so many, oldest failures first. Each is named again after a while at the soonest.
// Kubelets before 1.32 do not repeat the cause, and a watch may miss the moment in
// which they tell it.
func (t *Tracker) Wordless(now time.Time, most int) []*corev1.Pod {
	var out []*corev1.Pod
	for _, node := range slices.Sorted(maps.Keys(t.failing)) {
		for _, id := range slices.Sorted(maps.Keys(t.failing[node])) {
			p := t.pods[id]
			if p == nil || len(out) == most || !p.wordless(now) {
				continue
			}
			for _, f := range p.failures {
				f.asked = now
			}
			out = append(out, p.object)
		}
	}
	return out
}

func (p *trackedPod) wordless(now time.Time) bool {
	for _, f := range p.failures {
		if f.Class == feedback.Unknown && !f.Attempt && (f.asked.IsZero() || now.Sub(f.asked) >= askAgain) {
			return true
		}
	}
	return false
}

// Hint is what an Event told of a failed pull.
type Hint struct {
	Pod       core.PodID
	Container string
	Message   string
}

// Hint takes in what an Event told. A status that says the cause itself is believed
// more.
func (t *Tracker) Hint(now time.Time, h Hint) []engine.Event {
	p := t.pods[h.Pod]
	if p == nil {
		return nil
	}
	f := p.failures[h.Container]
	if f == nil || f.Class != feedback.Unknown {
		return nil
	}
	understood := feedback.Classify(f.Reason, h.Message, f.Host)
	f.Message = cutWords(h.Message)
	if understood.Class == feedback.Unknown {
		return nil
	}
	f.Failure, f.told = t.recent.See(now, f.PullFailure.Host, understood), false
	t.tellFailures(now, p)
	return t.take()
}

// ResumedSince reports whether a person ordered an account to go on since a time.
func (t *Tracker) ResumedSince(account core.AccountID, since time.Time) bool {
	at := t.accounts[account].Resumed
	return !at.IsZero() && !at.Before(since)
}

// OwnerResumedSince reports whether a person ordered a workload to go on since a time.
func (t *Tracker) OwnerResumedSince(owner Owner, since time.Time) bool {
	w := t.workloads[owner]
	return w != nil && !w.resumed.IsZero() && !w.resumed.Before(since)
}

// Enforced reports whether pods of a workload are held by a policy, and not only watched.
func (t *Tracker) Enforced(owner Owner) bool {
	for id := range t.byOwner[owner] {
		for _, p := range t.rules.policies {
			if p.name == t.groups[id].policy && p.spec.Mode == v1alpha1.Enforce {
				return true
			}
		}
	}
	return false
}
