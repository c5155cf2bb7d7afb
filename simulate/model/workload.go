package model

import (
	"slices"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// workload owns pods by its sets, one for each list of images that it had.
type workload struct {
	kind      scenario.WorkloadKind
	flags     podFlags
	startup   times
	pools     []bool // nil is all
	cluster   int32
	surge     scenario.Portion
	missing   scenario.Portion // maxUnavailable
	surgeOnly bool
	sets      []int32
	current   int32 // set that is wanted
	last      int32 // set that a rollback returns to
	replicas  int32
	made      int32 // pods so far
	dirty     bool
	queued    bool    // among those that lack pods
	canary    *canary // of Argo; nil for all others
}

// set is a ReplicaSet.
type set struct {
	workload       WorkloadID
	revision       int32
	images         []int32
	pending, ready podList // the latter are Ready
	// want is how many pods a Rollout wants of it, until when it is kept whole.
	want  int32
	until kernel.Time
}

func (s *set) total() int32 { return s.pending.count + s.ready.count }

func (l *workload) allows(p PoolID) bool { return l.pools == nil || l.pools[p] }

// touch has a workload's controller look at it again.
func (w *World) touch(id WorkloadID) {
	if l := &w.workloads[id]; !l.dirty {
		l.dirty = true
		w.dirty = append(w.dirty, id)
	}
}

// addSet gives a workload a set for a list of images, the one that it had for it if
// there is one.
func (w *World) addSet(id WorkloadID, images []int32) int32 {
	l := &w.workloads[id]
	for _, s := range l.sets {
		if slices.Equal(w.sets[s].images, images) {
			return s
		}
	}
	s := int32(len(w.sets))
	empty := podList{first: None, last: None}
	w.sets = append(w.sets, set{workload: id, revision: int32(len(l.sets)), images: images, pending: empty, ready: empty})
	l.sets = append(l.sets, s)
	return s
}

// existing is how many pods a workload has.
func (w *World) existing(l *workload) (all, ready int32) {
	for _, s := range l.sets {
		all += w.sets[s].total()
		ready += w.sets[s].ready.count
	}
	return all, ready
}

// bounds are how many pods a rollout may have in all and must have Ready.
func (l *workload) bounds() (most, least int32) {
	surge, missing := int32(l.surge.OfUp(int(l.replicas))), int32(l.missing.Of(int(l.replicas)))
	if l.surgeOnly {
		return l.replicas + max(surge, 1), l.replicas
	}
	if surge == 0 && missing == 0 {
		missing = 1
	}
	return l.replicas + surge, l.replicas - missing
}

// lack is how many pods a workload may create now.
func (w *World) lack(l *workload) int32 {
	if l.kind == scenario.DaemonSet {
		return 0
	}
	if l.canary != nil {
		_, lack := w.lacking(l)
		return lack
	}
	lack := l.replicas - w.sets[l.current].total()
	if lack <= 0 {
		return 0
	}
	all, _ := w.existing(l)
	most, _ := l.bounds()
	return min(lack, most-all)
}

// sync is a turn of the controllers of a workload: they delete at once and create as
// their client may.
func (w *World) sync(id WorkloadID) {
	l := &w.workloads[id]
	if l.kind == scenario.DaemonSet {
		w.syncDaemonSet(l)
		return
	}
	if l.canary != nil {
		w.syncRollout(id)
		return
	}
	if over := w.sets[l.current].total() - l.replicas; over > 0 {
		w.trim(l.current, over, true)
	}
	w.retire(l)
	if !l.queued && w.lack(l) > 0 {
		l.queued = true
		w.planeOf(id).creating.push(int32(id))
	}
}

// retire deletes pods of older sets, as the Deployment controller does: those that
// are not Ready as far as the rest makes up for them, then Ready ones above the
// least number.
func (w *World) retire(l *workload) {
	all, _ := w.existing(l)
	current := &w.sets[l.current]
	if all == current.total() {
		return
	}
	_, least := l.bounds()
	down := all - least - (current.total() - current.ready.count)
	for _, s := range l.sets {
		if s != l.current && down > 0 {
			down -= w.trim(s, min(down, w.sets[s].pending.count), false)
		}
	}
	_, ready := w.existing(l)
	down = ready - least
	for _, s := range l.sets {
		if s != l.current && down > 0 {
			down -= w.trim(s, down, true)
		}
	}
}

// trim deletes pods of a set, those that are not Ready first, then the youngest, and
// returns how many.
func (w *World) trim(s, n int32, readyToo bool) int32 {
	deleted := int32(0)
	for ; deleted < n; deleted++ {
		victim := w.sets[s].pending.last
		if victim == None && readyToo {
			victim = w.sets[s].ready.last
		}
		if victim == None {
			break
		}
		w.deletePod(PodID(victim))
	}
	return deleted
}

// syncDaemonSet replaces the pods of older sets one by one: at most one of its pods
// is not Ready.
func (w *World) syncDaemonSet(l *workload) {
	for _, s := range l.sets {
		old := &w.sets[s]
		if old.pending.count > 0 && s == l.current {
			return
		}
	}
	for _, s := range l.sets {
		if s == l.current {
			continue
		}
		victim := w.sets[s].pending.first
		if victim == None {
			victim = w.sets[s].ready.first
		}
		if victim != None {
			n := int32(w.pods[victim].node)
			id := w.sets[s].workload
			w.deletePod(PodID(victim))
			if !w.nodes[n].gone {
				w.daemonWorkloadPod(id, n)
			}
			return
		}
	}
}

// create creates pods of a cluster's workloads that lack some, as far as the client may.
func (w *World) create(c *plane) {
	for c.creating.count > 0 {
		id := WorkloadID(c.creating.front())
		l := &w.workloads[id]
		if w.lack(l) <= 0 {
			c.creating.pop()
			l.queued = false
			continue
		}
		if at := c.creator.next(w.now); at > w.now {
			c.creation = w.queue.Push(at, dueCreate, c.index)
			return
		}
		c.creator.take(w.now)
		s := l.current
		if l.canary != nil {
			s, _ = w.lacking(l)
			w.touch(id) // a step may be done with it
		}
		w.createPod(s)
	}
}

// createPod creates a pod of a set, and asks whether it is held.
func (w *World) createPod(s int32) {
	id := w.newPod(s)
	w.record(recCreated, int32(id), int64(s))
	if w.pacer != nil && !w.lost && w.pacer.Gate(id) {
		w.pods[id].phase = PodGated
		w.held++
		return
	}
	w.schedulerOf(w.sets[s].workload).add(id)
}

// daemonPod starts a pod of a pool's own DaemonSets on a node.
func (w *World) daemonPod(n, image int32) {
	id := PodID(len(w.pods))
	w.pods = append(w.pods, pod{created: w.now, set: None, ordinal: image, node: None, before: None, after: None,
		nodePrev: None, nodeNext: None, link: None, flags: podDaemon})
	w.open++
	w.put(id, n)
	w.startOn(id)
}

// daemonWorkloadPod starts a pod of a workload that is a DaemonSet on a node.
func (w *World) daemonWorkloadPod(id WorkloadID, n int32) {
	pod := w.newPod(w.workloads[id].current)
	w.put(pod, n)
	w.startOn(pod)
}
