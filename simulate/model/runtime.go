package model

import (
	"time"

	"github.com/pullpace/pace/simulate/scenario"
)

// beginPull is the CRI's PullImage.
func (w *World) beginPull(id PodID, imageID int32) {
	i := w.newPull()
	p := &w.pulls[i]
	pd := &w.pods[id]
	n := int32(pd.node)
	pd.flags |= podBegan | podPulling
	*p = pull{pod: id, node: n, image: imageID, next: None, joined: None, mirror: w.mirrorOf(n, w.images[imageID].registry),
		sibling: w.nodes[n].pulls, started: -1, layers: p.layers[:0]}
	w.nodes[n].pulls = i
	w.series.inFlight++
	w.series.peak = max(w.series.peak, w.series.inFlight)
	w.record(recBegan, int32(id), int64(n))
	w.observe(Event{Kind: PullBegan, Pod: w.named(id), Node: pd.node, Image: ImageID(imageID)})
	w.approach(p)
	w.advance(i)
}

// approach sets a pull to its first request to the host that it asks.
func (w *World) approach(p *pull) {
	p.sends = 0
	if r := &w.registries[w.images[p.image].registry]; p.mirror == None && (r.requests || r.heads || r.outage != "") {
		p.stage = stageHead
	} else {
		p.stage = stageResolve
	}
}

// advance sends the request of a pull's stage, and the next ones as long as they
// take no time.
func (w *World) advance(i int32) {
	for {
		p := &w.pulls[i]
		if w.nodes[p.node].gone {
			p.failed = Unavailable
			w.finish(i)
			return
		}
		if wait := w.send(p); wait > 0 {
			p.timer = w.queue.Push(w.after(wait), duePull, int(i))
			return
		}
		if !w.step(i) {
			return
		}
	}
}

// answered goes on with a pull whose answer has come.
func (w *World) answered(i int32) {
	if w.step(i) {
		w.advance(i)
	}
}

// send sends the request of a pull's stage; the verdict is the registry's at once,
// and known to the pull when the answer has come.
func (w *World) send(p *pull) time.Duration {
	p.sends++
	registry := w.images[p.image].registry
	if p.mirror != None {
		return w.sendToMirror(p)
	}
	p.account = w.nodes[p.node].address
	wait := w.answerTime(registry, p.node)
	switch p.stage {
	case stageResolve:
		legs := 2
		if w.crio(p.node) {
			legs = 1
		}
		for range legs {
			wait += w.answerTime(registry, p.node)
		}
		p.verdict = accepted
		p.requests += 2
	case stageToken:
		p.verdict = accepted
		wait = w.registries[registry].rtt.draw(&w.nodes[p.node].rtt)
	default:
		var units int64
		p.requests++
		p.verdict, units = w.ask(registry, p.account, p.stage.request())
		w.tally(p.node, p.verdict, units)
		w.accept(p, units)
		if p.verdict == throttled && wait == 0 {
			w.repeat(p)
		}
	}
	return wait
}

// repeat counts the further sends of a request that was refused, which are refused
// at this very moment too, unless refusals change anything.
func (w *World) repeat(p *pull) {
	if r := &w.registries[w.images[p.image].registry]; r.countsDenied {
		return
	}
	more := w.pools[w.nodes[p.node].pool].sends - p.sends
	p.sends += more
	p.requests += int64(more)
	w.out.Throttled += int64(more)
	if c := w.clusterOf(p.node); c != nil {
		c.Throttled += int64(more)
	}
	w.series.throttled += int64(more)
	w.events += int64(more)
}

// accept notes what an accepted request means for a pull and its pod.
func (w *World) accept(p *pull, units int64) {
	if p.verdict != accepted || p.stage != stageFirst && p.stage != stageMore {
		return
	}
	if p.started < 0 {
		p.started = w.now
	}
	if p.stage == stageFirst {
		p.holds = true
	}
	if units > 0 {
		w.pods[p.pod].flags |= podCharged
	}
}

func (s stage) request() request {
	switch s {
	case stageFirst:
		return reqFirst
	case stageMore:
		return reqMore
	case stageConfig:
		return reqBlob
	}
	return reqHead
}

// step takes the answer that a pull waited for. It reports whether there is another
// request to send.
func (w *World) step(i int32) bool {
	p := &w.pulls[i]
	if p.mirror == None && p.stage != stageResolve && p.stage != stageToken && w.registries[w.images[p.image].registry].concurrent && p.verdict == accepted {
		w.release(w.images[p.image].registry, p.account, p.stage.request(), false)
	}
	switch {
	case p.verdict == accepted:
		p.sends = 0
		return w.proceed(i)
	case p.verdict == throttled && p.sends < w.pools[w.nodes[p.node].pool].sends:
		return true
	case p.mirror != None: // the next host of the list is the registry itself
		p.mirror = None
		w.approach(p)
		return true
	}
	p.failed = w.causeOf(p, p.verdict)
	w.finish(i)
	return false
}

// causeOf is why a request of a pull failed, as the runtime tells it.
func (w *World) causeOf(p *pull, v verdict) Cause {
	outage := w.registries[w.images[p.image].registry].outage
	switch {
	case v == throttled:
		return Throttled
	case v == unavailable && outage == scenario.OutageTimeout:
		return TimedOut
	case v == unavailable && outage == scenario.OutageReset:
		return WasReset
	case v == unavailable:
		return Unavailable
	}
	return NoCause
}

// proceed moves a pull past a request that was granted.
func (w *World) proceed(i int32) bool {
	p := &w.pulls[i]
	switch p.stage {
	case stageHead:
		p.stage = stageToken
		return true
	case stageToken:
		if w.crio(p.node) {
			return w.claim(i)
		}
		p.stage = stageHeadAgain
		return true
	case stageResolve, stageHeadAgain:
		return w.claim(i)
	case stageFirst:
		w.caches.put(p.node, cacheIndex, p.image)
		return w.manifests(i)
	case stageMore:
		w.caches.put(p.node, cacheManifest, p.image)
		return w.manifests(i)
	case stageConfig:
		w.openLayers(i)
	}
	return false
}

// claim has one pull per node and image get what is lacking; others wait for it.
func (w *World) claim(i int32) bool {
	p := &w.pulls[i]
	for other := w.nodes[p.node].pulls; other != None; other = w.pulls[other].sibling {
		if o := &w.pulls[other]; other != i && o.image == p.image && o.stage >= stageFirst && o.stage < stageJoined {
			p.stage = stageJoined
			p.next = o.joined
			o.joined = i
			return false
		}
	}
	if w.crio(p.node) {
		p.stage = stageFirst // to compare, even if the image is there
		return true
	}
	if w.caches.has(p.node, cacheWhole, p.image) {
		w.finish(i)
		return false
	}
	return w.manifests(i)
}

// manifests goes on to the first manifest that the content store lacks, then to the
// config. CRI-O has no such store.
func (w *World) manifests(i int32) bool {
	p := &w.pulls[i]
	crio := w.crio(p.node)
	switch {
	case w.caches.has(p.node, cacheWhole, p.image):
		w.finish(i)
		return false
	case !crio && !w.caches.has(p.node, cacheIndex, p.image):
		p.stage = stageFirst
	case w.images[p.image].manifests > 1 && p.stage != stageMore && (crio || !w.caches.has(p.node, cacheManifest, p.image)):
		p.stage = stageMore
	default:
		p.stage = stageConfig
	}
	return true
}

func (w *World) crio(n int32) bool { return w.pools[w.nodes[n].pool].crio }

// finish ends a pull, and what joined it: if it got its image they have it too,
// else the next of them tries.
func (w *World) finish(i int32) {
	p := &w.pulls[i]
	n, imageID, cause, id := p.node, p.image, p.failed, p.pod
	if p.holds {
		p.holds = false
		if p.mirror == None && w.registries[w.images[imageID].registry].concurrent {
			w.release(w.images[imageID].registry, p.account, reqFirst, true)
		}
	}
	if cause == NoCause && p.stage == stageLayers {
		w.landed(p)
	} else if _, known := w.begun[placeOf(p)]; p.started >= 0 && cause != NoCause && !known {
		w.begun[placeOf(p)] = p.started
	}
	joined := p.joined
	w.unqueue(i)
	w.freePull(i)
	if cause == NoCause {
		w.record(recFinished, int32(id), int64(n))
	}
	w.endPull(id, n, imageID, cause)
	w.rejoin(joined)
}

// landed notes that an image has come to a node.
func (w *World) landed(p *pull) {
	w.caches.put(p.node, cacheWhole, p.image)
	started := p.started
	if begun, ok := w.begun[placeOf(p)]; ok {
		started = begun
		delete(w.begun, placeOf(p))
	}
	w.out.Pulls++
	own := w.clusterOf(p.node)
	if own != nil {
		own.Pulls++
	}
	if started >= 0 {
		if first := time.Duration(started); w.out.FirstPullStart < 0 || first < w.out.FirstPullStart {
			w.out.FirstPullStart = first
		}
		w.out.LastPullStart = max(w.out.LastPullStart, time.Duration(started))
		if own != nil {
			own.LastPullStart = max(own.LastPullStart, time.Duration(started))
		}
	}
	if w.caches.put(p.node, cachePulled, p.image) && p.mirror == None {
		w.owe(p.account, p.image, p.requests)
	}
	w.wake(p.node, p.image)
}

// owe adds a pull to what the bound counts.
func (w *World) owe(address AddressID, imageID int32, requests int64) {
	image := &w.images[imageID]
	address = w.addresses[address].alias
	limiters := w.registries[image.registry].limiters
	for j := range limiters {
		l := &limiters[j]
		units := l.units[reqFirst] + int64(image.manifests-1)*l.units[reqMore]
		if l.units[reqBlob] > 0 {
			units = requests
		}
		if len(l.due) == 1 {
			l.due[0] += units
		} else {
			l.due[address] += units
		}
	}
}

// rejoin goes on with pulls that waited for another of their image, the oldest
// first.
func (w *World) rejoin(joined int32) {
	var first int32 = None
	for joined != None { // they are linked the latest first
		next := w.pulls[joined].next
		w.pulls[joined].next = first
		first, joined = joined, next
	}
	for first != None {
		next := w.pulls[first].next
		w.pulls[first].next = None
		if w.claim(first) {
			w.advance(first)
		}
		first = next
	}
}
