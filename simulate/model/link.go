package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// link is bandwidth that downloads share, with the cards of the nodes that use it.
// A download crosses one shared link: what a node moves by two of them at once its
// card bounds for each by itself.
type link struct {
	index int32
	fluid *kernel.Link
	// member is a node's number on the link; None until it first uses it.
	member []int32
	timer  kernel.Ticket
	set    kernel.Time // what the timer is set to
	bytes  int64       // asked for, for the balance
}

func (w *World) addLink(bps float64) int32 {
	w.links = append(w.links, link{index: int32(len(w.links)), fluid: kernel.NewLink(bps)})
	return int32(len(w.links) - 1)
}

// newLinks makes the links that bound anything.
func (w *World) newLinks() {
	for i := range w.egresses {
		if e := &w.egresses[i]; e.bps > 0 {
			e.link = w.addLink(e.bps)
		}
	}
	for i := range w.registries {
		if r := &w.registries[i]; r.bps > 0 {
			r.link = w.addLink(r.bps)
		}
	}
	for i := range w.mirrors {
		if m := &w.mirrors[i]; m.bps > 0 {
			m.link = w.addLink(m.bps)
		}
	}
	w.cards = w.addLink(0)
}

// linkOf is the link that bounds downloads from a registry by an egress: the
// narrower of the two.
func (w *World) linkOf(r RegistryID, e EgressID) int32 {
	edge, out := &w.registries[r], &w.egresses[w.egresses[e].alias]
	if edge.link != None && (out.link == None || edge.bps < out.bps) {
		return edge.link
	}
	return out.link
}

// askMirror decides on a node's request for a layer of a mirror, and by which link
// it will come. Of single flight only the first asks the registry, and the others
// are passed on what comes.
func (w *World) askMirror(l *load, p *pull) time.Duration {
	m := &w.mirrors[p.mirror]
	layer := &m.layers[w.images[p.image].layers[l.layer]]
	registry := w.images[p.image].registry
	l.reply, l.source = accepted, m.link
	if w.now >= layer.have || m.single && layer.busy == kernel.Never {
		return 0
	}
	address := w.egresses[m.egress].address(p.mirror)
	var units int64
	l.reply, units = w.ask(registry, address, reqBlob)
	w.tally(p.node, l.reply, units)
	wait := w.registries[registry].rtt.draw(&m.draws)
	if w.registries[registry].outage == scenario.OutageTimeout {
		wait = dialTimeout
	}
	if l.reply != accepted {
		return wait
	}
	w.letGo(registry, address, reqBlob)
	layer.busy = kernel.Never
	l.mirror = layer
	if up := w.linkOf(registry, m.egress); up != None {
		l.source = up
	}
	return wait
}

// start begins a flow to a node and keeps the link's one timer right.
func (k *link) start(w *World, n int32, nic float64, bytes int64, ref int32) {
	for int(n) >= len(k.member) {
		k.member = append(k.member, None)
	}
	if k.member[n] == None {
		k.member[n] = int32(k.fluid.AddNode(nic))
	}
	k.bytes += bytes
	k.fluid.Start(w.now, int(k.member[n]), bytes, int(ref))
	w.arm(k)
}

// arm sets the timer of a link to its next end of a flow.
func (w *World) arm(k *link) {
	next := k.fluid.Next()
	switch {
	case next == kernel.Never:
		k.timer = kernel.NoTicket
	case k.timer == kernel.NoTicket || next != k.set:
		k.set = next
		k.timer = w.queue.Push(max(next, w.now), dueLink, int(k.index))
	}
}

// linkDue ends the flows of a link that are over.
func (w *World) linkDue(i int32, ticket kernel.Ticket) {
	k := &w.links[i]
	if k.timer != ticket {
		return
	}
	k.timer = kernel.NoTicket
	for k.fluid.Next() <= w.now {
		ref, ok := k.fluid.Finish(w.now)
		if !ok {
			break
		}
		w.loaded(int32(ref))
	}
	w.arm(k)
}
