package kube

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// A node is new for newFor after its object was made, if it was never ready. What it
// is let go for has arrived within settleFor, or other pods tell of it.
const (
	newFor    = 10 * time.Minute
	settleFor = 15 * time.Minute
)

// arrival is a new node on its way to needing no more pulls for itself. For the engine
// it is one more pod of the group of nodes that pull the same.
type arrival struct {
	group     core.GroupID
	announced engine.Pod
	// passed says why nobody holds it although it could be held; sticky, since its
	// pulls begin then.
	passed core.Reason
	// wore says that our taint was on it.
	wore bool
	// leaving says that its release is under way and not in the cache yet.
	leaving bool
	order   order
	// sets are the DaemonSets that run there.
	sets []Owner
}

// NodePodID names a new node as the engine does, among pods.
func NodePodID(n *corev1.Node) core.PodID { return core.PodID("/" + n.Name + "/" + string(n.UID)) }

// standing is what a node is to us.
type standing int

const (
	// nodeSettled: it is none of our business any more, or never was.
	nodeSettled standing = iota
	// nodeOpen: it is new and wears no taint of ours; we may hold it still.
	nodeOpen
	// nodeWorn: it wears our taint.
	nodeWorn
	// nodeFreed: somebody let it go, and what we put on it is to be taken off.
	nodeFreed
	// nodeGoing: it was let go, or nobody holds it, and it may still pull for itself.
	nodeGoing
)

// standingOf says what a node is to us, by what is on it and not by what we remember,
// but for two things that only memory tells: that it was ready, and that it booted
// again.
func (t *Tracker) standingOf(now time.Time, n *trackedNode) standing {
	o := n.object
	released := gate.NodeReleasedAt(o)
	switch {
	case o.DeletionTimestamp != nil:
		return nodeSettled
	case gate.NodeHeld(o) && !released.IsZero():
		return nodeFreed // it came back after we let the node go, as where it registers late
	case gate.NodeHeld(o):
		return nodeWorn
	case o.Labels[v1alpha1.LabelHeld] != "":
		return nodeFreed
	case n.handedOver:
		return nodeSettled
	case !released.IsZero():
		if now.Sub(released) < settleFor {
			return nodeGoing
		}
		return nodeSettled
	case n.arrival != nil && n.arrival.wore:
		return nodeFreed
	case !t.isNew(now, n):
		if n.arrival != nil && n.arrival.group != "" && now.Sub(o.CreationTimestamp.Time) < settleFor {
			return nodeGoing
		}
		return nodeSettled
	case o.Annotations[v1alpha1.AnnotationOverride] != "":
		return nodeFreed
	case n.arrival != nil && n.arrival.passed != "", !t.mayHoldNode(o):
		return nodeGoing
	}
	return nodeOpen
}

// isNew reports whether a node is in the time before it is ready for the first time.
// A node that boots again has an old object, or was seen ready, or with another boot.
func (t *Tracker) isNew(now time.Time, n *trackedNode) bool {
	created := n.object.CreationTimestamp
	return !created.IsZero() && now.Sub(created.Time) < newFor && !n.wasReady && !n.rebooted && !joined(n.object)
}

// joined reports whether a node takes pods: it is ready and wears none of the taints of
// a node that starts.
func joined(n *corev1.Node) bool {
	return nodeCondition(n, corev1.NodeReady) && !slices.ContainsFunc(n.Spec.Taints, func(taint corev1.Taint) bool {
		return isPassing(taint.Key) && taint.Key != v1alpha1.Taint && taint.Effect != corev1.TaintEffectPreferNoSchedule
	})
}

// TakesPods reports whether the scheduler puts pods on a node, but for what it holds.
func TakesPods(n *corev1.Node) bool { return joined(n) }

// mayHoldNode reports whether we may put our taint on a node. On a node of Karpenter's we
// never do: a taint that its NodePool does not declare makes the node look full, and
// Karpenter makes another in its place; one that is declared comes with the node.
func (t *Tracker) mayHoldNode(n *corev1.Node) bool {
	if rules := t.nodePolicy(); rules == nil || !t.nodesHoldable {
		return false
	}
	pool, ofKarpenter := n.Labels[LabelNodePool]
	return !ofKarpenter || t.nodePools[pool].DeclaresHold() && unregistered(n)
}

// unregistered reports whether Karpenter is still to put the taints of its NodePool on
// a node.
func unregistered(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == taintUnregistered })
}

// nodePolicy is the oldest policy that holds nodes; nil: none does.
func (t *Tracker) nodePolicy() *policy {
	for _, p := range t.rules.policies {
		if _, holds := p.spec.HoldsNodes(); holds {
			return p
		}
	}
	return nil
}

// NodePolicy names the policy that holds nodes; empty: none does.
func (t *Tracker) NodePolicy() string {
	if p := t.nodePolicy(); p != nil {
		return p.name
	}
	return ""
}

// NodesHoldable notes whether the API server would let us hold nodes.
func (t *Tracker) NodesHoldable(now time.Time, may bool) []engine.Event {
	if t.nodesHoldable != may {
		t.nodesHoldable = may
		t.arriveAll(now)
	}
	return t.take()
}

// nodeHold is for how long a node is held at most.
func (t *Tracker) nodeHold() time.Duration {
	if p := t.nodePolicy(); p != nil {
		most, _ := p.spec.HoldsNodes()
		return most
	}
	return v1alpha1.DefaultNodeHold
}

// noteBoot remembers of a node what its object does not tell later.
func (n *trackedNode) noteBoot(last *corev1.Node) {
	if last != nil && last.UID != n.object.UID {
		n.wasReady, n.rebooted, n.handedOver = false, false, false
		last = nil
	}
	n.wasReady = n.wasReady || joined(n.object) && !gate.NodeHeld(n.object)
	if last != nil {
		before, now := last.Status.NodeInfo.BootID, n.object.Status.NodeInfo.BootID
		n.rebooted = n.rebooted || before != "" && now != "" && before != now
	}
}

// arrive brings what the engine knows of a new node up to date.
func (t *Tracker) arrive(now time.Time, n *trackedNode) {
	id := core.NodeID(n.object.Name)
	if a := n.arrival; a != nil && a.announced.ID != "" && a.announced.ID != NodePodID(n.object) {
		t.leaveArrival(n) // another node of the same name
	}
	s := t.standingOf(now, n)
	if s == nodeSettled {
		t.leaveArrival(n)
		return
	}
	if n.arrival == nil {
		n.arrival = &arrival{}
		t.arrivals[id] = true
	}
	a := n.arrival
	a.wore = a.wore || s == nodeWorn
	if s != nodeWorn {
		a.leaving = a.leaving && s == nodeOpen
	}
	bundle := t.bundleFor(n.object)
	a.sets = bundle.sets
	if s == nodeGoing && t.failsOn(n, bundle) {
		n.handedOver = true
		t.leaveArrival(n)
		return
	}
	if !bundle.paced() && s == nodeGoing && a.group == "" {
		return // it pulls nothing that anybody counts
	}
	next := engine.Pod{ID: NodePodID(n.object), Node: id, Created: n.object.CreationTimestamp.Time}
	switch have := t.presentOn(n); {
	case s == nodeOpen || s == nodeWorn:
		next.Phase, next.HoldUntil = engine.PodGated, t.holdUntil(n.object)
	case bundle.within(have):
		next.Phase, next.ReleasedAt = engine.PodPulled, t.nodeReleasedAt(n)
	default:
		next.Phase, next.ReleasedAt = engine.PodBound, t.nodeReleasedAt(n)
		next.Started = bundle.among(have)
	}
	t.joinBundle(n, bundle)
	next.Group = a.group
	if !reflect.DeepEqual(a.announced, next) {
		a.announced = next
		t.emit(engine.Event{Pod: &next})
	}
	t.orderNode(n)
}

// holdUntil is when the hold of a node must end: by its mark, or by when it was made.
func (t *Tracker) holdUntil(n *corev1.Node) time.Time {
	if until := gate.HoldUntil(n); !until.IsZero() {
		return until
	}
	return n.CreationTimestamp.Add(t.nodeHold())
}

// nodeReleasedAt is when a node was let go after a hold; zero: nobody held it. One that
// somebody else let go is as one that we did: its pulls were expected.
func (t *Tracker) nodeReleasedAt(n *trackedNode) time.Time {
	if at := gate.NodeReleasedAt(n.object); !at.IsZero() {
		return at
	}
	if n.arrival.wore || n.object.Labels[v1alpha1.LabelHeld] != "" || n.object.Annotations[v1alpha1.AnnotationOverride] != "" {
		return n.object.CreationTimestamp.Time
	}
	return time.Time{}
}

// orderNode announces a person's order to let a held node go.
func (t *Tracker) orderNode(n *trackedNode) {
	text, a := n.object.Annotations[v1alpha1.AnnotationOverride], n.arrival
	if text == "" || a.announced.Phase != engine.PodGated {
		return
	}
	o, _ := v1alpha1.ParseOrder(text)
	if want := orderOf(o); want > a.order {
		a.order = want
		t.emit(engine.Event{Override: &engine.Override{Pod: a.announced.ID, Now: o.Now}})
	}
}

// arriveAll looks at every arrival again, and ends those whose time is over.
func (t *Tracker) arriveAll(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		t.arrive(now, t.nodes[id])
	}
}

// Advance ends what only time ends, and tells of what many changes together brought.
func (t *Tracker) Advance(now time.Time) []engine.Event {
	t.at = now
	if t.egressDirty {
		t.translateAll()
	}
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		n := t.nodes[id]
		if s := t.standingOf(now, n); s == nodeSettled || s == nodeGoing && n.arrival.announced.Phase == engine.PodGated {
			t.arrive(now, n)
		}
	}
	t.measureRooms()
	return t.take()
}

// leaveArrival forgets that a node is new.
func (t *Tracker) leaveArrival(n *trackedNode) {
	if n.arrival == nil {
		return
	}
	if n.arrival.announced.ID != "" {
		t.emit(engine.Event{PodGone: n.arrival.announced.ID})
	}
	t.leaveBundle(n)
	n.arrival = nil
	delete(t.arrivals, core.NodeID(n.object.Name))
}

// NodeRelease is a node that is let go, and why.
type NodeRelease struct {
	Node   *corev1.Node
	Reason core.Reason
}

// FreedNodes are held nodes that must go at once, whatever the engine says, because
// no policy holds nodes any more; sorted.
func (t *Tracker) FreedNodes() []NodeRelease {
	if t.nodePolicy() != nil || !t.nodesHoldable {
		return nil
	}
	var out []NodeRelease
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		if n := t.nodes[id]; gate.NodeHeld(n.object) && n.arrival.announced.Phase == engine.PodGated && !n.arrival.leaving {
			out = append(out, NodeRelease{Node: n.object, Reason: core.NotOptedIn})
		}
	}
	return out
}

// LooseNodes are nodes that somebody else let go, whose marks are to be taken off, and
// nodes that our taint came back to after we let them go; sorted. Nobody holds them
// again.
func (t *Tracker) LooseNodes(now time.Time) []NodeRelease {
	var out []NodeRelease
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		n := t.nodes[id]
		if t.standingOf(now, n) != nodeFreed {
			continue
		}
		reason := core.Override
		if mark, err := v1alpha1.ParseReleaseMark(n.object.Annotations[v1alpha1.AnnotationRelease]); err == nil {
			reason = core.Reason(mark.Reason)
		}
		out = append(out, NodeRelease{Node: n.object, Reason: reason})
	}
	return out
}

// ChooseNodes are the held nodes among the pods of a release; none for a release of
// pods.
func (t *Tracker) ChooseNodes(r engine.Release) []*corev1.Node {
	g := t.bundles[r.Group]
	if g == nil {
		return nil
	}
	var out []*corev1.Node
	for _, n := range t.gatedIn(g) {
		if len(out) < r.Count && (len(r.Pods) == 0 || slices.Contains(r.Pods, n.arrival.announced.ID)) {
			out = append(out, n.object)
		}
	}
	return out
}

// gatedIn are the nodes of a group that are held or may be, oldest first, without
// those whose release is under way.
func (t *Tracker) gatedIn(g *trackedBundle) []*trackedNode {
	var out []*trackedNode
	for id := range g.nodes {
		if n := t.nodes[id]; n.arrival.announced.Phase == engine.PodGated && !n.arrival.leaving {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, oldestNode)
	return out
}

func oldestNode(a, b *trackedNode) int {
	return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), cmp.Compare(a.object.Name, b.object.Name))
}

// HeldNodes are the nodes of a group that wear our taint, oldest first.
func (t *Tracker) HeldNodes(id core.GroupID) []*corev1.Node {
	g := t.bundles[id]
	if g == nil {
		return nil
	}
	var out []*corev1.Node
	for _, n := range t.gatedIn(g) {
		if gate.NodeHeld(n.object) {
			out = append(out, n.object)
		}
	}
	return out
}
