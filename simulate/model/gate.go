package model

import "time"

// The analysis of a gate, as the template pull-budget has Argo Rollouts 1.10.1 run it: a
// question that nobody answers fails after answerWithin, and one that failed is asked
// again after askAgain, whatever the interval. Neither aborts.
const (
	answerWithin = 5 * time.Second
	askAgain     = 10 * time.Second
)

// Step names a step of a Rollout's revision: what its gate asks about.
type Step struct {
	Workload WorkloadID
	Revision int32
	Step     int
}

// Gate is a gate at which a Rollout waits, or that it went through.
type Gate struct {
	Step
	// Since is when it began to wait, Through when it was told to go on.
	Since, Through time.Duration
}

// A StepGate is a Pacer that answers the gates of Rollouts. Without one they are open.
type StepGate interface {
	// AskStep is a question. World.AnswerStep answers it, from within or later.
	AskStep(s Step)
}

// gate is how far the analysis of a gate is.
type gate struct {
	asked    bool // and nobody has answered yet
	answered bool // and that was not taken in yet
	allowed  bool
}

// askGate asks whether a Rollout may go on.
func (w *World) askGate(id WorkloadID) {
	r := w.workloads[id].canary
	pacer, ok := w.pacer.(StepGate)
	if !ok {
		r.over = true
		return
	}
	if r.record != None {
		w.out.Steps[r.record].Asked++
	}
	if w.lost { // nobody listens
		r.timer = w.queue.Push(w.after(askAgain), dueStep, int(id))
		return
	}
	r.gate = gate{asked: true}
	r.timer = w.queue.Push(w.after(answerWithin), dueStep, int(id))
	pacer.AskStep(w.stepOf(id))
}

// stepOf is the step that a Rollout is at.
func (w *World) stepOf(id WorkloadID) Step {
	l := &w.workloads[id]
	return Step{Workload: id, Revision: w.sets[l.current].revision, Step: l.canary.step}
}

// gateDue goes on with the analysis of a gate.
func (w *World) gateDue(id WorkloadID) {
	r := w.workloads[id].canary
	g := r.gate
	r.gate = gate{}
	switch {
	case g.answered && g.allowed:
		r.passed = append(r.passed, Gate{Step: w.stepOf(id), Since: time.Duration(r.since), Through: time.Duration(w.now)})
		r.over = true
		w.touch(id)
	case g.answered:
		r.timer = w.queue.Push(w.after(r.steps[r.step].Gate.Interval), dueStep, int(id))
	case g.asked:
		r.timer = w.queue.Push(w.after(askAgain), dueStep, int(id))
	default:
		w.askGate(id)
	}
}

// Answer is what a pacer answers to a question.
type Answer struct {
	Allow bool
	// Why is the Reason, for whoever reads the result.
	Why string
}

// AnswerStep answers the question about a step that is open, after a moment. Whoever is
// past the step, or asks nothing, is told nothing.
func (w *World) AnswerStep(s Step, a Answer, after time.Duration) {
	r := w.workloads[s.Workload].canary
	if w.lost || r == nil || !r.gate.asked || w.stepOf(s.Workload) != s {
		return
	}
	r.gate = gate{answered: true, allowed: a.Allow}
	if r.record != None && a.Why != "" {
		if o := &w.out.Steps[r.record]; a.Allow {
			o.Went = a.Why
		} else {
			o.Held = a.Why
		}
	}
	r.timer = w.queue.Push(max(w.now, 0).Add(after), dueStep, int(s.Workload))
}

// Rollout is what the API server knows of a Rollout.
type Rollout struct {
	// Step is the number of the step that it is at, that of all steps where it is at none.
	Step int
	// Waits is the gate that it waits at; nil: it does not.
	Waits *Gate
	// Passed are the gates that its revision went through.
	Passed []Gate
	// Underway says that its revision is not the stable one.
	Underway bool
}

// Rollout is the state of a workload that is a Rollout; false: it is none.
func (w *World) Rollout(id WorkloadID) (Rollout, bool) {
	l := &w.workloads[id]
	r := l.canary
	if r == nil {
		return Rollout{}, false
	}
	out := Rollout{Step: r.step, Passed: r.passed, Underway: r.underway(l)}
	if r.began && r.step < len(r.steps) && r.steps[r.step].Gate != nil && !r.over {
		out.Waits = &Gate{Step: w.stepOf(id), Since: time.Duration(r.since)}
	}
	return out, true
}

// Opens is how many pods of its revision a Rollout may have once the gate at a step is
// passed, and the number of the step that makes them; false: there is no such step.
func (w *World) Opens(s Step) (pods, by int, ok bool) {
	r := w.workloads[s.Workload].canary
	if r == nil {
		return 0, 0, false
	}
	shape := r.shape
	shape.Replicas = int(w.workloads[s.Workload].replicas)
	return shape.Opens(s.Step)
}
