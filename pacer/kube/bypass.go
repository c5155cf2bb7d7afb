package kube

import (
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
)

// Bypass is a way in which a Rollout with gates makes pods that no gate let go.
type Bypass string

// The ways.
const (
	// BypassPromote skips the step that waits, BypassFull all that are left.
	BypassPromote Bypass = "promote"
	BypassFull    Bypass = "promote-full"
	// BypassTerminate ends the run of a step that waits, which Argo takes for success.
	BypassTerminate Bypass = "terminate"
	// BypassRollback goes back without steps.
	BypassRollback Bypass = "rollback"
	// BypassRestart replaces pods, BypassScale adds some: by hand or by HPA.
	BypassRestart Bypass = "restart"
	BypassScale   Bypass = "scale"
)

// BypassKinds lists every way.
func BypassKinds() []Bypass {
	return []Bypass{BypassPromote, BypassFull, BypassTerminate, BypassRollback, BypassRestart, BypassScale}
}

// Bypasses tells by what changes of Rollouts and of their runs a gate was gone past. It
// wants every change, in the order of each kind: Rollouts and runs are watched apart, so
// that either may be seen first. It is not safe for concurrent use.
type Bypasses struct {
	// allowed reports whether we let a step go.
	allowed  func(Step) bool
	rollouts map[types.UID]*Rollout
	// gated are the Rollouts that ask our gate, waits the steps that wait there.
	gated map[types.UID]bool
	waits map[Step]*gateWait
}

// gateWait is a step that waits at our gate until its Rollout is seen elsewhere and its
// run is seen to have ended.
type gateWait struct {
	// left says that the Rollout is at a later step, ended that Argo ended the run.
	left, ended bool
}

// NewBypasses knows nothing yet.
func NewBypasses(allowed func(Step) bool) *Bypasses {
	return &Bypasses{allowed: allowed, rollouts: map[types.UID]*Rollout{}, gated: map[types.UID]bool{}, waits: map[Step]*gateWait{}}
}

// Rollout takes in a Rollout as it is now.
func (b *Bypasses) Rollout(r *Rollout) []Bypass {
	before := b.rollouts[r.UID]
	b.rollouts[r.UID] = r
	if before == nil || !b.gated[r.UID] {
		return nil
	}
	var found []Bypass
	if r.RestartAt.After(before.RestartAt) {
		found = append(found, BypassRestart)
	}
	if r.Replicas > before.Replicas {
		found = append(found, BypassScale)
	}
	at := Step{Namespace: r.Namespace, Rollout: r.Name, UID: r.UID, Hash: before.Hash, Index: strconv.Itoa(before.Index)}
	switch {
	case r.Full && !before.Full:
		found = append(found, BypassFull)
	case r.Hash != before.Hash && before.Hash != "" && len(r.canary.Steps) > 0 && r.Index >= len(r.canary.Steps):
		found = append(found, BypassRollback)
	case r.Hash == before.Hash && r.Index > before.Index && !r.Aborted && !r.Full:
		return append(found, b.leave(at)...)
	}
	if r.Hash != before.Hash || r.Index != before.Index || r.Aborted || r.Full {
		delete(b.waits, at)
	}
	return found
}

// RolloutGone forgets a Rollout.
func (b *Bypasses) RolloutGone(uid types.UID) {
	delete(b.rollouts, uid)
	delete(b.gated, uid)
	maps.DeleteFunc(b.waits, func(s Step, _ *gateWait) bool { return s.UID == uid })
}

// Run takes in an AnalysisRun as it is now.
func (b *Bypasses) Run(r Run, gone bool) []Bypass {
	if !r.Ours {
		return nil
	}
	b.gated[r.Step.UID] = true
	if r.Step.Index == StepHealth {
		return nil
	}
	w := b.waits[r.Step]
	switch {
	case gone || r.Decision == Allow || b.allowed(r.Step) || r.Completed && !r.Terminated:
		delete(b.waits, r.Step)
	case !r.Terminated && w == nil:
		b.waits[r.Step] = &gateWait{}
	case !r.Terminated:
		w.ended = false // what ended was a run before it
	case w != nil && r.ByHand:
		delete(b.waits, r.Step)
		return []Bypass{BypassTerminate}
	case w != nil:
		w.ended = true
		return b.skipped(r.Step)
	}
	return nil
}

// leave notes that a Rollout went on from a step.
func (b *Bypasses) leave(s Step) []Bypass {
	w := b.waits[s]
	if w == nil || b.allowed(s) {
		delete(b.waits, s)
		return nil
	}
	w.left = true
	return b.skipped(s)
}

// skipped tells of a step that its Rollout left while it waited, so that Argo ended the
// run. Where only one of both is seen, the run may yet turn out to have been ended by
// hand, and the Rollout to have been aborted.
func (b *Bypasses) skipped(s Step) []Bypass {
	if w := b.waits[s]; !w.left || !w.ended {
		return nil
	}
	delete(b.waits, s)
	return []Bypass{BypassPromote}
}
