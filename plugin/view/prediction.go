package view

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/pullpace/pace/simulate/report"
)

// Prediction is the answer of `simulate replay` about a run: what was predicted, set
// against what was.
type Prediction struct {
	File string `json:"file"`
	// Recorded is the version that recorded, Cluster that of the API server.
	Recorded string `json:"recorded,omitempty"`
	Cluster  string `json:"cluster,omitempty"`
	// Scenario was simulated with Policy, Replications times from Seed.
	Scenario     string          `json:"scenario"`
	Policy       string          `json:"policy"`
	Replications int             `json:"replications"`
	Seed         uint64          `json:"seed"`
	Pods         int             `json:"pods"`
	Rows         []PredictionRow `json:"rows"`
}

// PredictionRow is one figure. Null is not known: only a registry can tell units and
// answers of 429.
type PredictionRow struct {
	Metric string   `json:"metric"`
	Actual *float64 `json:"actual"`
	// Predicted is the median of all replications, Min and Max the least and the most.
	Predicted *float64 `json:"predicted"`
	Min       *float64 `json:"min"`
	Max       *float64 `json:"max"`
	// Error is Predicted less Actual; Within says that Actual is from Min to Max.
	Error  *float64 `json:"error"`
	Within bool     `json:"within"`
}

// Names implements `-o name`.
func (p Prediction) Names() []string { return []string{p.File} }

// PredictionTable shows what was beside what was predicted.
func PredictionTable(w io.Writer, m Prediction, st Style) error {
	p := page{style: st}
	p.line("%s: %s, simulated %s with policy %s from scenario %s", m.File, noun(m.Pods, "pod"), times(m.Replications), m.Policy, m.Scenario)
	p.gap()
	t := table{heads: []string{"FIGURE", ">WAS", ">PREDICTED", ">LEAST", ">MOST", ">ERROR", "WITHIN"}}
	for _, r := range m.Rows {
		seconds := strings.Contains(r.Metric, "Seconds")
		show := func(v *float64) string { return figure(v, seconds) }
		within := painted{"no", warn}
		switch {
		case r.Actual == nil || r.Min == nil || r.Max == nil:
			within = painted{"-", faint}
		case r.Within:
			within = painted{"yes", good}
		}
		t.row(r.Metric, show(r.Actual), show(r.Predicted), show(r.Min), show(r.Max), r.off(seconds), within)
	}
	p.table(t)
	p.line("%s", painted{"Predicted: the median of all runs. A dash is not known: only a registry can tell units and answers of 429.", faint})
	return p.flush(w)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// figure is a number, with its unit where it is a time.
func figure(v *float64, seconds bool) string {
	switch {
	case v == nil:
		return "-"
	case seconds:
		return fmt.Sprintf("%.1fs", *v)
	}
	return report.Grouped(int64(math.Round(*v)))
}

// off is the error, with the part of what was.
func (r PredictionRow) off(seconds bool) string {
	if r.Error == nil {
		return "-"
	}
	if *r.Error == 0 {
		return "0"
	}
	text := fmt.Sprintf("%+.0f", *r.Error)
	if seconds {
		text = fmt.Sprintf("%+.1fs", *r.Error)
	}
	if *r.Actual != 0 {
		text += fmt.Sprintf(" %+.0f%%", 100**r.Error / *r.Actual)
	}
	return text
}
