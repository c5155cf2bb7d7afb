package model

import (
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// plane is the control plane of a cluster: its controllers, its scheduler, and what
// the pacer's client may write. Clusters have nothing in common but the network.
type plane struct {
	index     int
	creator   pace
	creating  ring // workloads that lack pods
	creation  kernel.Ticket
	scheduler scheduler
	releases  pace
	probes    kernel.Stream // how long answers to the pacer take
}

// newPlanes makes those of all clusters of a scenario; without any there is one.
func newPlanes(spec *scenario.Spec) []plane {
	planes := make([]plane, max(len(spec.Clusters), 1))
	for i := range planes {
		planes[i] = plane{
			index:    i,
			creator:  newPace(spec.Cluster.CreateQPS, spec.Cluster.CreateBurst),
			releases: newPace(releaseQPS, releaseBurst),
		}
		planes[i].scheduler.cluster = i
		planes[i].scheduler.bind = newPace(spec.Cluster.BindQPS, spec.Cluster.BindBurst)
	}
	return planes
}

// act lets controllers create or the scheduler bind what is due, and reports whether
// they did.
func (c *plane) act(w *World) bool {
	switch {
	case c.creating.count > 0 && c.creation == kernel.NoTicket:
		w.create(c)
	case c.scheduler.wants() && c.scheduler.timer == kernel.NoTicket:
		w.schedule(&c.scheduler)
	default:
		return false
	}
	return true
}

// planeOf is the control plane of a workload, schedulerOf its scheduler.
func (w *World) planeOf(id WorkloadID) *plane { return &w.planes[w.workloads[id].cluster] }

func (w *World) schedulerOf(id WorkloadID) *scheduler { return &w.planeOf(id).scheduler }

// clusterOf is what is counted for the cluster of a node; nil where there is but one.
func (w *World) clusterOf(n int32) *ClusterOutcome {
	if w.out.Clusters == nil {
		return nil
	}
	return &w.out.Clusters[w.pools[w.nodes[n].pool].cluster]
}

// tally counts a registry's answer for the cluster of the node that caused it.
func (w *World) tally(n int32, v verdict, units int64) {
	c := w.clusterOf(n)
	if c == nil {
		return
	}
	c.UnitsCharged += units
	if v == throttled {
		c.Throttled++
	}
}
