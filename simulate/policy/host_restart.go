package policy

import (
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
)

// lose ends the controller. What it wrote into the status of PullBudgets stays; it
// writes that before every release.
func (h *host) lose() {
	h.down = true
	h.saved = h.engine.Export()
	h.engine = nil
}

// recover starts another one: it takes back what was written, and the world as it
// stands.
func (h *host) recover() {
	h.down = false
	h.dirty, h.changed, h.news, h.failures = nil, nil, nil, nil
	h.signalled, h.finishing, h.due = false, false, never
	clear(h.started)
	for _, a := range h.accounts {
		a.asked, a.twice, a.answers = false, false, nil
	}
	clear(h.shaped)
	h.unshaped = nil
	for n := len(h.nodes); n < h.world.Nodes(); n++ {
		h.meetNode(model.NodeID(n))
	}
	h.claimAgain()
	h.news = nil // what is asked for is part of the world that the engine is given
	h.meetAgain()
	h.claimStepsAgain()
	now := at(h.world.Now())
	h.engine = h.make(h.world.Seed(int(h.seat)))
	h.engine.Restore(now, h.saved)
	h.engine.Replace(now, engine.World{Events: h.everything()})
	h.signal()
}

// meetAgain counts all pods anew.
func (h *host) meetAgain() {
	for _, held := range h.namespaces {
		*held = 0
	}
	for _, w := range h.workloads {
		if w == nil {
			continue
		}
		w.observe(h.world.Workload(w.id))
		h.readImages(w)
		w.serving = nil
		w.groups = nil
	}
	h.groups = nil
	before := h.pods
	h.pods = nil
	for id := range model.PodID(h.world.Pods()) {
		was := podState{}
		if int(id) < len(before) {
			was = before[id]
		}
		if h.meetPod(id) == nil {
			continue
		}
		p := &h.pods[id]
		p.released, p.flags = was.released, p.flags|was.flags&(podWent|podNoRoom)
		if h.world.Pod(id).Phase == model.PodGated {
			h.hold(id)
		}
	}
}

// everything is the world as a list of events.
func (h *host) everything() []engine.Event {
	out := make([]engine.Event, 0, len(h.accounts)+len(h.nodes)+len(h.pools)+len(h.groups)+len(h.pods))
	add := func(ev engine.Event) { out = append(out, ev) }
	for _, a := range h.accounts {
		add(engine.Event{Account: &a.Account})
	}
	nodes := make([]engine.Node, len(h.nodes))
	for n := range nodes {
		if node := h.world.Node(model.NodeID(n)); !node.Gone && h.owns(node) {
			h.seeNode(model.NodeID(n), &nodes[n])
			add(engine.Event{Node: &nodes[n]})
		}
	}
	for i := range h.spec.NodePools {
		for _, c := range h.claims[model.PoolID(i)] {
			add(engine.Event{Node: &engine.Node{ID: claimName(c), Egress: h.spec.NodePools[i].Egress, Coming: true}})
		}
	}
	h.tellPools(func(engine.Event) {})
	for _, p := range h.pools {
		add(engine.Event{Pool: &engine.Pool{ID: p.id, Nodes: p.nodes, Growth: p.growth}})
	}
	for _, g := range h.groups {
		if g.pods > 0 {
			g.known = true
			g.announced.More, g.announced.Back = h.stateNow(g)
			g.announced.Room = h.room(g.workload.pool)
			next := g.announced
			add(engine.Event{Group: &next})
		}
	}
	for id := range h.pods {
		if p := &h.pods[id]; p.group != model.None && h.world.Pod(model.PodID(id)).Phase != model.PodDeleted {
			p.flags |= podKnown
			seen := &engine.Pod{}
			h.see(model.PodID(id), seen)
			add(engine.Event{Pod: seen})
		}
	}
	h.everyStep(add)
	h.everyDaemon(add)
	h.everyNode(add)
	return append(out, h.standing()...)
}

func (h *host) stateNow(g *group) (int, []engine.ImageUse) {
	return h.state(g, h.world.Workload(g.workload.id))
}

// everyDaemon adds the pods of DaemonSets that pull, in order.
func (h *host) everyDaemon(add func(engine.Event)) {
	named := map[core.GroupID]bool{}
	for n := range h.nodes {
		for image := range h.images {
			key := daemonKey{model.NodeID(n), model.ImageID(image)}
			if !h.daemons[key] {
				continue
			}
			if g := h.daemonGroup(key.image); !named[g.Group.ID] {
				named[g.Group.ID] = true
				add(g)
			}
			add(h.daemonPod(key, engine.PodBound))
		}
	}
}
