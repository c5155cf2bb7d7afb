package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// pool is the nodes that pods with the same constraints may use.
type pool struct {
	id      core.PoolID
	of      []string // names of node pools; nil is all
	members []model.PoolID
	nodes   []core.NodeID
	growth  *engine.Growth
	changed bool
}

// daemonKey names a DaemonSet's pod by its pull.
type daemonKey struct {
	node  model.NodeID
	image model.ImageID
}

// poolOf is the pool of some node pools.
func (h *host) poolOf(of []string) *pool {
	for _, p := range h.pools {
		if slices.Equal(p.of, of) {
			return p
		}
	}
	p := &pool{id: core.PoolID("nodes/" + strings.Join(of, ",")), of: of}
	for i := range h.spec.NodePools {
		if n := &h.spec.NodePools[i]; n.Cluster == h.cluster && (len(of) == 0 || slices.Contains(of, n.Name)) {
			p.members = append(p.members, model.PoolID(i))
		}
	}
	h.pools = append(h.pools, p)
	for id := range h.nodes { // those that were met already
		if n := h.world.Node(model.NodeID(id)); !n.Gone && slices.Contains(p.members, n.Pool) {
			p.nodes, p.changed = append(p.nodes, h.nodes[id]), true
		}
	}
	return p
}

// egressOf is the egress group of a node.
func (h *host) egressOf(id model.NodeID) string {
	return h.spec.NodePools[h.world.Node(id).Pool].Egress
}

// owns reports whether a node is of this cluster.
func (h *host) owns(n model.Node) bool { return h.spec.NodePools[n.Pool].Cluster == h.cluster }

// meetNode takes in a node.
func (h *host) meetNode(id model.NodeID) {
	for n := len(h.nodes); n <= int(id); n++ { // those of other clusters too: they count on
		var scratch [len(nodePrefix) + 20]byte
		h.nodes = append(h.nodes, core.NodeID(appendDigits(append(scratch[:0], nodePrefix...), n, nodeDigits)))
		h.noted = append(h.noted, false)
	}
	node := h.world.Node(id)
	if node.Gone || !h.owns(node) {
		return
	}
	of := h.spec.NodePools[node.Pool].Name
	for _, p := range h.pools {
		if len(p.of) == 0 || slices.Contains(p.of, of) {
			p.nodes = append(p.nodes, h.nodes[id])
			p.changed = true
		}
	}
}

// status is a node as its object shows it.
func (h *host) status(id model.NodeID) engine.Event {
	out := &engine.Node{}
	h.seeNode(id, out)
	return engine.Event{Node: out}
}

// seeNode describes a node as its object shows it.
func (h *host) seeNode(id model.NodeID, out *engine.Node) {
	n := h.world.Node(id)
	of := &h.spec.NodePools[n.Pool]
	*out = engine.Node{ID: h.nodes[id], Egress: of.Egress, AlwaysCosts: of.Runtime.Type == scenario.CRIO, Images: out.Images[:0]}
	if len(of.Zones) > 0 {
		out.Zone = of.Zones[int(n.Zone)%len(of.Zones)]
	}
	for image, name := range h.images {
		if name != "" && h.world.Holds(id, model.ImageID(image)) {
			out.Images = append(out.Images, name)
		}
	}
}

// join takes in a node that has come: pods of DaemonSets go to it at once.
func (h *host) join(id model.NodeID) {
	h.settleClaims(h.world.Node(id).Pool)
	h.news = append(h.news, h.status(id))
	if h.world.Node(id).Held {
		h.joinHeld(id)
		h.signal()
		return
	}
	for _, name := range h.spec.NodePools[h.world.Node(id).Pool].DaemonSets {
		for image := range h.spec.Images {
			if h.spec.Images[image].Name == name {
				h.daemonComes(daemonKey{id, model.ImageID(image)})
			}
		}
	}
	h.signal()
}

// leave takes in that a node is gone.
func (h *host) leave(id model.NodeID) {
	for _, p := range h.pools {
		if i := slices.Index(p.nodes, h.nodes[id]); i >= 0 {
			p.nodes = slices.Delete(slices.Clone(p.nodes), i, i+1)
			p.changed = true
		}
	}
	for image := range h.images {
		delete(h.daemons, daemonKey{id, model.ImageID(image)})
	}
	h.news = append(h.news, engine.Event{NodeGone: h.nodes[id]})
	if h.heldNodes[id] != nil {
		delete(h.heldNodes, id)
		h.news = append(h.news, engine.Event{PodGone: nodePod(h.nodes[id])})
	}
	h.signal()
}

// willReport notes that a node's list of images will change. Nodes that report are
// taken in ten seconds' worth at a time.
func (h *host) willReport(id model.NodeID) {
	if id == model.None || h.noted[id] {
		return
	}
	h.noted[id] = true
	due := (h.world.Now() + nodeStatus).Truncate(nodeStatus/3) + nodeStatus/3
	h.statuses = append(h.statuses, status{id, due})
	if len(h.statuses) == 1 {
		h.wakeBy(due)
	}
}

// reports are the nodes whose status is due.
func (h *host) reports(tell func(engine.Event)) {
	now, n := h.world.Now(), 0
	for n < len(h.statuses) && h.statuses[n].at <= now {
		id := h.statuses[n].node
		h.noted[id] = false
		if !h.world.Node(id).Gone {
			h.seeNode(id, &h.reported) // the engine keeps no part of it
			tell(engine.Event{Node: &h.reported})
		}
		n++
	}
	h.statuses = h.statuses[n:]
}

// daemonPulls takes in that a DaemonSet's pod on a node pulls: of those that a
// scenario rolls out the pull is the first sign.
func (h *host) daemonPulls(e model.Event) {
	if h.ofDaemon(e) {
		h.daemonComes(daemonKey{e.Node, e.Image})
	}
}

// ofDaemon reports whether an event is about a DaemonSet's pod.
func (h *host) ofDaemon(e model.Event) bool {
	return e.Pod == model.None || h.world.Pod(e.Pod).Daemon
}

// daemonComes tells the engine of a pod that nobody held and that will pull.
func (h *host) daemonComes(key daemonKey) {
	if h.daemons[key] || len(h.drawnBy(key.image)) == 0 || h.world.Holds(key.node, key.image) {
		return
	}
	h.daemons[key] = true
	h.news = append(h.news, h.daemonGroup(key.image), h.daemonPod(key, engine.PodBound))
	h.signal()
}

// daemonDone tells the engine that it needs no more pulls.
func (h *host) daemonDone(e model.Event) {
	key := daemonKey{e.Node, e.Image}
	if h.ofDaemon(e) && h.daemons[key] {
		delete(h.daemons, key)
		h.news = append(h.news, h.daemonPod(key, engine.PodPulled))
		h.signal()
	}
}

// daemonGroup is the group of the pods of a DaemonSet with one image.
func (h *host) daemonGroup(image model.ImageID) engine.Event {
	workload := "DaemonSet/kube-system/" + h.spec.Images[image].Name
	return engine.Event{Group: &engine.Group{ID: core.GroupID(workload), Namespace: "kube-system", Workload: workload,
		Class: core.ClassNodeCritical, Images: []engine.ImageUse{h.use(image, false)}, Pool: h.poolOf(nil).id}}
}

func (h *host) daemonPod(key daemonKey, phase engine.PodPhase) engine.Event {
	return engine.Event{Pod: &engine.Pod{ID: core.PodID(fmt.Sprintf("daemon-%06d-%d", key.node, key.image)),
		Group: core.GroupID("DaemonSet/kube-system/" + h.spec.Images[key.image].Name), Phase: phase, Created: at(h.world.Now()), Node: h.nodes[key.node]}}
}
