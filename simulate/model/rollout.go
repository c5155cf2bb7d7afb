package model

import (
	"time"

	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// canary is how far a Rollout of Argo is with its revision.
type canary struct {
	steps  []scenario.Step
	shape  plan.Canary
	stable int32 // set that serves; None before the first is there
	step   int   // that it is at; past the last all pods are of the revision
	began  bool  // the step did
	since  kernel.Time
	// over says that the step, a pause or a gate, is done.
	over  bool
	timer kernel.Ticket // of that step
	gate  gate
	// passed are the gates of this revision that were let through.
	passed []Gate
	record int // place in the outcome; None: there is no more room
}

// newCanary is a Rollout before anything happened to it.
func newCanary(s *scenario.Workload) *canary {
	r := &canary{steps: s.Steps, stable: None, step: len(s.Steps), record: None}
	r.shape = plan.Canary{Replicas: s.Replicas, Routed: s.TrafficRouting != nil}
	for _, step := range s.Steps {
		of := plan.CanaryStep{SetWeight: step.SetWeight}
		if c := step.SetCanaryScale; c != nil {
			of.SetCanaryScale = &plan.CanaryScale{Replicas: c.Replicas, Weight: c.Weight, MatchTrafficWeight: c.MatchTrafficWeight}
		}
		r.shape.Steps = append(r.shape.Steps, of)
	}
	return r
}

// underway reports whether another revision than the stable one is rolled out.
func (r *canary) underway(l *workload) bool { return r.stable != None && r.stable != l.current }

// turned begins with the revision that is wanted now: at its first step, or past them
// all where it is the one that serves, or where none does yet.
func (w *World) turned(id WorkloadID, before bool) {
	l := &w.workloads[id]
	r := l.canary
	w.leaveStep(r)
	r.step, r.passed = 0, nil
	now := r.underway(l)
	if !now {
		r.step = len(r.steps)
	}
	if now != before {
		w.count(now)
	}
	if l.current != r.stable {
		w.sets[l.current].want = w.sets[l.current].total()
	}
}

// count counts Rollouts that are under way: until they are done there is something to
// come.
func (w *World) count(more bool) {
	if more {
		w.rolling++
	} else {
		w.rolling--
	}
}

// syncRollout is a turn of Argo: it takes the steps that are done, scales the sets, and
// again until nothing changes. Nothing takes it any time.
func (w *World) syncRollout(id WorkloadID) {
	l := &w.workloads[id]
	l.canary.shape.Replicas = int(l.replicas)
	for again := true; again; {
		again = w.scaleSets(l)
		again = w.retireSets(l) || again
		again = w.takeStep(id) || again
	}
	if !l.queued && w.lack(l) > 0 {
		l.queued = true
		w.planeOf(id).creating.push(int32(id))
	}
}

// scaleSets gives the new and the stable set the pods that they are to have now, and
// reports whether that is another number.
func (w *World) scaleSets(l *workload) bool {
	r, fresh := l.canary, &w.sets[l.current]
	var stable *set
	if r.underway(l) {
		stable = &w.sets[r.stable]
	}
	want := w.sharesOf(l, fresh, stable)
	changed := want.fresh != fresh.want
	fresh.want = want.fresh
	if stable != nil {
		changed = changed || want.stable != stable.want
		stable.want = want.stable
		w.trim(r.stable, max(0, stable.total()-stable.want), true)
	}
	w.trim(l.current, max(0, fresh.total()-fresh.want), true)
	return changed
}

// sharesOf is what the sets are to have at the step that the Rollout is at.
func (w *World) sharesOf(l *workload, fresh, stable *set) shares {
	r := l.canary
	if r.shape.Routed {
		pods := l.replicas
		if stable != nil && r.step < len(r.steps) {
			pods = int32(r.shape.PodsAt(r.step))
		}
		return shares{fresh: pods, stable: l.replicas}
	}
	most, least := l.bounds()
	b := bounded{most: most, least: least, surge: most > l.replicas}
	for _, s := range l.sets {
		if of := &w.sets[s]; of != fresh && of != stable {
			b.others += of.total()
		}
	}
	var serves *standing
	if stable != nil {
		serves = &standing{want: stable.want, ready: stable.ready.count}
	}
	return basicShares(l.replicas, r.weight(), standing{fresh.want, fresh.ready.count}, serves, b)
}

// weight is what the last step said that set one.
func (r *canary) weight() int32 {
	if r.step >= len(r.steps) {
		return 100
	}
	for i := r.step; i >= 0; i-- {
		if weight := r.steps[i].SetWeight; weight != nil {
			return *weight
		}
	}
	return 0
}

// retireSets deletes pods of revisions that are neither wanted nor stable, and reports
// whether it did: those that are not Ready, then others as far as enough are Ready.
// Traffic routing keeps what was stable for a moment.
func (w *World) retireSets(l *workload) bool {
	r, deleted := l.canary, int32(0)
	_, least := l.bounds()
	for i := len(l.sets) - 1; i >= 0; i-- {
		s := l.sets[i]
		if s == l.current || s == r.stable && r.underway(l) || w.sets[s].until > w.now {
			continue
		}
		deleted += w.trim(s, w.sets[s].pending.count, false)
		if _, ready := w.existing(l); ready > least && w.sets[s].ready.count > 0 {
			deleted += w.trim(s, ready-least, true)
		}
	}
	return deleted > 0
}

// lacking is the set of a Rollout that may create a pod now: the stable one before the
// new one.
func (w *World) lacking(l *workload) (s, pods int32) {
	if r := l.canary; r.underway(l) {
		if lack := w.sets[r.stable].want - w.sets[r.stable].total(); lack > 0 {
			return r.stable, lack
		}
	}
	return l.current, w.sets[l.current].want - w.sets[l.current].total()
}

// drainAfter is how long traffic routing keeps the pods of what was stable:
// scaleDownDelaySeconds.
const drainAfter = 30 * time.Second

// takeStep goes on to the next step if the one that the Rollout is at is done, and
// reports whether it did. Past the last step the revision becomes the stable one.
func (w *World) takeStep(id WorkloadID) bool {
	l := &w.workloads[id]
	r := l.canary
	if r.step >= len(r.steps) {
		return w.promote(id)
	}
	if !r.began {
		w.beginStep(id)
	}
	switch s := &r.steps[r.step]; {
	case s.Gate != nil, s.Pause != nil:
		if !r.over {
			return false
		}
	case !w.atShares(l):
		return false
	}
	w.endStep(r)
	r.step++
	w.observe(Event{Kind: StepTaken, Workload: id, Pod: None, Node: None})
	return true
}

// atShares reports whether both sets have the pods that they are to have, those of the
// new revision Ready, and no other revision has any: AtDesiredReplicaCountsForCanary.
func (w *World) atShares(l *workload) bool {
	fresh := &w.sets[l.current]
	if fresh.ready.count != fresh.want || fresh.total() != fresh.want {
		return false
	}
	stable := &w.sets[l.canary.stable]
	if stable.total() != stable.want || w.sharesOf(l, fresh, stable) != (shares{fresh.want, stable.want}) {
		return false
	}
	if l.canary.shape.Routed {
		return true
	}
	for _, s := range l.sets {
		if s != l.current && s != l.canary.stable && w.sets[s].ready.count > 0 {
			return false
		}
	}
	return true
}

// promote makes the revision the stable one once all of its pods are Ready.
func (w *World) promote(id WorkloadID) bool {
	l := &w.workloads[id]
	r := l.canary
	if r.stable == l.current || w.sets[l.current].ready.count != l.replicas {
		return false
	}
	if r.stable != None {
		w.count(false)
		if r.shape.Routed {
			w.sets[r.stable].until = w.after(drainAfter)
			w.queue.Push(w.after(drainAfter), dueDrain, int(id))
		}
	}
	r.stable = l.current
	w.observe(Event{Kind: StepTaken, Workload: id, Pod: None, Node: None})
	return true
}

// beginStep begins the step that a Rollout is at.
func (w *World) beginStep(id WorkloadID) {
	r := w.workloads[id].canary
	r.began, r.since, r.over = true, max(w.now, 0), false
	w.noteStep(id)
	switch s := &r.steps[r.step]; {
	case s.Pause != nil:
		r.timer = w.queue.Push(w.after(s.Pause.Duration), dueStep, int(id))
	case s.Gate != nil:
		w.askGate(id)
	}
}

// endStep ends it, done, leaveStep wherever it is.
func (w *World) endStep(r *canary) {
	if r.record != None {
		w.out.Steps[r.record].Ended = time.Duration(w.now)
	}
	w.leaveStep(r)
}

func (w *World) leaveStep(r *canary) {
	r.began, r.over, r.timer, r.record, r.gate = false, false, kernel.NoTicket, None, gate{}
}

// stepDue handles the timer of a step.
func (w *World) stepDue(id WorkloadID) {
	r := w.workloads[id].canary
	if r.steps[r.step].Gate != nil {
		w.gateDue(id)
		return
	}
	r.over = true
	w.touch(id)
}

// maxStepRecords bounds what is kept of the steps of a run.
const maxStepRecords = 1000

// noteStep keeps that a step begins.
func (w *World) noteStep(id WorkloadID) {
	l := &w.workloads[id]
	r := l.canary
	w.record(recStep, int32(id), int64(r.step))
	if len(w.out.Steps) == maxStepRecords {
		w.out.StepsLeftOut++
		return
	}
	r.record = len(w.out.Steps)
	o := StepOutcome{Step: w.stepOf(id), Began: time.Duration(r.since), Ended: -1}
	if images := w.sets[l.current].images; len(images) > 0 {
		o.Image = ImageID(images[0])
	}
	if r.steps[r.step].Gate != nil {
		o.Opens, _, _ = w.Opens(o.Step)
	}
	w.out.Steps = append(w.out.Steps, o)
}

// countUnmade counts the pods that Rollouts under way have not made by the end.
func (w *World) countUnmade() {
	for i := range w.workloads {
		l := &w.workloads[i]
		if l.canary == nil || !l.canary.underway(l) {
			continue
		}
		unmade := int(max(0, l.replicas-w.sets[l.current].total()))
		w.out.Unfinished += unmade
		if w.out.Clusters != nil {
			w.out.Clusters[l.cluster].Unfinished += unmade
		}
	}
}
