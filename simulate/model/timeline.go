package model

import (
	"slices"

	"github.com/pullpace/pace/simulate/scenario"
)

// happen does an entry of the timeline.
func (w *World) happen(i int) {
	e := &w.spec.Timeline[i]
	w.record(recEntry, int32(i), 0)
	switch {
	case e.Scale != nil:
		id := WorkloadID(w.names.workload[e.Scale.Workload])
		w.workloads[id].replicas = int32(e.Scale.Replicas)
		w.changed(id)
	case e.SetImage != nil:
		id := WorkloadID(w.names.workload[e.SetImage.Workload])
		images := slices.Clone(w.sets[w.workloads[id].current].images)
		if len(images) > 0 {
			images[0] = w.names.image[e.SetImage.Image]
		}
		w.turnTo(id, w.addSet(id, images))
	case e.Rollback != nil:
		id := WorkloadID(w.names.workload[e.Rollback.Workload])
		w.turnTo(id, w.workloads[id].last)
	case e.AddNodes != nil:
		for range e.AddNodes.Count {
			w.join(PoolID(w.names.pool[e.AddNodes.Pool]))
		}
	case e.RemoveNodes != nil:
		w.removeNodes(&w.pools[w.names.pool[e.RemoveNodes.Pool]], e.RemoveNodes)
	}
}

// turnTo makes a set the one that is wanted of its workload.
func (w *World) turnTo(id WorkloadID, s int32) {
	l := &w.workloads[id]
	if s == l.current {
		return
	}
	before := l.canary != nil && l.canary.underway(l)
	l.last, l.current = l.current, s
	if l.canary != nil {
		w.turned(id, before)
	}
	w.changed(id)
}

func (w *World) changed(id WorkloadID) {
	w.touch(id)
	w.observe(Event{Kind: WorkloadChanged, Workload: id, Pod: None, Node: None})
}

// removeNodes takes the oldest nodes of a pool away.
func (w *World) removeNodes(p *pool, r *scenario.RemoveNodes) {
	for range min(r.Count, len(p.oldest)) {
		n := p.oldest[0]
		p.oldest = p.oldest[1:]
		w.leave(n)
	}
}
