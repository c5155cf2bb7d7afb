package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// The methods in this file are for the Pacer, and for whoever looks at a World
// that stands still.

// What the controller's client may write to the API server per second, and at
// once.
const (
	releaseQPS   = 300
	releaseBurst = 500
)

// Spec is the scenario, which nobody changes.
func (w *World) Spec() *scenario.Spec { return w.spec }

// Seed is what a pacer that draws lots may seed them with: another for each
// replication, and for each cluster.
func (w *World) Seed(cluster int) uint64 {
	s := w.streams.Stream(uint64(cluster), "pacer")
	return s.Uint64()
}

// Now is the time since the start.
func (w *World) Now() time.Duration { return time.Duration(max(w.now, 0)) }

// Nodes is how many nodes there ever were; they keep their numbers.
func (w *World) Nodes() int { return len(w.nodes) }

// Node is one of them.
func (w *World) Node(id NodeID) Node {
	n := &w.nodes[id]
	return Node{Pool: n.pool, Zone: n.zone, Egress: w.pools[n.pool].egress, Address: n.address, Held: n.held, Gone: n.gone}
}

// Pool is the state of the node pool with that index in the scenario.
func (w *World) Pool(id PoolID) Pool {
	p := &w.pools[id]
	out := Pool{Nodes: int(p.size), Coming: int(p.booting), Held: int(p.held), Places: int(p.free), Open: int(p.open)}
	if p.scaler != None {
		out.More = int(max(w.scalers[p.scaler].limit-p.size-p.booting, 0))
	}
	return out
}

// Addresses is how many public addresses there are over all egresses.
func (w *World) Addresses() int { return len(w.addresses) }

// Holds reports whether an image is on a node, whole.
func (w *World) Holds(node NodeID, image ImageID) bool {
	return w.caches.has(int32(node), cacheWhole, int32(image))
}

// Pods is how many pods were ever created; they keep their numbers.
func (w *World) Pods() int { return len(w.pods) }

// Room is how many pods there will be at least.
func (w *World) Room() int { return cap(w.pods) }

// Pod is one of them. Of pods of the pools' own DaemonSets Workload is None.
func (w *World) Pod(id PodID) Pod {
	p := &w.pods[id]
	out := Pod{Workload: None, Node: p.node, Created: time.Duration(p.created), Phase: p.phase, Daemon: p.flags&podDaemon != 0}
	if p.set != None {
		s := &w.sets[p.set]
		out.Workload, out.Revision = s.workload, s.revision
	}
	return out
}

// Images are the images of the pods of a workload's revision, in the order in which
// they are pulled. The slice is the world's own.
func (w *World) Images(id WorkloadID, revision int32) []ImageID {
	images := w.sets[w.workloads[id].sets[revision]].images
	out := make([]ImageID, len(images))
	for i, image := range images {
		out[i] = ImageID(image)
	}
	return out
}

// Workload is the state of the workload with that index in the scenario.
func (w *World) Workload(id WorkloadID) Workload {
	l := &w.workloads[id]
	all, _ := w.existing(l)
	current := w.sets[l.current].total()
	return Workload{Revision: w.sets[l.current].revision, Back: w.sets[l.last].revision, Replicas: int(l.replicas),
		Current: int(current), More: int(max(l.replicas-current, 0)), Rolling: all > current}
}

// Release takes the gate off a pod, as one write of its cluster's controller's client to
// the API server, which lets so many through per second. The scheduler prefers the given
// nodes, all alike, over others that have room; the slice is kept. Pods that are not
// gated are ignored. It returns when the gate will be off.
func (w *World) Release(pod PodID, prefer []NodeID) time.Duration {
	p := &w.pods[pod]
	if p.phase != PodGated || p.flags&podReleasing != 0 || w.lost {
		return w.Now()
	}
	p.flags |= podReleasing
	c := w.planeOf(w.sets[p.set].workload)
	if len(prefer) > 0 {
		lists := &c.scheduler.prefer
		if last := len(*lists) - 1; last < 0 || &(*lists)[last][0] != &prefer[0] || len((*lists)[last]) != len(prefer) {
			*lists = append(*lists, prefer)
		}
		p.link = int32(len(*lists) - 1)
	}
	at := c.releases.next(max(w.now, 0))
	c.releases.take(max(w.now, 0))
	w.queue.PushInLine(c.index, at, dueRelease, int(pod))
	return time.Duration(at)
}

// LetGo has a held node take pods, as one write of its cluster's controller; the
// autoscaler counts on its room already. It returns when.
func (w *World) LetGo(node NodeID) time.Duration {
	n := &w.nodes[node]
	if !n.held || w.lost {
		return w.Now()
	}
	c := &w.planes[w.pools[n.pool].cluster]
	at := c.releases.next(max(w.now, 0))
	c.releases.take(max(w.now, 0))
	w.queue.PushInLine(c.index, at, dueLetGo, int(node))
	return time.Duration(at)
}

// SurgeOnly has a workload delete no Ready pod before another has taken its place,
// as admission makes of a paced Deployment: maxUnavailable 0 and maxSurge at least 1.
func (w *World) SurgeOnly(id WorkloadID) { w.workloads[id].surgeOnly = true }

// ungate takes the gate off a pod.
func (w *World) ungate(id PodID) {
	p := &w.pods[id]
	if p.phase != PodGated {
		return
	}
	p.phase = PodPending
	if p.created < w.now {
		p.flags |= podHeld
	}
	w.held--
	w.record(recReleased, int32(id), 0)
	w.schedulerOf(w.sets[p.set].workload).add(id)
}

// probe is a HEAD on its way.
type probe struct {
	Reading
	verdict verdict
}

// Probe has the pacer of a cluster send one HEAD for a manifest to a registry from an
// address; Answer brings what it learned. It is one request to the registry and no pull.
func (w *World) Probe(cluster int, registry RegistryID, address AddressID, ref int32) {
	now := max(w.now, 0)
	v, _ := w.ask(registry, address, reqHead)
	r := &w.registries[registry]
	wait := r.rtt.draw(&w.planes[cluster].probes)
	if r.slow != 1 {
		wait = nanoseconds(float64(wait) * r.slow)
	}
	p := probe{Reading: Reading{Registry: registry, Address: address, Ref: ref, SentAt: time.Duration(now)}, verdict: v}
	switch {
	case v == accepted:
		p.Status = 200
	case v == throttled:
		p.Status = 429
	case r.outage == scenario.Outage503:
		p.Status = 503
	case r.outage == scenario.OutageTimeout:
		wait = dialTimeout
	}
	if p.Status == 200 || p.Status == 429 {
		if h, known := w.says(registry, address); known {
			p.Known, p.Limit, p.Remaining, p.Window = true, h.Limit, h.Remaining, h.Window
		}
	}
	p.At = time.Duration(now.Add(wait))
	w.record(recProbe, int32(registry), p.Remaining)
	i := len(w.probes)
	if last := len(w.freeProbes) - 1; last >= 0 {
		i = int(w.freeProbes[last])
		w.freeProbes = w.freeProbes[:last]
		w.probes[i] = p
	} else {
		w.probes = append(w.probes, p)
	}
	w.queue.Push(now.Add(wait), dueProbe, i)
}

// probeDue brings the answer to a probe.
func (w *World) probeDue(i int) {
	p := w.probes[i]
	w.freeProbes = append(w.freeProbes, int32(i))
	if p.verdict == accepted {
		w.release(p.Registry, p.Address, reqHead, false)
	}
	if w.pacer != nil && !w.lost {
		w.pacer.Answer(p.Reading)
	}
}

// SetTimer has TimerFired observed at a time, at once if it has passed. There may
// be many; a timer is not taken back, so a pacer ignores the ones it no longer
// waits for. ref is at most kernel.MaxIndex.
func (w *World) SetTimer(at time.Duration, ref int32) {
	w.queue.Push(max(kernel.Time(at), w.now, 0), dueTimer, int(ref))
}
