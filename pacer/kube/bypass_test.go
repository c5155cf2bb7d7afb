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
	ended := func(r *Run) { r.Terminated = true }
	byHand := func(r *Run) { r.Terminated, r.ByHand = true, true }
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
		// Argo ends the run of a step that is left. Whether that or why is seen first is
		// chance.
		"promoted":                       {seen: []any{at(0), run(), at(1), run(ended), run(ended, passed)}, want: []Bypass{BypassPromote}},
		"promoted, run seen first":       {seen: []any{at(0), run(), run(ended), run(ended, passed), at(1)}, want: []Bypass{BypassPromote}},
		"promoted, an answer in between": {seen: []any{at(0), run(), at(1), run(), run(ended, passed)}, want: []Bypass{BypassPromote}},
		"promoted whole":                 {seen: []any{at(0), run(), at(0, full), run(ended, passed), at(5, full)}, want: []Bypass{BypassFull}},
		"promoted whole, run seen first": {seen: []any{at(0), run(), run(ended), run(ended, passed), at(0, full), at(5, full)}, want: []Bypass{BypassFull}},
		"promoted whole, an answer late": {seen: []any{at(0), run(), at(0, full), run(), run(ended, passed), at(5, full)}, want: []Bypass{BypassFull}},
		// The end of its run is success to Argo, which goes on.
		"run ended by hand":                 {seen: []any{at(0), run(), run(byHand), run(byHand, passed), at(1)}, want: []Bypass{BypassTerminate}},
		"run ended by hand, step first":     {seen: []any{at(0), run(), at(1), run(byHand, passed)}, want: []Bypass{BypassTerminate}},
		"run ended by hand, then by Argo":   {seen: []any{at(0), run(), run(byHand), at(1), run(ended, passed)}, want: []Bypass{BypassTerminate}},
		"aborted":                           {seen: []any{at(0), run(), at(0, aborted), run(ended, passed)}},
		"aborted, run seen first":           {seen: []any{at(0), run(), run(ended), at(0, aborted), run(ended, passed)}},
		"aborted, retried":                  {seen: []any{at(0), run(), at(0, aborted), run(ended, passed), at(0), run(), run(allow, passed), at(1)}},
		"aborted, an answer late, promoted": {seen: []any{at(0), run(), at(0, aborted), run(), run(ended), at(0), run(), at(1), run(ended)}, want: []Bypass{BypassPromote}},
		"aborted, an answer late, let go":   {seen: []any{at(0), run(), at(0, aborted), run(), run(ended), at(0), run(), at(1), run(allow, passed)}},
		"a new revision":                    {seen: []any{at(0), run(), at(0, func(r *Rollout) { r.Hash = "v3" }), run(ended, passed)}},
		"a new revision, run seen first":    {seen: []any{at(0), run(), run(ended, passed), at(0, func(r *Rollout) { r.Hash = "v3" })}},
		"back to stable":                    {seen: []any{at(0), run(), at(5, func(r *Rollout) { r.Hash = "v1" }), run(ended, passed)}, want: []Bypass{BypassRollback}},
		"back to stable, run seen first":    {seen: []any{at(0), run(), run(ended, passed), at(5, func(r *Rollout) { r.Hash = "v1" })}, want: []Bypass{BypassRollback}},
		"restarted":                         {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.RestartAt = start })}, want: []Bypass{BypassRestart}},
		"scaled up":                         {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.Replicas = 30 })}, want: []Bypass{BypassScale}},
		"scaled down":                       {seen: []any{at(5), run(passed), at(5, func(r *Rollout) { r.Replicas = 3 })}},
		"without gates":                     {seen: []any{at(0), at(1), at(1, full), at(5, func(r *Rollout) { r.Replicas = 30 })}},
		"of others' runs":                   {seen: []any{at(0), run(func(r *Run) { r.Ours = false }), at(1), at(1, full)}},
		"first seen late":                   {seen: []any{at(3, func(r *Rollout) { r.RestartAt = start.Add(time.Hour) }), run(ended, passed)}},
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
			if len(b.rollouts)+len(b.gated)+len(b.waits) != 0 {
				t.Error("something is left of a Rollout that is gone")
			}
		})
	}
}
