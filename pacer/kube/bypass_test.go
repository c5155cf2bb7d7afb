package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core/plan"
)

// Each case is what an API server showed in turn: a Rollout at a step, or its run.
func TestBypasses(t *testing.T) {
	t.Parallel()
	step := Step{Namespace: "shop", Rollout: "web", UID: "r1", Hash: "v2", Index: "0"}
	at := func(index int, edit ...func(*Rollout)) *Rollout {
		r := &Rollout{Namespace: "shop", Name: "web", UID: "r1", Hash: "v2", Stable: "v1", Index: index, Replicas: 20, canary: plan.Canary{Steps: make([]plan.CanaryStep, 5)}}
		for _, e := range edit {
			e(r)
		}
		return r
	}
	run := func(edit ...func(*Run)) Run {
		r := Run{Name: "run", Step: step, Ours: true, Decision: Wait}
		for _, e := range edit {
			e(&r)
		}
		return r
	}
	full := func(r *Rollout) { r.Full = true }
	aborted := func(r *Rollout) { r.Aborted, r.Index = true, 0 }
	terminated := func(r *Run) { r.Terminated = true }
	passed := func(r *Run) { r.Completed, r.Passed = true, true }
	allow := func(r *Run) { r.Decision = Allow }
	cases := map[string]struct {
		seen    []any
		allowed bool
		want    []Bypass
	}{
		"waits":             {seen: []any{at(0), run(), run(), at(0)}},
		"let go":            {seen: []any{at(0), run(), run(allow, passed), at(1)}, allowed: true},
		"let go, seen late": {seen: []any{at(0), run(), at(1), run(allow, passed)}, allowed: true},
		// Argo ends the run of a step that is skipped.
		"promoted":       {seen: []any{at(0), run(), at(1), run(terminated), run(terminated, passed)}, want: []Bypass{BypassPromote}},
		"promoted whole": {seen: []any{at(0), run(), at(0, full), run(terminated, passed), at(5, full)}, want: []Bypass{BypassFull}},
		// The end of its run is success to Argo, which goes on.
		"run ended by hand": {seen: []any{at(0), run(), run(terminated), run(terminated, passed), at(1)}, want: []Bypass{BypassTerminate}},
		"aborted":           {seen: []any{at(0), run(), at(0, aborted), run(terminated, passed)}},
		"aborted, retried":  {seen: []any{at(0), run(), at(0, aborted), run(terminated, passed), at(0), run(), run(allow, passed), at(1)}, allowed: true},
		"a new revision":    {seen: []any{at(0), run(), at(0, func(r *Rollout) { r.Hash = "v3" }), run(terminated, passed)}},
		"back to stable":    {seen: []any{at(0), run(), at(5, func(r *Rollout) { r.Hash = "v1" }), run(terminated, passed)}, want: []Bypass{BypassRollback}},
		"restarted":         {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.RestartAt = start })}, want: []Bypass{BypassRestart}},
		"scaled up":         {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.Replicas = 30 })}, want: []Bypass{BypassScale}},
		"scaled down":       {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.Replicas = 3 })}},
		"without gates":     {seen: []any{at(0), at(1), at(1, full), at(5, func(r *Rollout) { r.Replicas = 30 })}},
		"of others' runs":   {seen: []any{at(0), run(func(r *Run) { r.Ours = false }), at(1), at(1, full)}},
		"first seen late":   {seen: []any{at(3, func(r *Rollout) { r.RestartAt = start.Add(time.Hour) }), run(terminated, passed)}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := NewBypasses(func(Step) bool { return tc.allowed })
			var got []Bypass
			for _, o := range tc.seen {
				switch o := o.(type) {
				case *Rollout:
					got = append(got, b.Rollout(o)...)
				case Run:
					got = append(got, b.Run(o, false)...)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("bypasses (-want +got):\n%s", diff)
			}
			b.RolloutGone("r1")
			if len(b.rollouts)+len(b.gated) != 0 {
				t.Error("something is left of a Rollout that is gone")
			}
		})
	}
}
