package view

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// waiting is a Rollout that the gate holds at its third step.
func waiting() *Steps {
	return &Steps{Number: 3, Of: 5, Name: "analysis pull-budget", Gate: &StepGate{
		Decision: "hold", Reason: "WaitingForBudget", Message: "20 pods like this: 20 units of docker.io/anonymous needed at most, 8 free",
		Need: 20, Free: 8, Expected: soon(), Since: now.Add(-4 * time.Minute), AskedAt: now.Add(-12 * time.Second),
	}}
}

func steppedRollout() Rollout {
	r := sampleRollout()
	r.Workload, r.State, r.Reason, r.Message = "rollout/web", HeldState, "WaitingForBudget", waiting().Gate.Message
	r.New, r.Steps, r.Next = Progress{Ready: 10, ToCome: 90}, waiting(), soon()
	return r
}

func steppedExplanation() Explanation {
	return Explanation{Namespace: "shop", Object: "rollout/web", Workload: "rollout/web", Answer: "Held", Reason: "WaitingForBudget",
		Message: waiting().Gate.Message, Since: waiting().Gate.Since, Steps: waiting()}
}

// frozen is a Rollout that Argo paused since its pulls are throttled.
func frozen() *Steps {
	return &Steps{Number: 4, Of: 5, Name: "weight 50", Paused: []string{"InconclusiveAnalysisRun"}, Health: &StepGate{
		Decision: "hold", Reason: "BreakerOpen", Message: "a pull of docker.io/acme/web:2 is throttled; pod shop/web-1: 429 Too Many Requests", AskedAt: now.Add(-12 * time.Second)}}
}

func frozenExplanation() Explanation {
	return Explanation{Namespace: "shop", Object: "rollout/web", Workload: "rollout/web", Answer: "Held", Reason: "BreakerOpen",
		Message: frozen().Health.Message, Since: frozen().Health.AskedAt, Steps: frozen()}
}

func abortedExplanation() Explanation {
	return Explanation{Namespace: "shop", Object: "rollout/web", Workload: "rollout/web", Answer: "NotHeld", Reason: "ImageFailing", Aborted: true,
		Message: "no step of it waits at the gate; Argo says Degraded: RolloutAborted",
		Steps:   &Steps{Health: &StepGate{Decision: "abort", Reason: "ImageFailing", Message: "docker.io/acme/web:2: NotFound; pod shop/web-1: not found"}}}
}

func failingRollout() Rollout {
	r := steppedRollout()
	r.State, r.Reason, r.Message, r.Steps = Progressing, "", "", &Steps{Number: 2, Of: 5, Name: "weight 10"}
	r.New, r.Errors = Progress{Pulling: 1, ToCome: 79}, Failures{Pull: 1, Words: `Back-off pulling image "docker.io/acme/web:2": ErrImagePull: not found`}
	return r
}

func steppedStatus() Status {
	s := sampleStatus()
	s.Held = nil
	for step, reason := range map[string]string{"3": "WaitingForBudget", prePromotion: "Paused", health: "BreakerOpen"} {
		s.Held = append(s.Held, HeldGroup{Namespace: "shop", Workload: "rollout/web", Step: step, Reason: reason, Message: "why", Since: now.Add(-time.Minute)})
	}
	slices.SortFunc(s.Held, func(a, b HeldGroup) int { return strings.Compare(a.Step, b.Step) })
	return s
}

func TestForPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps *Steps
		want  bool
	}{
		"no steps":     {nil, false},
		"a timed one":  {&Steps{Name: "pause 30s", Paused: []string{"CanaryPauseStep"}}, false},
		"for a person": {&Steps{Name: "pause for a person", Paused: []string{"CanaryPauseStep"}}, true},
		"frozen by us": {frozen(), false},
		"held by us":   {&Steps{Name: "analysis pull-budget", Paused: []string{"InconclusiveAnalysisRun"}, Gate: &StepGate{Decision: "hold"}}, false},
		"cannot tell":  {&Steps{Name: "analysis pull-budget", Paused: []string{"InconclusiveAnalysisRun"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.steps.ForPerson(); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
