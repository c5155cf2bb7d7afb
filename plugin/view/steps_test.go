package view

import (
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

func TestForPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps *Steps
		want  bool
	}{
		"no steps":     {nil, false},
		"a timed one":  {&Steps{Name: "pause 30s", Paused: []string{"CanaryPauseStep"}}, false},
		"for a person": {&Steps{Name: "pause for a person", Paused: []string{"CanaryPauseStep"}}, true},
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
