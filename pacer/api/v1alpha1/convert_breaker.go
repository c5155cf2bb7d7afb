package v1alpha1

import (
	"cmp"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// breakerOf shows whether an account is paused, by a person or by failing pulls, and
// what must survive a restart.
func breakerOf(v engine.View, k *feedback.Kept) *BreakerStatus {
	s := &BreakerStatus{State: string(cmp.Or(v.Breaker.State, feedback.OK)), Cause: v.Breaker.Cause.String(), Kept: keptOf(k)}
	if v.Paused {
		s.State, s.Cause = string(feedback.Paused), string(core.Paused)
		return s
	}
	if until := v.Breaker.Until; !until.IsZero() {
		// Whole seconds are stored: it is not over before.
		s.Until = new(metav1.NewTime(until.Add(time.Second - 1).Truncate(time.Second)))
	}
	return s
}

func keptOf(k *feedback.Kept) *BreakerKept {
	if k == nil {
		return nil
	}
	return &BreakerKept{
		State: string(k.State), Class: string(k.Cause.Class), Kind: string(k.Cause.Kind),
		FailedPods: count32(k.Cause.Failed), Pods: count32(k.Cause.Pods), Head: k.Cause.Head, Since: microTime(k.Since), Until: microTime(k.Until),
		Opened: count32(k.Opened), Failed: count32(k.Failed), Passed: count32(k.Passed),
	}
}

// kept is what the engine takes back. Of what somebody else wrote there it believes no
// state and no class that is none.
func (k *BreakerKept) kept() *feedback.Kept {
	if k == nil || !slices.Contains([]feedback.State{feedback.OK, feedback.Paused, feedback.Trying}, feedback.State(k.State)) {
		return nil
	}
	out := &feedback.Kept{
		State:  feedback.State(k.State),
		Cause:  feedback.Cause{Class: feedback.Class(k.Class), Failed: int(max(k.FailedPods, 0)), Pods: int(max(k.Pods, 0)), Head: k.Head},
		Opened: int(max(k.Opened, 0)), Failed: int(max(k.Failed, 0)), Passed: int(max(k.Passed, 0)),
	}
	if k.Class != "" && !slices.Contains(feedback.Classes(), out.Cause.Class) {
		out.Cause.Class = feedback.Unknown
	}
	if slices.Contains(feedback.Kinds(), feedback.Kind(k.Kind)) {
		out.Cause.Kind = feedback.Kind(k.Kind)
	}
	if k.Since != nil {
		out.Since = k.Since.Time
	}
	if k.Until != nil {
		out.Until = k.Until.Time
	}
	return out
}

func count32(n int) int32 { return int32(min(max(n, 0), math.MaxInt32)) }
