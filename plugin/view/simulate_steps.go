package view

import (
	"fmt"

	"github.com/pullpace/pace/simulate/report"
)

// maxSteps bounds the rows of a person's table of steps.
const maxSteps = 30

// steps shows the gates of Rollouts: when each started to wait, how long, when it went on
// and why. Wide, all steps.
func (s Simulation) steps(p *page) {
	t := table{heads: []string{"POLICY", "ROLLOUT", "IMAGE", ">STEP", "DOES", ">PODS", ">STARTED", ">WAITED", ">WENT ON", ">ASKED", "WHY"}}
	more := 0
	for _, policy := range s.Policies {
		for _, step := range policy.Steps {
			switch {
			case !step.Gate() && !p.style.Wide:
			case len(t.rows) == maxSteps:
				more++
			default:
				t.row(stepRow(policy.Name, step)...)
			}
		}
	}
	if len(t.rows) == 0 {
		return
	}
	p.gap()
	p.table(t)
	if more > 0 {
		p.line("%s", painted{fmt.Sprintf("and %d more: -o json has them", more), faint})
	}
	if !p.style.Wide {
		p.line("%s", painted{"gates of Rollouts; pods: of the image, once the gate is open. All steps: -o wide.", faint})
	}
}

func stepRow(policy string, s report.Step) []any {
	pods, asked := "-", "-"
	if s.Gate() {
		pods = fmt.Sprint(s.Opens)
	}
	if s.Asked > 0 {
		asked = fmt.Sprint(s.Asked)
	}
	return []any{policy, s.Workload, s.Image, fmt.Sprint(s.Step), s.Does, pods, report.Span(&s.StartedSeconds), report.Span(s.WaitedSeconds),
		report.Span(s.WentOnSeconds), asked, s.Why()}
}
