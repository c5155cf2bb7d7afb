package kube

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// Freed are held pods that must go at once, whatever the engine says, because
// what made us hold them was taken back or never was, with the Reason; sorted.
func (t *Tracker) Freed() []Freed {
	var freed []Freed
	for _, id := range slices.Sorted(maps.Keys(t.freed)) {
		if p := t.pods[id]; p != nil && !p.leaving {
			freed = append(freed, Freed{Pod: p.object, Reason: t.freed[id]})
		}
	}
	return freed
}

// noteFreed keeps the list of pods that must go at once.
func (t *Tracker) noteFreed(p *trackedPod, phase engine.PodPhase) {
	id := PodID(p.object)
	delete(t.freed, id)
	if phase != engine.PodGated || gate.ForeignGate(p.object) {
		return
	}
	if reason := t.freeReason(p.object); reason != "" {
		t.freed[id] = reason
	}
}

// Freed is a held pod that must go at once.
type Freed struct {
	Pod    *corev1.Pod
	Reason core.Reason
}

// freeReason says why a pod must not be held any more; empty: it may be.
func (t *Tracker) freeReason(p *corev1.Pod) core.Reason {
	ns := t.namespace(p.Namespace)
	if ns.labels == nil {
		return "" // not seen yet, which proves nothing
	}
	if ns.off || !ns.enabled {
		return core.NotOptedIn
	}
	rules := policyFor(t.rules.policies, ns.labels, p.Labels)
	if rules == nil {
		return core.NotOptedIn
	}
	if rules.spec.Mode != v1alpha1.Enforce {
		return core.Shadow
	}
	if w := t.workloads[OwnerOf(p)]; w != nil {
		return rules.deletesFirst(w.object)
	}
	return ""
}
