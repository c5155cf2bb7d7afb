package model

import (
	"math"
	"time"
)

// load is the download of one layer by a pull: it holds a slot of its node from its
// request until its last byte.
type load struct {
	pull   int32
	layer  int32 // place in the image's list
	next   int32 // that is free
	sends  uint8
	reply  verdict
	source int32 // link by which it comes; None: it takes no time
	mirror *part // what a mirror has of it once it is through; nil for others
}

// openLayers finds out which layers a pull lacks and queues it for slots.
func (w *World) openLayers(i int32) {
	p := &w.pulls[i]
	p.stage = stageLayers
	alone := w.nodes[p.node].pulls == i && p.sibling == None
	lacks := false
	for _, layer := range w.images[p.image].layers {
		state := layerWanted
		switch {
		case w.caches.has(p.node, cacheLayers, layer):
			state = layerThere
		case !alone:
			state = w.elsewhere(p.node, layer)
		}
		lacks = lacks || state == layerWanted
		p.layers = append(p.layers, state)
	}
	p.asked = 0
	if !lacks {
		w.unpackNext(i)
		return
	}
	w.queueForSlots(i)
	w.fill(p.node) // may end the pull
}

// elsewhere is how far a layer is for a pull, going by the other pulls of its node:
// their bytes are in one content store, but each unpacks for itself.
func (w *World) elsewhere(n, layer int32) layerState {
	for i := w.nodes[n].pulls; i != None; i = w.pulls[i].sibling {
		p := &w.pulls[i]
		for j, state := range p.layers {
			if w.images[p.image].layers[j] != layer {
				continue
			}
			switch state {
			case layerLoaded:
				return layerLoaded
			case layerWanted, layerLoading:
				return layerElsewhere
			}
		}
	}
	return layerWanted
}

func (w *World) queueForSlots(i int32) {
	p := &w.pulls[i]
	nd := &w.nodes[p.node]
	if p.waits {
		return
	}
	p.waits = true
	p.next = None
	if nd.last == None {
		nd.waiting = i
	} else {
		w.pulls[nd.last].next = i
	}
	nd.last = i
}

// fill gives the free slots of a node to the layers that wait, the pull that came
// first first.
func (w *World) fill(n int32) {
	if w.nodes[n].filling { // further up the stack
		return
	}
	w.nodes[n].filling = true
	for {
		nd := &w.nodes[n]
		slots := w.pools[nd.pool].slots
		if nd.waiting == None || slots > 0 && nd.slots >= slots {
			break
		}
		i := nd.waiting
		p := &w.pulls[i]
		if p.failed == NoCause {
			for int(p.asked) < len(p.layers) && p.layers[p.asked] != layerWanted {
				p.asked++
			}
		}
		if p.failed != NoCause || int(p.asked) == len(p.layers) {
			p.waits = false
			if nd.waiting = p.next; nd.waiting == None {
				nd.last = None
			}
			p.next = None
			continue
		}
		nd.slots++
		p.loading++
		p.layers[p.asked] = layerLoading
		w.sendLoad(w.newLoad(i, p.asked))
	}
	w.nodes[n].filling = false
}

// sendLoad asks for a layer.
func (w *World) sendLoad(i int32) {
	for {
		l := &w.loads[i]
		p := &w.pulls[l.pull]
		registry := w.images[p.image].registry
		l.sends++
		l.mirror = nil
		wait := w.answerTime(registry, p.node)
		switch {
		case p.mirror == None:
			p.account = w.nodes[p.node].address
			p.requests++
			var units int64
			l.reply, units = w.ask(registry, p.account, reqBlob)
			w.tally(p.node, l.reply, units)
			l.source = w.linkOf(registry, w.pools[w.nodes[p.node].pool].egress)
		case w.mirrors[p.mirror].lost:
			l.reply, wait = unavailable, 0
		default:
			wait = w.mirrors[p.mirror].rtt.draw(&w.nodes[p.node].rtt)
			wait += w.askMirror(l, p)
		}
		if wait > 0 {
			w.queue.Push(w.after(wait), dueLayer, int(i))
			return
		}
		if !w.replied(i) {
			return
		}
	}
}

// loadAnswered goes on with a layer whose answer has come.
func (w *World) loadAnswered(i int32) {
	if w.replied(i) {
		w.sendLoad(i)
	}
}

// replied takes the answer to the request for a layer and reports whether it has to
// be sent again.
func (w *World) replied(i int32) bool {
	l := &w.loads[i]
	p := &w.pulls[l.pull]
	registry := w.images[p.image].registry
	if p.mirror == None && l.reply == accepted && w.registries[registry].concurrent {
		w.release(registry, p.account, reqBlob, false)
	}
	switch {
	case l.reply == accepted:
		w.startFlow(i)
		return false
	case l.reply == throttled && l.sends < w.pools[w.nodes[p.node].pool].sends && p.failed == NoCause:
		return true
	case p.mirror != None && p.failed == NoCause:
		p.mirror = None
		l.sends = 0
		return true
	}
	if p.failed == NoCause {
		p.failed = w.causeOf(p, l.reply)
	}
	w.endLoad(i, layerWanted)
	return false
}

// startFlow begins the transfer of a layer.
func (w *World) startFlow(i int32) {
	l := &w.loads[i]
	p := &w.pulls[l.pull]
	bytes := w.layers[w.images[p.image].layers[l.layer]]
	nic := w.pools[w.nodes[p.node].pool].nic
	if l.source == None && nic > 0 {
		l.source = w.cards
	}
	if l.source == None || bytes == 0 {
		w.loaded(i)
		return
	}
	if slow := w.registries[w.images[p.image].registry].slow; slow != 1 && p.mirror == None {
		bytes = int64(math.Round(min(float64(bytes)*slow, math.MaxInt64/4)))
	}
	w.links[l.source].start(w, p.node, nic, bytes, i)
}

// loaded takes the last byte of a layer.
func (w *World) loaded(i int32) {
	if l := &w.loads[i]; l.mirror != nil {
		l.mirror.have = min(l.mirror.have, w.now+1)
	}
	w.endLoad(i, layerLoaded)
}

// endLoad gives the slot back and goes on with the pull.
func (w *World) endLoad(i int32, state layerState) {
	l := &w.loads[i]
	at, layer := l.pull, l.layer
	p := &w.pulls[at]
	n := p.node
	l.next = w.freeLoads
	w.freeLoads = i
	w.nodes[n].slots--
	p.loading--
	p.layers[layer] = state
	switch {
	case p.failed != NoCause:
		w.giveUp(at)
	case w.nodes[n].pulls == at && p.sibling == None:
		w.unpackNext(at)
	default:
		w.spread(n, w.images[p.image].layers[layer])
	}
	w.fill(n)
}

// spread gives a layer that has come to a node to all of its pulls.
func (w *World) spread(n, layer int32) {
	for i := w.nodes[n].pulls; i != None; i = w.pulls[i].sibling {
		p := &w.pulls[i]
		for j, state := range p.layers {
			if state == layerElsewhere && w.images[p.image].layers[j] == layer {
				p.layers[j] = layerLoaded
			}
		}
	}
	w.share(n)
}

// giveUp ends a pull of which a layer failed, once nothing of it is under way. What
// came stays in the content store.
func (w *World) giveUp(i int32) {
	p := &w.pulls[i]
	if p.loading > 0 || p.unpacking {
		return
	}
	n := p.node
	for j, state := range p.layers {
		if state == layerLoaded {
			w.caches.put(n, cacheLayers, w.images[p.image].layers[j])
		}
	}
	w.finish(i)
	w.inherit(n)
}

// unqueue takes a pull out of its node's queue for slots.
func (w *World) unqueue(i int32) {
	p := &w.pulls[i]
	if !p.waits {
		return
	}
	nd := &w.nodes[p.node]
	before := int32(None)
	for j := nd.waiting; j != i; j = w.pulls[j].next {
		before = j
	}
	if before == None {
		nd.waiting = p.next
	} else {
		w.pulls[before].next = p.next
	}
	if nd.last == i {
		nd.last = before
	}
	p.waits = false
	p.next = None
}

// inherit has pulls of a node get themselves what they left to one that failed.
func (w *World) inherit(n int32) {
	for i := w.nodes[n].pulls; i != None; i = w.pulls[i].sibling {
		p := &w.pulls[i]
		if p.stage != stageLayers || p.failed != NoCause {
			continue
		}
		for j, state := range p.layers {
			layer := w.images[p.image].layers[j]
			switch {
			case state != layerElsewhere:
			case w.caches.has(n, cacheLayers, layer):
				p.layers[j] = layerThere
			case w.elsewhere(n, layer) == layerWanted:
				p.layers[j] = layerWanted
				p.asked = 0
				w.queueForSlots(i)
			}
		}
	}
	w.fill(n)
	w.share(n)
}

// unpackNext unpacks the layers of a pull one after the other, as far as they are
// there, and ends it after the last.
func (w *World) unpackNext(i int32) {
	p := &w.pulls[i]
	layers := w.images[p.image].layers
	if p.unpacking || p.failed != NoCause {
		return
	}
	rate := w.pools[w.nodes[p.node].pool].unpack
	for int(p.unpacked) < len(layers) {
		layer := layers[p.unpacked]
		switch p.layers[p.unpacked] {
		case layerThere:
		case layerLoaded:
			if rate > 0 && w.layers[layer] > 0 {
				p.unpacking = true
				w.queue.Push(w.after(nanoseconds(float64(w.layers[layer])/rate*1e9)), dueUnpack, int(i))
				return
			}
			w.caches.put(p.node, cacheLayers, layer)
		default:
			return
		}
		p.unpacked++
	}
	w.finish(i)
}

// nanoseconds is a time that was computed, within what a clock shows.
func nanoseconds(x float64) time.Duration { return time.Duration(math.Round(min(x, math.MaxInt64/4))) }

// unpacked notes that a pull has unpacked a layer.
func (w *World) unpacked(i int32) {
	p := &w.pulls[i]
	p.unpacking = false
	w.caches.put(p.node, cacheLayers, w.images[p.image].layers[p.unpacked])
	p.layers[p.unpacked] = layerThere
	p.unpacked++
	if p.failed != NoCause {
		w.giveUp(i)
	} else {
		w.unpackNext(i)
	}
}

// share goes on with pulls of a node whose next layer is there by now.
func (w *World) share(n int32) {
	for i := w.nodes[n].pulls; i != None; {
		p := &w.pulls[i]
		next := p.sibling
		if p.stage == stageLayers && p.failed == NoCause && !p.unpacking && int(p.unpacked) < len(p.layers) &&
			(p.layers[p.unpacked] == layerLoaded || p.layers[p.unpacked] == layerThere) {
			w.unpackNext(i)
			next = w.nodes[n].pulls // the list may have changed
		}
		i = next
	}
}

func (w *World) newLoad(pull, layer int32) int32 {
	i := w.freeLoads
	if i == None {
		w.loads = append(w.loads, load{})
		i = int32(len(w.loads) - 1)
	} else {
		w.freeLoads = w.loads[i].next
	}
	w.loads[i] = load{pull: pull, layer: layer, next: None, source: None}
	return i
}
