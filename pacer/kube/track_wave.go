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
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/gate"
)

// WaitingNode is a new node that a decision does not let go.
type WaitingNode struct {
	Node  *corev1.Node
	Group core.GroupID
	// Until is when its hold must end.
	Until time.Time
}

// Waiting sorts the new nodes that a decision does not let go: those that are to be
// held and are not yet, and those that may not be held, for fewer would be left than a
// cluster needs. Those that are held go on being held, youngest first, as long as that
// is so: older ones have waited longer.
func (t *Tracker) Waiting(d engine.Decision) (hold, pass []WaitingNode) {
	going := map[core.NodeID]bool{}
	for _, r := range d.Releases {
		for _, n := range t.ChooseNodes(r) {
			going[core.NodeID(n.Name)] = true
		}
	}
	var waiting []*trackedNode
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		n := t.nodes[id]
		if a := n.arrival; a.announced.Phase == engine.PodGated && !a.leaving && !going[id] {
			waiting = append(waiting, n)
		}
	}
	if len(waiting) == 0 {
		return nil, nil
	}
	count := t.countNodes()
	slices.SortFunc(waiting, func(a, b *trackedNode) int {
		if held := gate.NodeHeld(a.object); held != gate.NodeHeld(b.object) {
			if held {
				return -1
			}
			return 1
		}
		return oldestNode(b, a)
	})
	held := map[string]int{}
	for _, n := range waiting {
		pool := poolName(n.object.Labels)
		w := WaitingNode{Node: n.object, Group: n.arrival.group, Until: n.arrival.announced.HoldUntil}
		if !(plan.Standing{Pool: count.pool[pool], Held: held[pool], Others: count.ready}).MayHold() {
			pass = append(pass, w)
			continue
		}
		held[pool]++
		if !unregistered(n.object) && needsHold(n.object) {
			hold = append(hold, w)
		}
	}
	slices.Reverse(hold) // the oldest is ready first
	return hold, pass
}

// needsHold reports whether something of a hold is missing on a node.
func needsHold(n *corev1.Node) bool {
	_, marked := n.Labels[v1alpha1.LabelHeld]
	return !gate.NodeHeld(n) || !marked || gate.HoldUntil(n).IsZero()
}

// census of nodes: how many each pool has, and how many take pods.
type nodeCount struct {
	pool  map[string]int
	ready int
}

func (t *Tracker) countNodes() nodeCount {
	c := nodeCount{pool: map[string]int{}}
	for _, n := range t.nodes {
		c.pool[poolName(n.object.Labels)]++
		if joined(n.object) && !gate.NodeHeld(n.object) && !n.object.Spec.Unschedulable && n.object.DeletionTimestamp == nil {
			c.ready++
		}
	}
	return c
}

// PassNode notes that a new node is not held, and why not; its pulls begin now.
func (t *Tracker) PassNode(now time.Time, n *corev1.Node, why core.Reason) []engine.Event {
	if known := t.nodes[core.NodeID(n.Name)]; known != nil && known.arrival != nil && known.object.UID == n.UID {
		known.arrival.passed = why
		t.arrive(now, known)
	}
	return t.take()
}

// LeavingNode notes that the release of a node is under way, or was given up.
func (t *Tracker) LeavingNode(n *corev1.Node, leaving bool) {
	if known := t.nodes[core.NodeID(n.Name)]; known != nil && known.arrival != nil {
		known.arrival.leaving = leaving
	}
}

// KnownNode reports whether a new node is there.
func (t *Tracker) KnownNode(id core.PodID) bool {
	parts := strings.Split(string(id), "/")
	n := t.nodes[core.NodeID(parts[min(1, len(parts)-1)])]
	return n != nil && NodePodID(n.object) == id
}

// IsNodeGroup reports whether the pods of a group are new nodes.
func (t *Tracker) IsNodeGroup(id core.GroupID) bool { return t.bundles[id] != nil }

// Granted says whether a node was let go, by whatever reason; false while it is held or
// may be yet.
func (t *Tracker) Granted(name string) (reason core.Reason, granted bool) {
	n := t.nodes[core.NodeID(name)]
	switch {
	case n == nil:
		return "", false
	case n.arrival != nil && n.arrival.announced.Phase == engine.PodGated, gate.NodeHeld(n.object):
		return core.NodeHeld, false
	}
	if mark, err := v1alpha1.ParseReleaseMark(n.object.Annotations[v1alpha1.AnnotationRelease]); err == nil {
		return core.Reason(mark.Reason), true
	}
	if n.arrival != nil && n.arrival.passed != "" {
		return n.arrival.passed, true
	}
	return core.Excluded, true
}

// WhyNotHeld says for a person why nobody held a node; empty where it was held, or let
// go by a decision.
func (t *Tracker) WhyNotHeld(name string) string {
	n := t.nodes[core.NodeID(name)]
	if n == nil || !gate.NodeReleasedAt(n.object).IsZero() {
		return ""
	}
	pool, ofKarpenter := n.object.Labels[LabelNodePool]
	switch {
	case n.arrival != nil && n.arrival.passed == core.Excluded:
		return "too few nodes would have been left to take pods"
	case n.arrival != nil && n.arrival.passed != "":
		return "the API server refused to have it held"
	case ofKarpenter && !t.nodePools[pool].DeclaresHold():
		return "startupTaints of NodePool " + pool + " do not name the taint " + v1alpha1.Taint
	}
	return "it took pods before it could be held"
}

// Untold are nodes that do not say yet that they were let go, at most so many; none
// while no policy holds nodes.
func (t *Tracker) Untold(most int) []*corev1.Node {
	if t.nodePolicy() == nil || !t.nodesHoldable {
		return nil
	}
	var out []*corev1.Node
	for _, id := range slices.Sorted(maps.Keys(t.untold)) {
		if len(out) == most {
			break
		}
		if n := t.nodes[id]; n != nil {
			if _, granted := t.Granted(n.object.Name); granted {
				out = append(out, n.object)
			}
		}
	}
	return out
}

// noteTold keeps the list of nodes that do not say that they were let go.
func (t *Tracker) noteTold(n *corev1.Node) {
	if nodeCondition(n, v1alpha1.ConditionPullBudgetGranted) {
		delete(t.untold, core.NodeID(n.Name))
	} else {
		t.untold[core.NodeID(n.Name)] = true
	}
}

// WornNodes are how many nodes wear our taint.
func (t *Tracker) WornNodes() int {
	worn := 0
	for id := range t.arrivals {
		if gate.NodeHeld(t.nodes[id].object) {
			worn++
		}
	}
	return worn
}
