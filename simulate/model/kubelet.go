package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// The kubelet's image manager, as in Kubernetes 1.37: a back-off per pod and image
// of 10 s that doubles up to 300 s and is forgotten after twice that; a pod that
// failed is looked at again after 10 to 15 s, at the next tick of a second; the
// pull QPS is asked when a pull leaves the queue. It does not know that two pods
// want the same image: the runtime does.
const (
	backoffFirst = 10 * time.Second
	backoffMax   = 300 * time.Second
	backoffTTL   = 2 * backoffMax

	lookLeast = kernel.Time(10 * time.Second)
	lookWidth = kernel.Time(5 * time.Second)
	tick      = kernel.Time(time.Second)
)

// ensure brings the images of a bound pod to its node, as far as they can be had
// now; the rest goes on in events.
func (w *World) ensure(id PodID) {
	p := &w.pods[id]
	for {
		image, ok := w.wanted(p)
		if !ok {
			w.pulled(id)
			return
		}
		if p.flags&podAlways == 0 && w.caches.has(int32(p.node), cacheWhole, image) {
			w.arrived(id, image)
			continue
		}
		if w.backsOff(p) {
			w.lookLater(id)
			return
		}
		w.request(id)
		return
	}
}

// wanted is the image that a pod needs next.
func (w *World) wanted(p *pod) (int32, bool) {
	if p.set == None {
		return p.ordinal, p.step == 0
	}
	images := w.sets[p.set].images
	if int(p.step) >= len(images) {
		return None, false
	}
	return images[p.step], true
}

// arrived moves a pod on to its next image.
func (w *World) arrived(id PodID, image int32) {
	p := &w.pods[id]
	p.step++
	p.level = 0
	w.observe(Event{Kind: PullFinished, Pod: w.named(id), Node: p.node, Image: ImageID(image)})
}

// backsOff is client-go's Backoff.IsInBackOffSinceUpdate.
func (w *World) backsOff(p *pod) bool {
	if p.level == 0 {
		return false
	}
	since := w.now.Sub(p.failed)
	return since <= backoffTTL && since < backoff(p.level)
}

// backoff is how long the level-th failure in a row keeps a pod back.
func backoff(level uint8) time.Duration {
	if level > 5 {
		return backoffMax
	}
	return min(backoffFirst<<(level-1), backoffMax)
}

// fail notes that an attempt to pull has failed, and when the pod tries again. A
// failure takes a moment, so that a look at the very end of its back-off is early.
func (w *World) fail(id PodID, cause Cause, image int32) {
	p := &w.pods[id]
	at := w.now + 1
	if p.level > 0 && at.Sub(p.failed) > backoffTTL {
		p.level = 0
	}
	first := p.flags&podFailed == 0
	p.level = min(p.level+1, 6)
	p.failed = at
	p.flags |= podFailed
	p.failures++
	if first {
		p.flags |= podFirstFailure
	} else {
		p.flags &^= podFirstFailure
	}
	w.nodes[p.node].failing++
	p.flags |= podBacksOff
	w.record(recFailed, int32(id), int64(cause))
	w.observe(Event{Kind: PullFailed, Cause: cause, Pod: w.named(id), Node: p.node, Image: ImageID(image)})
	w.lookLater(id)
}

// lookLater sets the timer of a pod to the first look that finds its back-off over.
// Looks in between do nothing unless its image has come, which wake sees to.
func (w *World) lookLater(id PodID) {
	w.lookFrom(id, w.pods[id].failed.Add(backoff(w.pods[id].level)))
}

// lookFrom sets the timer of a pod that failed to its first look at a time or
// later.
func (w *World) lookFrom(id PodID, least kernel.Time) {
	p := &w.pods[id]
	phase := w.nodes[p.node].tick
	at := p.failed
	if p.flags&podFirstFailure != 0 { // the news of its sandbox brings one look more
		at = onTick(at+tick, phase)
	}
	dice := w.dice(rollLook, w.podKey(id))
	n := uint64(p.failures) << 8
	// a look comes 10 to 15 s after the one before, on a tick
	at = onTick(at+lookLeast+kernel.Time(dice.roll(n)>>23*uint64(lookWidth)>>30), phase)
	for n++; at < least; n++ {
		seconds := (dice.roll(n)*uint64(lookWidth/tick) + 1<<53 - 1) >> 53
		at += lookLeast + kernel.Time(seconds)*tick
	}
	p.timer = w.queue.Push(at, duePod, int(id))
}

// onTick is the first tick of a second at or after a time.
func onTick(at, phase kernel.Time) kernel.Time {
	into := (at - phase) % tick
	if into < 0 {
		into += tick
	}
	if into == 0 {
		return at
	}
	return at - into + tick
}

// wake brings pods of a node that back off forward to their next look, because an
// image has come to it.
func (w *World) wake(n int32, image int32) {
	if w.nodes[n].failing == 0 {
		return
	}
	for id := w.nodes[n].pods; id != None; id = w.pods[id].nodeNext {
		p := &w.pods[id]
		if p.flags&podBacksOff == 0 || p.flags&podAlways != 0 {
			continue
		}
		if wanted, ok := w.wanted(p); ok && wanted == image {
			w.lookFrom(PodID(id), w.now)
		}
	}
}

// calm notes that a pod no longer backs off.
func (w *World) calm(p *pod) {
	if p.flags&podBacksOff != 0 {
		p.flags &^= podBacksOff
		w.nodes[p.node].failing--
	}
}

// request puts a pod into its kubelet's queue of pulls.
func (w *World) request(id PodID) {
	n := int32(w.pods[id].node)
	nd := &w.nodes[n]
	w.pods[id].flags |= podQueued
	w.pods[id].link = None
	if nd.tail == None {
		nd.head = int32(id)
	} else {
		w.pods[nd.tail].link = int32(id)
	}
	nd.tail = int32(id)
	w.serveQueue(n)
}

// serveQueue begins as many pulls of a kubelet's queue as it may.
func (w *World) serveQueue(n int32) {
	nd := &w.nodes[n]
	if nd.busy { // further up the stack
		return
	}
	nd.busy = true
	for {
		nd = &w.nodes[n]
		pool := &w.pools[nd.pool]
		if nd.head == None || pool.serial && nd.pulling > 0 || !pool.serial && pool.parallel > 0 && nd.pulling >= pool.parallel {
			break
		}
		id := PodID(nd.head)
		p := &w.pods[id]
		if nd.head = p.link; nd.head == None {
			nd.tail = None
		}
		p.flags &^= podQueued
		if p.phase == PodDeleted {
			continue
		}
		image, _ := w.wanted(p)
		if !nd.qps.try(w.now) {
			w.out.QPSExceeded++
			w.out.PullCalls++
			w.fail(id, QPSExceeded, image)
			continue
		}
		nd.pulling++
		w.out.PullCalls++
		w.beginPull(id, image)
	}
	w.nodes[n].busy = false
}

// endPull takes the end of a pod's pull: what the runtime says is what the kubelet
// learns.
func (w *World) endPull(id PodID, n, image int32, cause Cause) {
	w.nodes[n].pulling--
	p := &w.pods[id]
	switch {
	case p.phase == PodDeleted:
	case cause == NoCause:
		p.flags &^= podPulling
		w.arrived(id, image)
		w.ensure(id)
	default:
		p.flags &^= podPulling
		if cause == Throttled {
			w.out.ThrottledAttempts++
		}
		w.fail(id, cause, image)
	}
	w.serveQueue(n)
}

// pulled starts the containers of a pod that needs no more images.
func (w *World) pulled(id PodID) {
	p := &w.pods[id]
	p.phase = PodPulled
	if p.flags&(podHeld|podBegan) == podHeld {
		w.out.HeldNeverCharged++
	}
	if p.flags&podDaemon == 0 {
		w.observe(Event{Kind: PullsDone, Pod: id, Node: p.node})
	}
	wait := w.drawFor(id, &w.pools[w.nodes[p.node].pool].start, "start")
	if p.set != None {
		wait += w.drawFor(id, &w.workloads[w.sets[p.set].workload].startup, "startup")
	}
	if wait > 0 {
		p.timer = w.queue.Push(w.after(wait), duePod, int(id))
		return
	}
	w.becomeReady(id)
}

// drawFor draws a pod's own time of a distribution.
func (w *World) drawFor(id PodID, t *times, purpose string) time.Duration {
	if t.constant {
		return t.value
	}
	s := w.streams.Stream(w.podKey(id), purpose)
	return t.delay.Draw(&s)
}

// podDue handles the timer of a pod by how far it is.
func (w *World) podDue(id PodID) {
	p := &w.pods[id]
	switch p.phase {
	case PodBinding:
		w.calm(p)
		w.ensure(id)
	case PodPulled:
		w.becomeReady(id)
	}
}
