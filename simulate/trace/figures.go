package trace

import (
	"slices"
	"time"

	"github.com/pullpace/pace/simulate/report"
)

// Actual are the figures of the run, by the rules of simulated ones, with times from
// when the first pod was created. Units and answers of 429 are those that registries
// told; where none did they are zero and told is false.
func (r Run) Actual() (figures report.Policy, told bool) {
	raw := report.Raw{FirstPull: report.Never, LastPull: report.Never}
	zero := r.first()
	for _, p := range r.Pods {
		if p.Ready.IsZero() {
			if p.Gone.IsZero() {
				raw.Unfinished++
			}
			continue
		}
		raw.Took = append(raw.Took, p.Ready.Sub(p.Created))
		raw.ReadyAt = append(raw.ReadyAt, p.Ready.Sub(zero))
	}
	for _, p := range r.Pods {
		for _, pull := range p.Pulls {
			raw.ThrottledAttempts += int64(pull.Throttled)
			if !pull.Pulled.IsZero() {
				raw.Pulls++
			}
		}
	}
	for _, told := range r.Registry {
		raw.UnitsCharged += told.Units
		raw.Throttled += told.Throttled
	}
	slices.Sort(raw.Took)
	slices.Sort(raw.ReadyAt)
	return report.NewPolicy(r.Begin.Policy, raw, report.Bound{}), len(r.Registry) > 0
}

// first is when the first pod was created.
func (r Run) first() (first time.Time) {
	for _, p := range r.Pods {
		if first.IsZero() || p.Created.Before(first) {
			first = p.Created
		}
	}
	return first
}

// Row sets one figure of a run against what was predicted. A nil is not known.
type Row struct {
	Metric string
	Actual *float64
	// Predicted is the median over replications, Min and Max are of all.
	Predicted, Min, Max *float64
}

// Error is how far the prediction is from what was; ok is false where one of them is
// not known.
func (r Row) Error() (off float64, ok bool) {
	if r.Actual == nil || r.Predicted == nil {
		return 0, false
	}
	return *r.Predicted - *r.Actual, true
}

// Within reports whether what was is what some replication came to, or between two
// that did.
func (r Row) Within() bool {
	return r.Actual != nil && r.Min != nil && r.Max != nil && *r.Actual >= *r.Min && *r.Actual <= *r.Max
}

// Compared are the metrics of a comparison, in its order.
func Compared() []string {
	return []string{
		"unitsCharged", "pulls", "throttled", "throttledAttempts", "unfinishedPods",
		"podReadySeconds.p50", "podReadySeconds.p95", "podReadySeconds.max",
	}
}

// ofRegistry are the metrics that only a registry can tell.
var ofRegistry = []string{"unitsCharged", "throttled"}

// Compare sets a run against a prediction.
func (r Run) Compare(predicted report.Policy) ([]Row, error) {
	actual, told := r.Actual()
	var rows []Row
	for _, name := range Compared() {
		metric, err := report.MetricOf(name)
		if err != nil {
			return nil, err
		}
		row := Row{Metric: name, Predicted: metric.Of(predicted)}
		if told || !slices.Contains(ofRegistry, name) {
			row.Actual = metric.Of(actual)
		}
		row.Min, row.Max = row.Predicted, row.Predicted
		if spread, ok := predicted.Spread[name]; ok {
			row.Predicted, row.Min, row.Max = spread.P50, spread.Min, spread.Max
		}
		rows = append(rows, row)
	}
	return rows, nil
}
