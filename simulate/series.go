package simulate

import (
	"fmt"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// series makes curves of the course of a run.
func series(spec *scenario.Spec, s model.Series) []report.Series {
	var out []report.Series
	for _, r := range s.Remaining {
		registry := &spec.Registries[r.Registry]
		full := registry.Limiters[r.Limiter].Config().Limit
		out = append(out, report.Series{Kind: report.Remaining, Name: limiterPath(registry, r.Limiter), Points: after(s, full, r.Left)})
	}
	total := make([]int64, len(s.Throttled))
	sum := int64(0)
	for i, n := range s.Throttled {
		sum += n
		total[i] = sum
	}
	return append(out,
		report.Series{Kind: report.Ready, Points: after(s, 0, s.Ready)},
		report.Series{Kind: report.Throttled, Points: after(s, 0, total)},
		report.Series{Kind: report.InFlight, Points: within(s, s.InFlight)})
}

// limiterPath names a limiter as results do.
func limiterPath(r *scenario.Registry, index int) string {
	return fmt.Sprintf("registries[%s].limiters[%d]", r.Name, index)
}

// after places what a step came to at its end.
func after(s model.Series, first int64, values []int64) []report.Point {
	out := []report.Point{{Value: float64(first)}}
	for i, v := range values {
		out = append(out, report.Point{Seconds: float64(i+1) * s.Step.Seconds(), Value: float64(v)})
	}
	return out
}

// within places what was so during a step at its begin.
func within(s model.Series, values []int64) []report.Point {
	out := make([]report.Point, len(values))
	for i, v := range values {
		out[i] = report.Point{Seconds: float64(i) * s.Step.Seconds(), Value: float64(v)}
	}
	return out
}
