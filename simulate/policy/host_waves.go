package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// bundle is what each new node of a pool pulls for itself, as a group of which such
// nodes are the pods.
type bundle struct {
	images []model.ImageID
	group  engine.Group
	known  bool // to the engine
}

// heldNode is a node that is held, or was and pulls its bundle.
type heldNode struct {
	since, released time.Duration
	went            bool
}

// bundleOf is what new nodes of a pool pull by now; nil: nothing that is paced.
func (h *host) bundleOf(id model.PoolID) *bundle {
	b := h.bundles[id]
	images := h.daemonImages(id)
	if b != nil && slices.Equal(b.images, images) {
		return b
	}
	paced := slices.ContainsFunc(images, func(image model.ImageID) bool { return len(h.drawnBy(image)) > 0 })
	if b == nil {
		if !paced {
			return nil
		}
		b = &bundle{}
		h.bundles[id] = b
	}
	b.images, b.known = images, false
	b.group = engine.Group{ID: h.bundleName(id), Workload: string(h.bundleName(id)), Class: core.ClassNodeCritical,
		Pinned: true, Pool: h.poolOf(nil).id, Waves: h.policy.EngineNodeWaves(), PauseOn: h.policy.EnginePauseOn()}
	for _, image := range images {
		b.group.Images = append(b.group.Images, h.use(image, false))
	}
	return b
}

// bundleName names the group of a pool's new nodes.
func (h *host) bundleName(id model.PoolID) core.GroupID {
	return core.GroupID("NodePool/" + h.spec.NodePools[id].Name)
}

// isBundle reports whether a group is of new nodes.
func (h *host) isBundle(id core.GroupID) bool {
	for _, b := range h.bundles {
		if b.group.ID == id {
			return true
		}
	}
	return false
}

// daemonImages are the images of the pods that each node of a pool runs.
func (h *host) daemonImages(id model.PoolID) []model.ImageID {
	of := &h.spec.NodePools[id]
	var out []model.ImageID
	for _, name := range of.DaemonSets {
		out = append(out, model.ImageID(slices.IndexFunc(h.spec.Images, func(i scenario.Image) bool { return i.Name == name })))
	}
	for i := range h.spec.Workloads {
		w := &h.spec.Workloads[i]
		if w.Kind != scenario.DaemonSet || w.Cluster != h.cluster || len(w.NodePools) > 0 && !slices.Contains(w.NodePools, of.Name) {
			continue
		}
		out = append(out, h.world.Images(model.WorkloadID(i), h.world.Workload(model.WorkloadID(i)).Revision)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// GateNode is the choice whether a node that joins is held.
func (h *host) GateNode(id model.NodeID) bool {
	n := h.world.Node(id)
	if h.down || !h.owns(n) {
		return false
	}
	if h.nodeHold <= 0 || h.bundleOf(n.Pool) == nil {
		return false
	}
	if !h.poolStanding(n.Pool).MayHold() {
		h.nodesPassed++
		return false
	}
	h.heldNodes[id] = &heldNode{since: h.world.Now()}
	return true
}

// poolStanding is how a pool stands as a node joins it.
func (h *host) poolStanding(id model.PoolID) plan.Standing {
	p := h.world.Pool(id)
	s := plan.Standing{Pool: p.Nodes, Held: p.Held, Others: -1} // without itself
	for i := range h.spec.NodePools {
		if h.spec.NodePools[i].Cluster == h.cluster {
			of := h.world.Pool(model.PoolID(i))
			s.Others += of.Nodes - of.Held
		}
	}
	return s
}

// tellBundle tells the engine of the group of a pool's new nodes, if it does not know it.
func (h *host) tellBundle(b *bundle) {
	if !b.known {
		b.known = true
		g := b.group
		h.news = append(h.news, engine.Event{Group: &g})
	}
}

// heldPod is a node that is held, as the pod that it is for the engine.
func (h *host) heldPod(id model.NodeID) engine.Event {
	n := h.heldNodes[id]
	p := &engine.Pod{ID: nodePod(h.nodes[id]), Group: h.bundleName(h.world.Node(id).Pool), Phase: engine.PodGated, Created: at(n.since), HoldUntil: at(n.since + h.nodeHold), Node: h.nodes[id]}
	if n.went {
		p.Phase, p.ReleasedAt = engine.PodBound, at(n.released)
		for _, image := range h.daemonImages(h.world.Node(id).Pool) {
			if h.world.Holds(id, image) {
				p.Started = append(p.Started, h.images[image])
			}
		}
	}
	return engine.Event{Pod: p}
}

// nodePod is what a node is called as a pod.
func nodePod(node core.NodeID) core.PodID { return core.PodID("node/" + node) }

// joinHeld tells the engine of a node that is held.
func (h *host) joinHeld(id model.NodeID) {
	h.tellBundle(h.bundleOf(h.world.Node(id).Pool))
	h.news = append(h.news, h.heldPod(id))
}

// letGo carries out that a node goes.
func (h *host) letGo(now time.Duration, r engine.Release, decision string) {
	for _, pod := range r.Pods {
		id := model.NodeID(index(string(pod), "node/"+nodePrefix))
		n := h.heldNodes[id]
		if n == nil {
			continue
		}
		n.went, n.released = true, now
		h.engine.Observe(at(now), engine.Event{Released: &engine.Booking{Pod: pod, Decision: decision}})
		h.writing = max(h.writing, h.world.LetGo(id))
		h.news = append(h.news, h.heldPod(id))
	}
}

// nodePulled takes in that an image is on a node that was held.
func (h *host) nodePulled(id model.NodeID) {
	n := h.heldNodes[id]
	if n == nil || !n.went {
		return
	}
	ev := h.heldPod(id)
	if !slices.ContainsFunc(h.daemonImages(h.world.Node(id).Pool), func(image model.ImageID) bool { return !h.world.Holds(id, image) }) {
		ev.Pod.Phase = engine.PodPulled
		delete(h.heldNodes, id)
	}
	h.news = append(h.news, ev)
	h.signal()
}

// claim takes in that an autoscaler asks for a node: what it will pull for itself is
// expected of it.
func (h *host) claim(id model.PoolID) {
	h.claimed++
	c := h.claimed
	name := claimName(c)
	h.news = append(h.news, engine.Event{Node: &engine.Node{ID: name, Egress: h.spec.NodePools[id].Egress, Coming: true}})
	h.inPools(id, func(p *pool) { p.nodes = append(p.nodes, name) })
	h.claims[id] = append(h.claims[id], c)
	if b := h.bundleOf(id); b != nil {
		h.tellBundle(b)
		h.news = append(h.news, engine.Event{Pod: &engine.Pod{ID: nodePod(name), Group: b.group.ID, Phase: engine.PodBound, Created: at(h.world.Now()), Node: name}})
	}
	h.signal()
}

const claimPrefix = "claim-"

func claimName(number int) core.NodeID {
	return core.NodeID(fmt.Sprintf("%s%06d", claimPrefix, number))
}

// settleClaims takes those back in whose place nodes came.
func (h *host) settleClaims(id model.PoolID) {
	for coming := h.world.Pool(id).Coming; len(h.claims[id]) > coming; h.claims[id] = h.claims[id][1:] {
		name := claimName(h.claims[id][0])
		h.inPools(id, func(p *pool) {
			p.nodes = slices.DeleteFunc(slices.Clone(p.nodes), func(n core.NodeID) bool { return n == name })
		})
		h.news = append(h.news, engine.Event{NodeGone: name}, engine.Event{PodGone: nodePod(name)})
	}
}

// inPools changes the pools that the nodes of a node pool are in.
func (h *host) inPools(id model.PoolID, change func(*pool)) {
	for _, p := range h.pools {
		if slices.Contains(p.members, id) {
			change(p)
			p.changed = true
		}
	}
}

// everyNode adds the nodes that are held, pull or are asked for, in order: what holds
// them is on their objects, and outlives the controller.
func (h *host) everyNode(add func(engine.Event)) {
	for i := range h.spec.NodePools {
		id := model.PoolID(i)
		b := h.bundleOf(id)
		if b == nil || h.spec.NodePools[i].Cluster != h.cluster {
			continue
		}
		b.known = true
		g := b.group
		add(engine.Event{Group: &g})
		for _, c := range h.claims[id] {
			add(engine.Event{Pod: &engine.Pod{ID: nodePod(claimName(c)), Group: g.ID, Phase: engine.PodBound, Created: at(h.world.Now()), Node: claimName(c)}})
		}
	}
	for n := range h.nodes {
		if id := model.NodeID(n); h.heldNodes[id] != nil {
			add(h.heldPod(id))
		}
	}
}

// claimAgain finds the nodes that are asked for as another controller begins.
func (h *host) claimAgain() {
	clear(h.claims)
	for _, p := range h.pools {
		p.nodes = slices.DeleteFunc(slices.Clone(p.nodes), func(n core.NodeID) bool { return n[0] == claimPrefix[0] })
	}
	for i := range h.spec.NodePools {
		if h.spec.NodePools[i].Cluster == h.cluster {
			for range h.world.Pool(model.PoolID(i)).Coming {
				h.claim(model.PoolID(i))
			}
		}
	}
}
