package model

import (
	"github.com/pullpace/pace/simulate/kernel"
)

// scheduler binds pods to nodes in the order in which they come, at the pace of
// its client. Pods that find no room wait by workload, for one that finds none
// says all of its like find none.
type scheduler struct {
	cluster int
	queue   ring
	boards  []board // by workload
	hungry  []WorkloadID
	waiting int // pods that found no room
	gained  bool
	bind    pace
	timer   kernel.Ticket
	prefer  [][]NodeID
}

func (s *scheduler) wants() bool { return s.queue.count > 0 || s.gained && s.waiting > 0 }

// add queues a pod without gate.
func (s *scheduler) add(id PodID) { s.queue.push(int32(id)) }

// schedule binds as many pods as the client may now.
func (w *World) schedule(s *scheduler) {
	for {
		id, ok := s.pick(w)
		if !ok {
			return
		}
		if at := s.bind.next(w.now); at > w.now {
			s.timer = w.queue.Push(at, dueSchedule, s.cluster)
			return
		}
		p := &w.pods[id]
		workload := w.sets[p.set].workload
		n := s.place(w, workload, p.link)
		if n == None {
			s.park(w, id, workload)
			continue
		}
		s.unpick(w, id, workload)
		s.bind.take(w.now)
		s.boards[workload].occupy(w, n)
		w.makeRoom(&w.nodes[n], -1)
		w.put(id, n)
		w.startOn(id)
	}
}

// pick is the pod to bind next, which stays in its queue: new pods first, then the
// oldest of those that found no room, if some was gained.
func (s *scheduler) pick(w *World) (PodID, bool) {
	for s.queue.count > 0 {
		id := PodID(s.queue.front())
		if w.pods[id].phase == PodPending {
			return id, true
		}
		s.queue.pop()
	}
	if !s.gained {
		return None, false
	}
	best := PodID(None)
	for i := 0; i < len(s.hungry); i++ {
		b := &s.boards[s.hungry[i]]
		for b.waiting.count > 0 && w.pods[b.waiting.front()].phase != PodPending {
			b.waiting.pop()
			s.waiting--
		}
		if b.waiting.count == 0 {
			b.hungry = false
			s.hungry = append(s.hungry[:i], s.hungry[i+1:]...)
			i--
			continue
		}
		if id := PodID(b.waiting.front()); !b.full && (best == None || id < best) {
			best = id
		}
	}
	s.gained = best != None
	return best, best != None
}

// unpick takes a pod that pick named out of its queue.
func (s *scheduler) unpick(w *World, id PodID, workload WorkloadID) {
	if s.queue.count > 0 && s.queue.front() == int32(id) {
		s.queue.pop()
		return
	}
	s.boards[workload].waiting.pop()
	s.waiting--
}

// park lets a pod wait for room.
func (s *scheduler) park(w *World, id PodID, workload WorkloadID) {
	b := &s.boards[workload]
	b.full = true
	if s.queue.count == 0 || s.queue.front() != int32(id) {
		return // it waits already
	}
	s.queue.pop()
	b.waiting.push(int32(id))
	s.waiting++
	if !b.hungry {
		b.hungry = true
		s.hungry = append(s.hungry, workload)
	}
	w.observe(Event{Kind: PodUnschedulable, Pod: id, Node: None})
	w.notice(workload)
}

// place finds the node for a pod of a workload by the rule: the highest preferred
// weight, then fewest pods of the workload in the zone, then on the node, then the
// lowest index.
func (s *scheduler) place(w *World, workload WorkloadID, prefer int32) int32 {
	b := &s.boards[workload]
	if !b.built {
		b.build(w, workload)
	}
	if prefer != None {
		if n := b.bestOf(w, workload, s.prefer[prefer]); n != None {
			return n
		}
	}
	if b.full {
		return None
	}
	return b.best(w)
}

// offer tells that a node has room that it had not.
func (s *scheduler) offer(w *World, n int32) {
	for id := range s.boards {
		b := &s.boards[id]
		if b.built && w.workloads[id].allows(w.nodes[n].pool) {
			b.push(w, n)
		}
		b.full = b.full && !w.workloads[id].allows(w.nodes[n].pool)
	}
	s.gained = true
}

// vacate takes a pod of a workload off a node.
func (s *scheduler) vacate(w *World, workload WorkloadID, n int32) {
	nd := &w.nodes[n]
	s.boards[workload].leave(w, n)
	if nd.gone {
		return
	}
	w.makeRoom(nd, 1)
	if nd.room == 1 {
		s.offer(w, n)
	} else {
		s.boards[workload].push(w, n)
	}
}
