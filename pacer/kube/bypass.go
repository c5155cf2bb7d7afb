package kube

import (
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
// wants every change in the order of its kind: who ends the run of a step that waits and
// who skips the step differ in what comes first. It is not safe for concurrent use.
type Bypasses struct {
	// allowed reports whether we let a step go.
	allowed  func(Step) bool
	rollouts map[types.UID]*Rollout
	// gated are the Rollouts that ask our gate, held the steps that wait there.
	gated map[types.UID]bool
	held  map[Step]bool
}

// NewBypasses knows nothing yet.
func NewBypasses(allowed func(Step) bool) *Bypasses {
	return &Bypasses{allowed: allowed, rollouts: map[types.UID]*Rollout{}, gated: map[types.UID]bool{}, held: map[Step]bool{}}
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
	case r.Hash == before.Hash && r.Index > before.Index && !r.Aborted && !r.Full && b.held[at] && !b.allowed(at):
		found = append(found, BypassPromote)
	}
	if r.Hash != before.Hash || r.Index != before.Index || r.Aborted || r.Full {
		delete(b.held, at)
	}
	return found
}

// RolloutGone forgets a Rollout.
func (b *Bypasses) RolloutGone(uid types.UID) {
	delete(b.rollouts, uid)
	delete(b.gated, uid)
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
	var found []Bypass
	if b.held[r.Step] && r.Terminated && r.Decision != Allow && !b.allowed(r.Step) {
		found = append(found, BypassTerminate)
	}
	if gone || r.Completed || r.Terminated || r.Decision == Allow {
		delete(b.held, r.Step)
	} else {
		b.held[r.Step] = true
	}
	return found
}
