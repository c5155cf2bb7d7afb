package kube

import (
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// room is what a node gives to pods, or what pods take of it.
type room struct {
	milliCPU, memory, pods int64
}

func (r room) plus(o room) room {
	return room{r.milliCPU + o.milliCPU, r.memory + o.memory, r.pods + o.pods}
}
func (r room) less(o room) room {
	return room{r.milliCPU - o.milliCPU, r.memory - o.memory, r.pods - o.pods}
}

// takes is how many pods of a size there is room for.
func (r room) takes(s engine.Size) int {
	n := r.pods
	if s.MilliCPU > 0 {
		n = min(n, r.milliCPU/s.MilliCPU)
	}
	if s.Memory > 0 {
		n = min(n, r.memory/s.Memory)
	}
	return int(max(0, n))
}

func roomOf(list corev1.ResourceList) room {
	return room{milliCPU: list.Cpu().MilliValue(), memory: list.Memory().Value(), pods: list.Pods().Value()}
}

// sameRoom reports whether two sights of a node give pods the same.
func sameRoom(a, b *corev1.Node) bool {
	return joined(a) == joined(b) && roomOf(a.Status.Allocatable) == roomOf(b.Status.Allocatable)
}

// claimRoom is what the node of a NodeClaim will give.
func claimRoom(u *unstructured.Unstructured) room {
	values, _, _ := unstructured.NestedStringMap(u.Object, "status", "allocatable") // not told before it is launched
	list := corev1.ResourceList{}
	for name, text := range values {
		if q, err := resource.ParseQuantity(text); err == nil {
			list[corev1.ResourceName(name)] = q
		}
	}
	return roomOf(list)
}

// sizeOf is what one pod asks for.
func sizeOf(p *corev1.Pod) engine.Size {
	r := roomOf(resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{}))
	return engine.Size{MilliCPU: r.milliCPU, Memory: r.memory}
}

// takenBy is what a pod takes of its node.
type takenBy struct {
	node core.NodeID
	room room
}

// noteTaken counts what a pod takes of its node.
func (t *Tracker) noteTaken(p *trackedPod, there bool) {
	var next takenBy
	if node := p.object.Spec.NodeName; node != "" && there {
		next = takenBy{core.NodeID(node), room{p.size.MilliCPU, p.size.Memory, 1}}
	}
	if p.taken == next {
		return
	}
	if last := p.taken; last.node != "" {
		if t.taken[last.node] = t.taken[last.node].less(last.room); t.taken[last.node] == (room{}) {
			delete(t.taken, last.node)
		}
	}
	if next.node != "" {
		t.taken[next.node] = t.taken[next.node].plus(next.room)
	}
	p.taken = next
	t.roomsChanged()
}

// roomsChanged notes that groups have other room than was announced.
func (t *Tracker) roomsChanged() { t.roomsDirty = true }

// measureRooms announces anew how many more pods of each group fit on nodes that are
// there or coming, where nodes may be added for what does not fit. Groups without a
// pod to place are not looked at.
func (t *Tracker) measureRooms() {
	if !t.roomsDirty {
		return
	}
	t.roomsDirty = false
	rooms := map[core.PoolID][]room{}
	for _, id := range slices.Sorted(maps.Keys(t.groups)) {
		g := t.groups[id]
		next := g.announced
		next.Room = nil
		if p := t.pools[g.announced.Pool]; p != nil && p.growth != nil && t.toPlace(g) {
			left, ok := rooms[g.announced.Pool]
			if !ok {
				left = t.roomsOf(p)
				rooms[g.announced.Pool] = left
			}
			next.Room = roomFor(left, g.announced.Size)
		}
		if !reflect.DeepEqual(g.announced.Room, next.Room) {
			g.announced = next
			t.emit(engine.Event{Group: &next})
		}
	}
}

// toPlace reports whether a pod of a group is on no node.
func (t *Tracker) toPlace(g *trackedGroup) bool {
	if len(g.held) > 0 {
		return true
	}
	for id := range g.pods {
		if t.pods[id].announced.Node == "" {
			return true
		}
	}
	return false
}

// roomsOf is what is left on the nodes of a pool that take a pod at all.
func (t *Tracker) roomsOf(p *trackedPool) []room {
	out := make([]room, 0, len(p.nodes))
	for id := range p.nodes {
		if left := t.roomOn(id); left.pods > 0 {
			out = append(out, left)
		}
	}
	return out
}

// roomFor is how many more pods of a size nodes take.
func roomFor(nodes []room, size engine.Size) *engine.Room {
	out := &engine.Room{}
	for _, left := range nodes {
		if fits := left.takes(size); fits > 0 {
			out.Pods += fits
			out.Nodes++
		}
	}
	return out
}

// roomOn is what is left on a node, there or to come, when the pods of its DaemonSets are
// there. A node that is not ready and not new takes nothing.
func (t *Tracker) roomOn(id core.NodeID) room {
	if n := t.nodes[id]; n != nil {
		if !joined(n.object) && n.arrival == nil {
			return room{}
		}
		left := roomOf(n.object.Status.Allocatable).less(t.taken[id])
		if n.arrival != nil {
			left = left.less(t.daemonsTake(n.arrival.sets, n.daemons))
		}
		return left
	}
	if c := t.claims[claimName(id)]; c != nil {
		return c.room.less(t.daemonsTake(c.sets, nil))
	}
	return room{}
}

// daemonsTake is what DaemonSets are still to take of a new node, on which those pods of
// theirs are: of a pod that nobody has made yet no group tells.
func (t *Tracker) daemonsTake(sets []Owner, there map[core.PodID]bool) (sum room) {
	come := map[Owner]bool{}
	for id := range there {
		if p := t.pods[id]; p != nil {
			come[p.owner] = true
		}
	}
	for _, set := range sets {
		if d := t.daemonSets[set.Namespace+"/"+set.Name]; d != nil && !come[set] {
			size := sizeOf(&corev1.Pod{Spec: d.Spec.Template.Spec})
			sum = sum.plus(room{size.MilliCPU, size.Memory, 1})
		}
	}
	return sum
}

// ClusterAutoscaler notes whether a cluster-autoscaler is there, which adds nodes to
// any pool as far as is known.
func (t *Tracker) ClusterAutoscaler(now time.Time, there bool) []engine.Event {
	t.at = now
	if t.autoscaler != there {
		t.autoscaler = there
		t.growAll()
	}
	return t.take()
}

// growAll looks again at which pools can grow.
func (t *Tracker) growAll() {
	for _, id := range slices.Sorted(maps.Keys(t.pools)) {
		if p := t.pools[id]; t.regrow(p) {
			t.announcePool(id, p)
		}
	}
}

// regrow looks again at what would be added to a pool, and reports whether that changed.
func (t *Tracker) regrow(p *trackedPool) bool {
	next := t.growthOf(p)
	if reflect.DeepEqual(p.growth, next) {
		return false
	}
	p.growth = next
	t.roomsChanged()
	return true
}

// growthOf says what an autoscaler would add to a pool for pods that find no room; nil:
// none would, as far as is known. To a pool without nodes somebody adds one before any of
// its pods pulls, whoever it is: an autoscaler whose objects are not seen yet, or a person.
func (t *Tracker) growthOf(p *trackedPool) *engine.Growth {
	fits := p.constraints.matcher()
	var templates []NodeTemplate
	for _, name := range slices.Sorted(maps.Keys(t.nodePools)) {
		if template := t.nodePools[name]; fits(template.ready()) {
			templates = append(templates, template)
		}
	}
	if t.autoscaler && len(templates) == 0 {
		for _, id := range slices.Sorted(maps.Keys(p.nodes)) {
			if n := t.nodes[id]; n != nil {
				template := TemplateOfNode(n.object)
				template.Name, template.Images = "", nil
				templates = append(templates, template)
				break
			}
		}
	}
	if len(templates) == 0 && len(p.nodes) > 0 {
		return nil
	}
	growth := &engine.Growth{}
	for _, template := range templates {
		if uses := t.bundleOf(template).uses; len(uses) > len(growth.Bundle) {
			growth.Bundle = uses // which of them it will be is not ours to know
		}
		if egress := nodeEgress(t.rules.budgets, template.ready()); egress != "" && !slices.Contains(growth.Egress, egress) {
			growth.Egress = append(growth.Egress, egress)
		}
	}
	if t.perNode() {
		growth.Egress = nil // each would be one that is not there yet
	}
	slices.Sort(growth.Egress)
	return growth
}
