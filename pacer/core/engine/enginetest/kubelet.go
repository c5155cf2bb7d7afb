package enginetest

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// What a kubelet and its runtime do when a pull is refused: the runtime sends a
// request five times in all at once, the kubelet tries again after 10 s, doubling
// to 300 s.
const (
	sendsOn429   = 5
	firstBackoff = 10 * time.Second
	lastBackoff  = 300 * time.Second
	retryUnbound = 15 * time.Second
)

// schedule binds a pod, or says that there is no node for it.
func (w *World) schedule(p *pod) {
	if p.gone || p.Node != "" {
		return
	}
	n := w.choose(p)
	if n == nil || w.now < p.stuckTill {
		if p.Phase != engine.PodUnschedulable {
			p.Phase = engine.PodUnschedulable
			w.see(p)
		}
		w.after(retryUnbound, func() { w.schedule(p) })
		return
	}
	n.pods++
	p.Phase, p.Node = engine.PodBound, n.ID
	w.see(p)
	w.need(p, 0)
}

// choose is the scheduler: preferred nodes first, then the one with the fewest
// pods of the group and the fewest pods, or the first that has room.
func (w *World) choose(p *pod) *node {
	count := map[core.NodeID]int{}
	for _, o := range w.pods {
		if o.group == p.group && o.Node != "" {
			count[o.Node]++
		}
	}
	var best *node
	for _, n := range w.nodes {
		if n.held || w.slots > 0 && n.pods >= w.slots {
			continue
		}
		if best == nil || w.better(p, n, best, count) {
			best = n
		}
	}
	return best
}

func (w *World) better(p *pod, a, b *node, count map[core.NodeID]int) bool {
	if pa, pb := slices.Contains(p.preferred, a.ID), slices.Contains(p.preferred, b.ID); pa != pb {
		return pa
	}
	if w.firstFit {
		return false
	}
	if count[a.ID] != count[b.ID] {
		return count[a.ID] < count[b.ID]
	}
	return a.pods < b.pods
}

// need pulls the i-th image of a pod, and so on until it needs no more.
func (w *World) need(p *pod, i int) {
	if p.gone {
		return
	}
	if i == len(p.group.Images) {
		p.Phase = engine.PodPulled
		w.see(p)
		w.unfinished--
		w.report.done = w.now
		return
	}
	n := w.node(p.Node)
	w.enqueue(n, func(done func()) { w.attempt(p, n, i, done) })
}

// enqueue runs pulls of a node one after the other.
func (w *World) enqueue(n *node, pull func(done func())) {
	n.queue = append(n.queue, pull)
	if !n.busy {
		w.dequeue(n)
	}
}

func (w *World) dequeue(n *node) {
	if len(n.queue) == 0 {
		n.busy = false
		return
	}
	next := n.queue[0]
	n.queue = n.queue[1:]
	n.busy = true
	next(func() { w.dequeue(n) })
}

// attempt is one try of the kubelet to have an image.
func (w *World) attempt(p *pod, n *node, i int, done func()) {
	name := p.group.Images[i].Image
	img := w.images[name]
	switch {
	case p.gone:
		done()
	case n.cache[name]:
		w.started(p, i, name)
		done()
	case w.broken(n, img) != nil:
		w.fail(p, n, i, *w.broken(n, img))
		done()
	case w.ask(p, n, img):
		w.after(img.pull, func() {
			n.cache[name] = true
			w.after(w.nodeStatus, func() { w.seeNode(n) })
			if !p.gone {
				w.started(p, i, name)
			}
			done()
		})
	default:
		w.fail(p, n, i, feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindPull})
		done()
	}
}

// started notes that a container of the image runs, and goes on.
func (w *World) started(p *pod, i int, name core.Image) {
	p.Started = append(p.Started, name)
	p.backoff, p.failed = 0, nil
	last := i == len(p.group.Images)-1
	if !last {
		w.see(p)
	}
	if i == 0 && !last {
		w.after(p.group.initFor, func() { w.need(p, i+1) })
		return
	}
	w.need(p, i+1)
}

// ask sends the manifest requests of a cold pull; what was granted stays.
func (w *World) ask(p *pod, n *node, img *image) bool {
	r := w.meters(n, img)
	if r == nil {
		return true // not metered
	}
	first := 0
	if n.half[img.name] {
		first = 1
	}
	for m := first; m < img.manifests; m++ {
		if !w.send(r) {
			n.half[img.name] = m > 0
			return false
		}
		if m == first {
			w.report.pulls = append(w.report.pulls, pullStart{w.now, p.group.Namespace})
		}
	}
	return true
}

// send is one request, repeated at once when it is refused.
func (w *World) send(r *registry) bool {
	for range sendsOn429 {
		if r.limiter.remaining(w.now) > 0 {
			r.limiter.charge(w.now)
			r.units++
			return true
		}
		w.report.throttled++
		if r.countsDenied {
			r.limiter.charge(w.now)
		}
	}
	return false
}

// meters is the registry that charges a pull of an image to a node.
func (w *World) meters(n *node, img *image) *registry {
	for _, id := range img.accounts {
		if r := w.registries[id]; r != nil && (r.account.Egress == "" || r.account.Egress == n.Egress) {
			return r
		}
	}
	return nil
}
