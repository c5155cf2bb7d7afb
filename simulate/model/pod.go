package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// pod is a pod, kept when it is gone. There may be millions, so it is as large as a
// line of the cache.
type pod struct {
	created kernel.Time
	failed  kernel.Time // when its last attempt to pull did
	timer   kernel.Ticket
	set     int32 // its ReplicaSet; None for the pool's own DaemonSets
	// ordinal is how many its workload had created before it; of the pool's own
	// DaemonSets the image.
	ordinal int32
	node    NodeID
	// before and after link the pods of a set, nodePrev and nodeNext those of a node.
	before, after      int32
	nodePrev, nodeNext int32
	// link is its place in the scheduler's list of preferences until it is bound, then
	// who is behind it in the kubelet's queue.
	link     int32
	failures uint16
	flags    podFlags
	phase    PodPhase
	step     uint8 // images that are done
	level    uint8 // failures in a row, of back-off
}

// podFlags say what a pod has met.
type podFlags uint16

const (
	podAlways       podFlags = 1 << iota // imagePullPolicy
	podDaemon                            // of a DaemonSet: in no figure
	podHeld                              // the gate held it for more than an instant
	podReleasing                         // its gate is about to come off
	podBegan                             // it began a pull
	podCharged                           // a pull of it was charged
	podPulling                           // it has a pull under way
	podQueued                            // it waits in the kubelet's queue
	podFailed                            // an attempt of it failed
	podFirstFailure                      // and that was the first
	podBacksOff                          // it waits for a look
	podWaits                             // it found no room
)

// named is what the pacer knows a pod by: the pods of DaemonSets it does not know.
func (w *World) named(id PodID) PodID {
	if w.pods[id].flags&podDaemon != 0 {
		return None
	}
	return id
}

// podKey names a pod in the streams of random numbers, by its workload or node: as
// pods of workloads are created in different orders under different policies.
func (w *World) podKey(id PodID) uint64 {
	p := &w.pods[id]
	if p.set == None {
		return 1<<63 | uint64(p.node)<<16 | uint64(p.ordinal)
	}
	return uint64(w.sets[p.set].workload)<<32 | uint64(p.ordinal)
}

// newPod makes a pod of a set.
func (w *World) newPod(s int32) PodID {
	id := PodID(len(w.pods))
	l := &w.workloads[w.sets[s].workload]
	w.pods = append(w.pods, pod{created: w.now, set: s, ordinal: l.made, node: None, before: None, after: None,
		nodePrev: None, nodeNext: None, link: None, phase: PodPending, flags: l.flags})
	l.made++
	w.open++
	w.sets[s].pending.add(w, id)
	return id
}

// put binds a pod to a node.
func (w *World) put(id PodID, n int32) {
	p := &w.pods[id]
	nd := &w.nodes[n]
	p.node = NodeID(n)
	p.phase = PodBinding
	p.nodeNext = nd.pods
	if nd.pods != None {
		w.pods[nd.pods].nodePrev = int32(id)
	}
	nd.pods = int32(id)
}

// startOn has the kubelet take a pod that was bound.
func (w *World) startOn(id PodID) {
	p := &w.pods[id]
	w.record(recBound, int32(id), int64(p.node))
	if p.flags&podDaemon == 0 {
		w.observe(Event{Kind: PodBound, Pod: id, Node: p.node})
	}
	if wait := w.drawFor(id, &w.pools[w.nodes[p.node].pool].sandbox, "sandbox"); wait > 0 {
		p.timer = w.queue.Push(w.after(wait), duePod, int(id))
		return
	}
	w.ensure(id)
}

// becomeReady makes a pod Ready.
func (w *World) becomeReady(id PodID) {
	p := &w.pods[id]
	p.phase = PodRunning
	w.open--
	w.record(recReady, int32(id), 0)
	if p.set != None {
		s := &w.sets[p.set]
		s.pending.remove(w, id)
		s.ready.add(w, id)
		w.touch(s.workload)
	}
	if p.flags&podDaemon != 0 {
		return
	}
	w.stopIdle(&w.nodes[p.node])
	if p.created >= 0 {
		w.out.ReadyAfter = append(w.out.ReadyAfter, w.now.Sub(p.created))
		w.out.ReadyAt = append(w.out.ReadyAt, time.Duration(w.now))
	}
	w.observe(Event{Kind: PodReady, Pod: id, Node: p.node})
}

// deletePod takes a pod away; its workload sees that it lacks one.
func (w *World) deletePod(id PodID) {
	p := &w.pods[id]
	phase := p.phase
	if phase == PodDeleted {
		return
	}
	p.phase = PodDeleted
	p.timer = kernel.NoTicket
	if phase != PodRunning {
		w.open--
	}
	if phase == PodGated {
		w.held--
	}
	if p.set != None {
		s := &w.sets[p.set]
		if phase == PodRunning {
			s.ready.remove(w, id)
		} else {
			s.pending.remove(w, id)
		}
		w.touch(s.workload)
	}
	if p.node != None {
		w.calm(p)
		w.takeOff(id)
	}
	w.record(recGone, int32(id), 1)
	if p.flags&podDaemon == 0 {
		w.observe(Event{Kind: PodGone, Pod: id, Node: p.node})
	}
}

// takeOff gives a pod's room on its node back.
func (w *World) takeOff(id PodID) {
	p := &w.pods[id]
	nd := &w.nodes[p.node]
	if p.nodePrev == None {
		nd.pods = p.nodeNext
	} else {
		w.pods[p.nodePrev].nodeNext = p.nodeNext
	}
	if p.nodeNext != None {
		w.pods[p.nodeNext].nodePrev = p.nodePrev
	}
	if p.flags&podDaemon == 0 {
		workload := w.sets[p.set].workload
		w.schedulerOf(workload).vacate(w, workload, int32(p.node))
	}
}

// pods is a list of pods, linked in the order in which they were added.
type podList struct {
	first, last int32
	count       int32
}

func (l *podList) add(w *World, id PodID) {
	p := &w.pods[id]
	p.before, p.after = l.last, None
	if l.last == None {
		l.first = int32(id)
	} else {
		w.pods[l.last].after = int32(id)
	}
	l.last = int32(id)
	l.count++
}

func (l *podList) remove(w *World, id PodID) {
	p := &w.pods[id]
	if p.before == None {
		l.first = p.after
	} else {
		w.pods[p.before].after = p.after
	}
	if p.after == None {
		l.last = p.before
	} else {
		w.pods[p.after].before = p.before
	}
	l.count--
}
