package model

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/scenario"
)

// TestPlacementIsTheRule places and deletes pods at random and compares every
// choice with the rule as it is written: among nodes with room the preferred ones,
// then fewest pods of the workload in the zone, then on the node, then the lowest
// index.
func TestPlacementIsTheRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pools := rapid.IntRange(1, 3).Draw(t, "pools")
		w := newWorld(spec(func(s *scenario.Spec) {
			template := s.NodePools[0]
			s.NodePools = nil
			for i := range pools {
				p := template
				p.Name = string(rune('p' + i))
				p.Nodes = rapid.IntRange(0, 6).Draw(t, "nodes")
				p.PodsPerNode = rapid.IntRange(1, 3).Draw(t, "room")
				p.Zones = []string{"a", "b", "c"}[rapid.IntRange(0, 2).Draw(t, "first zone"):]
				s.NodePools = append(s.NodePools, p)
			}
			s.Workloads = append(s.Workloads, s.Workloads[0], s.Workloads[0])
			s.Workloads[0].Replicas, s.Workloads[1].Replicas, s.Workloads[2].Replicas = 0, 0, 0
			s.Workloads[1].Name, s.Workloads[2].Name = "api", "db"
			s.Workloads[2].NodePools = []string{"p"}
		}), 0, nil)
		w.begin()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.join(PoolID(rapid.IntRange(0, pools-1).Draw(t, "pool")))
			case 1, 2, 3:
				if len(w.pods) > 0 {
					w.deletePod(PodID(rapid.IntRange(0, len(w.pods)-1).Draw(t, "pod")))
				}
			case 4:
				if len(w.nodes) > 0 {
					if n := int32(rapid.IntRange(0, len(w.nodes)-1).Draw(t, "node")); !w.nodes[n].gone {
						w.leave(n)
					}
				}
			default:
				id := WorkloadID(rapid.IntRange(0, 2).Draw(t, "workload"))
				prefer := int32(None)
				if rapid.IntRange(0, 2).Draw(t, "prefers") == 0 && len(w.nodes) > 0 {
					list := rapid.SliceOfN(rapid.IntRange(0, len(w.nodes)-1), 1, 4).Draw(t, "preferred")
					var nodes []NodeID
					for _, n := range list {
						nodes = append(nodes, NodeID(n))
					}
					w.planes[0].scheduler.prefer = append(w.planes[0].scheduler.prefer, nodes)
					prefer = int32(len(w.planes[0].scheduler.prefer) - 1)
				}
				got, want := w.planes[0].scheduler.place(w, id, prefer), byTheRule(w, id, prefer)
				if got != want {
					t.Fatalf("a pod of workload %d goes to node %d, the rule says %d", id, got, want)
				}
				if got == None {
					w.planes[0].scheduler.boards[id].full = true
					continue
				}
				pod := w.newPod(w.workloads[id].current)
				w.planes[0].scheduler.boards[id].occupy(w, got)
				w.nodes[got].room--
				w.put(pod, got)
			}
		}
	})
}

// byTheRule looks at all nodes and pods.
func byTheRule(w *World, id WorkloadID, prefer int32) int32 {
	onNode, inZone := map[int32]int{}, map[int32]int{}
	for i := range w.pods {
		p := &w.pods[i]
		if p.phase != PodDeleted && w.sets[p.set].workload == id {
			onNode[int32(p.node)]++
			inZone[w.nodes[p.node].zone]++
		}
	}
	preferred := map[int32]bool{}
	if prefer != None {
		for _, n := range w.planes[0].scheduler.prefer[prefer] {
			preferred[int32(n)] = true
		}
	}
	best := int32(None)
	for n := range int32(len(w.nodes)) {
		nd := &w.nodes[n]
		if nd.gone || nd.room <= 0 || !w.workloads[id].allows(nd.pool) {
			continue
		}
		if best == None {
			best = n
			continue
		}
		zone, bestZone := inZone[nd.zone], inZone[w.nodes[best].zone]
		switch {
		case preferred[n] != preferred[best]:
			if preferred[n] {
				best = n
			}
		case zone != bestZone:
			if zone < bestZone {
				best = n
			}
		case onNode[n] < onNode[best]:
			best = n
		}
	}
	return best
}
