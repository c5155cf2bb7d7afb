package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Metric is a figure of a policy that goals, sweeps and solutions may name.
type Metric struct {
	// Name is the path of the figure in the JSON of [Policy].
	Name string
	// Unit is what its numbers count.
	Unit string
	of   func(Policy) *float64
}

// Of returns the figure; nil where there is none.
func (m Metric) Of(p Policy) *float64 { return m.of(p) }

// Seconds reports whether the figure is a time, whose values may be written as
// durations.
func (m Metric) Seconds() bool { return m.Unit == "s" }

// Metrics lists all metrics.
func Metrics() []Metric {
	return []Metric{
		{"makespanSeconds", "s", func(p Policy) *float64 { return p.MakespanSeconds }},
		{"firstPullStartSeconds", "s", func(p Policy) *float64 { return p.FirstPullStartSeconds }},
		{"lastPullStartSeconds", "s", func(p Policy) *float64 { return p.LastPullStartSeconds }},
		{"podReadySeconds.p50", "s", func(p Policy) *float64 { return p.PodReadySeconds.P50 }},
		{"podReadySeconds.p90", "s", func(p Policy) *float64 { return p.PodReadySeconds.P90 }},
		{"podReadySeconds.p95", "s", func(p Policy) *float64 { return p.PodReadySeconds.P95 }},
		{"podReadySeconds.p99", "s", func(p Policy) *float64 { return p.PodReadySeconds.P99 }},
		{"podReadySeconds.max", "s", func(p Policy) *float64 { return p.PodReadySeconds.Max }},
		{"podReadySeconds.mean", "s", func(p Policy) *float64 { return p.PodReadySeconds.Mean }},
		{"halfReadySeconds", "s", func(p Policy) *float64 { return p.HalfReadySeconds }},
		{"pulls", "pulls", count(func(p Policy) int64 { return p.Pulls })},
		{"unitsCharged", "units", count(func(p Policy) int64 { return p.UnitsCharged })},
		{"throttled", "answers", count(func(p Policy) int64 { return p.Throttled })},
		{"throttledAttempts", "attempts", count(func(p Policy) int64 { return p.ThrottledAttempts })},
		{"foreignThrottled", "units", count(func(p Policy) int64 { return p.ForeignThrottled })},
		{"unfinishedPods", "pods", count(func(p Policy) int64 { return p.UnfinishedPods })},
		{"heldNeverCharged", "pods", count(func(p Policy) int64 { return p.HeldNeverCharged })},
		{"idleNodeHours", "node hours", func(p Policy) *float64 { return &p.IdleNodeHours }},
		{"bound.seconds", "s", func(p Policy) *float64 { return p.Bound.Seconds }},
		{"bound.withReserveSeconds", "s", func(p Policy) *float64 { return p.Bound.WithReserveSeconds }},
		{"ratioToBound", "", func(p Policy) *float64 { return p.RatioToBound }},
		{"events", "events", count(func(p Policy) int64 { return p.Events })},
	}
}

func count(of func(Policy) int64) func(Policy) *float64 {
	return func(p Policy) *float64 {
		n := float64(of(p))
		return &n
	}
}

// MetricOf finds a metric by its name.
func MetricOf(name string) (Metric, error) {
	all := Metrics()
	if i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == name }); i >= 0 {
		return all[i], nil
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name
	}
	return Metric{}, fmt.Errorf("unknown metric %q: want one of %s", name, strings.Join(names, ", "))
}

// Ops lists the comparisons of goals.
func Ops() []string { return []string{"==", "!=", "<", "<=", ">", ">="} }

// Holds compares a figure with a value; what is nil meets nothing.
func Holds(actual *float64, op string, value float64) bool {
	if actual == nil {
		return false
	}
	switch c := cmp.Compare(*actual, value); op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return false
}

// Check says whether a goal held in all replications of its policy.
func (g Goal) Check(replications []Policy) (Goal, error) {
	m, err := MetricOf(g.Metric)
	if err != nil {
		return g, err
	}
	if !slices.Contains(Ops(), g.Op) {
		return g, fmt.Errorf("unknown comparison %q: want one of %s", g.Op, strings.Join(Ops(), " "))
	}
	for i, p := range replications {
		actual := m.Of(p)
		if i == 0 {
			g.Actual = actual
		}
		if !Holds(actual, g.Op, g.Value) {
			g.MissedIn++
		}
	}
	g.Met = g.MissedIn == 0 && len(replications) > 0
	return g, nil
}

// Over summarises replications of one policy: the figures of the first, and what
// they were over all where there is more than one.
func Over(replications []Policy) Policy {
	p := replications[0]
	if len(replications) == 1 {
		return p
	}
	p.Spread = make(map[string]Spread, len(Metrics()))
	for _, m := range Metrics() {
		p.Spread[m.Name] = spread(m, replications)
	}
	return p
}

// spread takes what is null for larger than any number.
func spread(m Metric, replications []Policy) Spread {
	values := make([]float64, len(replications))
	for i, p := range replications {
		values[i] = math.Inf(1)
		if actual := m.Of(p); actual != nil {
			values[i] = *actual
		}
	}
	slices.Sort(values)
	finite := func(i int) *float64 {
		if math.IsInf(values[i], 1) {
			return nil
		}
		return &values[i]
	}
	return Spread{P50: finite(rank(len(values), 0.5)), Min: finite(0), Max: finite(len(values) - 1)}
}
