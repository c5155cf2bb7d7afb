package simulate

import (
	"fmt"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// stepsOf are the steps of Rollouts as results tell them.
func stepsOf(spec *scenario.Spec, out *model.Outcome) []report.Step {
	var all []report.Step
	for _, s := range out.Steps {
		w := &spec.Workloads[s.Workload]
		step := report.Step{
			Workload: w.Name, Image: spec.Images[s.Image].Name, Step: s.Step.Step, Does: does(w.Steps[s.Step.Step]),
			StartedSeconds: s.Began.Seconds(), Opens: s.Opens, Asked: s.Asked, Held: s.Held, Went: s.Went,
		}
		if s.Ended >= 0 {
			step.WaitedSeconds, step.WentOnSeconds = report.Seconds(s.Ended-s.Began), report.Seconds(s.Ended)
		}
		all = append(all, step)
	}
	return all
}

// does is a step in words.
func does(s scenario.Step) string {
	switch {
	case s.SetWeight != nil:
		return fmt.Sprintf("setWeight %d", *s.SetWeight)
	case s.Pause != nil:
		return fmt.Sprintf("pause %v", s.Pause.Duration)
	case s.SetCanaryScale != nil:
		return "setCanaryScale " + scale(*s.SetCanaryScale)
	}
	return report.GateStep
}

func scale(c scenario.CanaryScale) string {
	switch {
	case c.Replicas != nil:
		return fmt.Sprintf("replicas %d", *c.Replicas)
	case c.Weight != nil:
		return fmt.Sprintf("weight %d", *c.Weight)
	}
	return "matchTrafficWeight"
}
