package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// scaler adds nodes to a pool for pods that find no room. Gated pods find none and
// ask for none: it does not see them.
type scaler struct {
	pool      PoolID
	karpenter bool
	idle, max time.Duration // of a batch
	scan      time.Duration
	limit     int32
	boot      kernel.Delay
	boots     kernel.Stream
	timer     kernel.Ticket
	opened    kernel.Time // the batch
	latest    kernel.Time // pod of it
}

func (w *World) newScaler(id PoolID, s *scenario.Autoscaler) scaler {
	return scaler{pool: id, karpenter: s.Type == scenario.Karpenter, idle: s.BatchIdle, max: s.BatchMax, scan: max(s.ScanInterval, time.Second),
		limit: int32(s.Max), boot: delay(s.Boot), boots: w.streams.Stream(uint64(id), "boot")}
}

// notice tells the autoscalers that a pod of a workload found no room. Karpenter
// waits until none came for a moment, but not long; the cluster autoscaler looks at
// its next scan.
func (w *World) notice(id WorkloadID) {
	for i := range w.scalers {
		s := &w.scalers[i]
		if !w.workloads[id].allows(s.pool) {
			continue
		}
		s.latest = w.now
		if s.timer != kernel.NoTicket {
			continue
		}
		s.opened = w.now
		at := w.after(s.idle)
		if !s.karpenter {
			scan := kernel.Time(s.scan)
			at = (w.now + scan - 1) / scan * scan
		}
		s.timer = w.queue.Push(at, dueBatch, i)
	}
}

// batchDue ends a batch, or waits on if a pod came meanwhile.
func (w *World) batchDue(i int32, ticket kernel.Ticket) {
	s := &w.scalers[i]
	if s.timer != ticket {
		return
	}
	s.timer = kernel.NoTicket
	if end := min(s.latest.Add(s.idle), s.opened.Add(s.max)); s.karpenter && end > w.now {
		s.timer = w.queue.Push(end, dueBatch, int(i))
		return
	}
	p := &w.pools[s.pool]
	need := w.shortage(s.pool)
	for need > 0 && p.size+p.booting < s.limit {
		p.booting++
		need -= p.room
		w.observe(Event{Kind: NodeComing, Pool: s.pool, Pod: None, Node: None})
		w.queue.Push(w.after(s.boot.Draw(&s.boots)), dueNode, int(s.pool))
	}
}

// shortage is how many pods wait for room that the pool could give and that is not
// under way in its cluster. A node that is held is: its taint is declared as one of
// those that go as a node starts.
func (w *World) shortage(pool PoolID) int32 {
	pods, room := int32(0), int32(0)
	s := &w.planes[w.pools[pool].cluster].scheduler
	for _, id := range s.hungry {
		if l := &w.workloads[id]; l.allows(pool) {
			pods += int32(s.boards[id].waiting.count)
		}
	}
	for i := range w.pools {
		if w.pools[i].cluster == w.pools[pool].cluster {
			room += (w.pools[i].booting + w.pools[i].held) * w.pools[i].room
		}
	}
	return pods - room
}
