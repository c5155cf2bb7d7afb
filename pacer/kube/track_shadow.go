package kube

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// Passed is what Enforce would have put on a pod that Shadow let pass.
type Passed struct {
	// Policy is the PacePolicy in mode Shadow that rules the pod.
	Policy string
	// HoldUntil is when its hold would have ended at the latest.
	HoldUntil time.Time
	// ForeignGate says that another owner's gate is on it.
	ForeignGate bool
}

// wouldHold judges a pod as admission did, but for the mode, when it is first seen;
// nil: it would not have been held, or admission never saw it. A pod that the
// scheduler has bound meanwhile is judged as it was created.
func (t *Tracker) wouldHold(p *corev1.Pod) *Passed {
	ns := t.namespace(p.Namespace)
	if ns.object == nil || p.Annotations[v1alpha1.AnnotationSeen] == "" || gate.Gated(p) || gate.ReleasedAt(p) != (time.Time{}) {
		return nil
	}
	created := *p
	created.Spec.NodeName = ""
	if set := t.sets[setOf(p)]; set != nil && set.template != nil {
		created.Spec.NodeName = set.template.Spec.NodeName
	}
	c := Case{Pod: &created, Namespace: ns.object, Gated: t.inShadow[p.Namespace]}
	if w := t.workloads[OwnerOf(p)]; w != nil {
		c.Deployment = w.object
	}
	judge := t.rules.Judge
	if job := t.jobs[OwnerOf(p)]; job != nil {
		if c.Job = job.object; HasDeadline(c.Job) {
			judge = t.rules.JudgeJob // it would have been suspended, and all of its pods with it
		}
	}
	v := judge(c)
	if v.Reason != core.Shadow {
		return nil
	}
	return &Passed{HoldUntil: p.CreationTimestamp.Add(v.MaxHold)}
}

// Passed tells of a pod that Shadow let pass; false where there is nothing to tell,
// or no policy in mode Shadow rules it any more.
func (t *Tracker) Passed(id core.PodID) (Passed, bool) {
	p := t.pods[id]
	if p == nil || p.passed == nil {
		return Passed{}, false
	}
	passed := *p.passed
	passed.Policy, passed.ForeignGate = t.WatchedBy(id), gate.ForeignGate(p.object)
	return passed, passed.Policy != ""
}

// WatchedBy is the PacePolicy in mode Shadow that rules a pod; empty: none does, or
// the pod is gone.
func (t *Tracker) WatchedBy(id core.PodID) string {
	p := t.pods[id]
	if p == nil {
		return ""
	}
	ns := t.namespace(p.object.Namespace)
	rules := policyFor(t.rules.policies, ns.labels, p.object.Labels)
	if rules == nil || rules.spec.Mode != v1alpha1.Shadow || ns.off || !ns.enabled {
		return ""
	}
	return rules.name
}

// InShadow notes how many pods of each namespace Shadow holds in its books, which
// counts against the most that may be held there.
func (t *Tracker) InShadow(byNamespace map[string]int) { t.inShadow = byNamespace }

// Shadows are the policies in mode Shadow.
func (t *Tracker) Shadows() []string {
	var names []string
	for _, p := range t.rules.policies {
		if p.spec.Mode == v1alpha1.Shadow {
			names = append(names, p.name)
		}
	}
	return names
}

// World is everything as it was announced last.
func (t *Tracker) World() engine.World {
	var w engine.World
	add := func(ev engine.Event) { w.Events = append(w.Events, ev) }
	for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
		a := t.accounts[id]
		add(engine.Event{Account: &a})
	}
	for _, id := range slices.Sorted(maps.Keys(t.nodes)) {
		n := t.nodes[id].announced
		add(engine.Event{Node: &n})
	}
	for _, id := range slices.Sorted(maps.Keys(t.pools)) {
		p := t.pools[id]
		add(engine.Event{Pool: &engine.Pool{ID: id, Nodes: slices.Sorted(maps.Keys(p.nodes)), Growth: p.growth}})
	}
	for _, id := range slices.Sorted(maps.Keys(t.groups)) {
		g := t.groups[id].announced
		add(engine.Event{Group: &g})
	}
	for _, id := range slices.Sorted(maps.Keys(t.pods)) {
		p := t.pods[id].announced
		add(engine.Event{Pod: &p})
	}
	w.Events = append(w.Events, t.newNodes()...)
	return w
}

// holdable are the pods of a group that are held, or would be but for Shadow.
func (g *trackedGroup) holdable() map[core.PodID]bool {
	if len(g.passed) == 0 {
		return g.held
	}
	all := maps.Clone(g.held)
	maps.Copy(all, g.passed)
	return all
}
