package model

import "time"

// The methods in this file are for the Pacer, and for whoever looks at a World
// that stands still.

// Now is the time since the start.
func (w *World) Now() time.Duration { return time.Duration(w.now) }

// Nodes is how many nodes there are; they are numbered from zero and stay.
func (w *World) Nodes() int { return len(w.nodes) }

// Node is one of them.
func (w *World) Node(id NodeID) Node {
	n := &w.nodes[id]
	pool := &w.pools[n.pool]
	return Node{Pool: n.pool, Zone: n.zone, Egress: pool.egress, Address: n.address}
}

// Addresses is how many public addresses there are over all egresses.
func (w *World) Addresses() int { return int(w.addresses) }

// Holds reports whether an image is on a node, whole.
func (w *World) Holds(node NodeID, image ImageID) bool { return w.nodes[node].images.has(int(image)) }

// Pods is how many pods were ever created; they keep their numbers.
func (w *World) Pods() int { return len(w.pods) }

// Pod is one of them.
func (w *World) Pod(id PodID) Pod {
	p := &w.pods[id]
	return Pod{Workload: p.workload, Revision: p.revision, Image: p.image, Node: p.node, Created: time.Duration(p.created), Phase: p.phase}
}

// Workload is the state of the workload with that index in the scenario.
func (w *World) Workload(id WorkloadID) Workload {
	l := &w.workloads[id]
	return Workload{Revision: l.revision, Image: l.image, Back: l.back, Replicas: int(l.replicas),
		Current: int(l.current), More: int(max(l.replicas-l.current, 0)), Rolling: l.existing > l.current}
}

// Release takes the gate off a pod, as one write of the controller's client to the
// API server, which lets so many through per second. The scheduler prefers the given nodes, all alike, over
// others that have room; the slice is kept. Pods that are not gated are ignored.
func (w *World) Release(pod PodID, prefer []NodeID) {
	panic("to come")
}

// Probe sends one HEAD for a manifest to a registry from an address; Answer brings
// what it learned. It is one request to the registry and no pull.
func (w *World) Probe(registry RegistryID, address AddressID, ref int32) {
	panic("to come")
}

// SetTimer has TimerFired observed at a time, at once if it has passed. There may
// be many; a timer is not taken back, so a pacer ignores the ones it no longer
// waits for.
func (w *World) SetTimer(at time.Duration, ref int32) {
	panic("to come")
}
