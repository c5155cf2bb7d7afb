// Package memory says when garbage is collected while simulations run. It is the only
// part of the simulator that touches the process; nothing in a run depends on it.
package memory

import (
	"math"
	"runtime/debug"

	"github.com/pullpace/pace/simulate/scenario"
)

// What a paced run keeps for each pod, one that a rollout replaces and node, measured
// with a million pods on 100 k nodes.
const (
	perPod      = 250
	perReplaced = 100
	perNode     = 600
)

// seldom is by how many percent the heap grows between collections; bound is where
// they come more often, for as long as that leaves half as much again as runs keep.
const (
	seldom = 1600
	bound  = 400 << 20
)

// Settle has garbage collected seldom for runs of a scenario, so many at a time, until
// back is called: a run lasts a second, and collecting each time that its few MB have
// doubled is a fifth of that. What GOGC and GOMEMLIMIT say goes before.
func Settle(spec *scenario.Spec, atATime int) (back func()) {
	percent := debug.SetGCPercent(seldom)
	if percent != 100 {
		debug.SetGCPercent(percent)
		return func() {}
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		debug.SetMemoryLimit(max(bound, Kept(spec)*int64(max(atATime, 1))*3/2))
	}
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// Kept is about how many bytes a paced run of a scenario keeps at its end.
func Kept(spec *scenario.Spec) int64 {
	pods, replaced, nodes := map[string]int64{}, int64(0), int64(0)
	for i := range spec.Workloads {
		pods[spec.Workloads[i].Name] = int64(spec.Workloads[i].Replicas)
	}
	for i := range spec.Timeline {
		switch e := &spec.Timeline[i]; {
		case e.Scale != nil:
			pods[e.Scale.Workload] = max(pods[e.Scale.Workload], int64(e.Scale.Replicas))
		case e.SetImage != nil:
			replaced += pods[e.SetImage.Workload]
		case e.Rollback != nil:
			replaced += pods[e.Rollback.Workload]
		case e.AddNodes != nil:
			nodes += int64(e.AddNodes.Count)
		}
	}
	for i := range spec.NodePools {
		nodes += int64(spec.NodePools[i].Nodes)
	}
	total := perReplaced*replaced + perNode*nodes
	for _, n := range pods {
		total += perPod * n
	}
	return total
}
