package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/search"
)

// Sweep is the answer of `simulate sweep`: one scenario at every point of a grid.
type Sweep struct {
	Scenario     string `json:"scenario"`
	Seed         uint64 `json:"seed"`
	Replications int    `json:"replications"`
	// Paths are what was varied.
	Paths  []string     `json:"paths"`
	Points []SweepPoint `json:"points"`
	// Metrics are the columns of the table.
	Metrics []string `json:"-"`
}

// SweepPoint is what the policies came to with a value for each path.
type SweepPoint struct {
	Values   []string        `json:"values"`
	Policies []report.Policy `json:"policies"`
	Goals    []report.Goal   `json:"goals"`
	// LogSHA256 is the hash over the event digests of the runs.
	LogSHA256 string `json:"logSHA256"`
}

// Names implements `-o name`.
func (s Sweep) Names() []string {
	names := make([]string, len(s.Points))
	for i, p := range s.Points {
		names[i] = strings.Join(p.Values, ",")
	}
	return names
}

// Missed counts points at which a goal was missed.
func (s Sweep) Missed() int {
	missed := 0
	for _, p := range s.Points {
		missed += min((report.Result{Goals: p.Goals}).Missed(), 1)
	}
	return missed
}

// SweepTable shows one line for each point and policy.
func SweepTable(w io.Writer, s Sweep, st Style) error {
	p := page{style: st}
	p.line("%s: %s, %s of each policy, seed %d", s.Scenario, noun(len(s.Points), "point"), noun(s.Replications, "run"), s.Seed)
	if missed := s.Missed(); missed > 0 {
		p.line("%s", painted{fmt.Sprintf("a goal is missed at %d of them", missed), warn})
	}
	p.gap()
	t := table{}
	for _, path := range s.Paths {
		t.heads = append(t.heads, ">"+path)
	}
	t.heads = append(t.heads, "POLICY")
	for _, m := range s.Metrics {
		t.heads = append(t.heads, ">"+m)
	}
	t.heads = append(t.heads, "GOALS")
	for _, point := range s.Points {
		for _, policy := range point.Policies {
			t.row(swept(point, policy, s.Metrics)...)
		}
	}
	p.table(t)
	return p.flush(w)
}

func swept(point SweepPoint, p report.Policy, metrics []string) []any {
	var cells []any
	for _, v := range point.Values {
		cells = append(cells, v)
	}
	cells = append(cells, p.Name)
	for _, m := range metrics {
		cells = append(cells, p.Told(m))
	}
	met, of := 0, 0
	for _, g := range point.Goals {
		if g.Policy != p.Name {
			continue
		}
		of++
		if g.Met {
			met++
		}
	}
	switch {
	case of == 0:
		return append(cells, "-")
	case met < of:
		return append(cells, painted{fmt.Sprintf("%d of %d missed", of-met, of), bad})
	}
	return append(cells, painted{"met", good})
}

// Solution is the answer of `simulate solve`.
type Solution struct {
	Scenario     string `json:"scenario"`
	Seed         uint64 `json:"seed"`
	Replications int    `json:"replications"`
	Path         string `json:"path"`
	// Now is what the scenario has there; empty where that is no single value.
	Now    string `json:"now,omitempty"`
	Policy string `json:"policy"`
	Goal   string `json:"goal"`
	Metric string `json:"metric"`
	search.Solution
}

// Names implements `-o name`.
func (s Solution) Names() []string {
	if s.Answer == "" {
		return nil
	}
	return []string{s.Answer}
}

// SolutionPage says the answer and what was tried to find it.
func SolutionPage(w io.Writer, s Solution, st Style) error {
	p := page{style: st}
	if s.Answer == "" {
		p.line("%s: %s", s.Scenario, painted{"no value of " + s.Path + " up to " + s.Most + " is enough", bad})
	} else {
		p.line("%s: %s = %s", s.Scenario, s.Path, painted{s.Answer, good})
	}
	now := ""
	if s.Now != "" {
		now = " (now " + s.Now + ")"
	}
	p.field("smallest", "%s%s with which %s %s, in %s with seed %d", s.Path, now, s.Policy, s.Goal, every(s.Replications), s.Seed)
	if !s.Monotone {
		p.field("note", "%s", painted{"not monotone: met at " + strings.Join(s.Odd, ", missed at ") + "; below the answer there may be others that do", warn})
	}
	p.gap()
	m, _ := report.MetricOf(s.Metric) // one that is unknown is a number
	t := table{heads: []string{">TRIED", ">" + s.Metric, "GOAL"}}
	for _, try := range s.Tried {
		verdict := painted{"missed", bad}
		if try.Met {
			verdict = painted{"met", good}
		}
		t.row(try.Value, m.Figure(try.Actual), verdict)
	}
	p.table(t)
	return p.flush(w)
}

func every(replications int) string {
	if replications == 1 {
		return "one run"
	}
	return fmt.Sprintf("each of %d runs", replications)
}
