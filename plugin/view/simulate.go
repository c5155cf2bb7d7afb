package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/pullpace/pace/simulate/report"
)

// Simulation is the answer of `simulate` for one scenario: the result, whose names
// are API, and what a person is told besides.
type Simulation struct {
	report.Result
	// Next is the command to go on with.
	Next string `json:"-"`
}

// SimulationPage shows policies side by side.
func SimulationPage(w io.Writer, s Simulation, st Style) error {
	p := page{style: st}
	p.line("%s: %s", s.Scenario, s.verdict())
	p.line("seed %d, %s of each policy, %s events in %.1fs", s.Seed, noun(s.Replications, "run"), report.Grouped(s.events()), s.WallSeconds)
	p.gap()
	t := table{heads: []string{"POLICY", ">429s", ">HALF READY", ">POD P95", ">ALL READY", ">UNFINISHED", ">BOUND", ">RATIO", ">IDLE NODE-HOURS", "BOUND BY"}}
	if st.Wide {
		t.heads = append(t.heads, ">WITH RESERVE", ">FIRST PULL", ">LAST PULL", ">PULLS", ">UNITS", ">429 ATTEMPTS", ">OTHERS' 429s", ">HELD FOR NOTHING", ">EVENTS")
	}
	for _, policy := range s.Policies {
		t.row(simulated(policy, st)...)
	}
	p.table(t)
	p.line("%s", painted{"429s: answers to this cluster. Ready: since the start; pod p95: from a pod's creation. Bound: when the last pull can start at the earliest.", faint})
	s.clusters(&p)
	s.steps(&p)
	p.gap()
	for i, g := range s.Goals {
		name := "goal"
		if i > 0 {
			name = ""
		}
		p.field(name, "%s  %s  %s", g.Policy, g.Sentence(), outcome(g, s.Replications))
	}
	for _, note := range s.notes() {
		p.field("note", "%s", note)
	}
	p.field("trust", "%s", "what is modelled, what is not, and how near it came to a real cluster: docs/simulate.md")
	p.field("log", "sha256 %s", s.LogSHA256)
	if s.Next != "" {
		p.next("%s", s.Next)
	}
	return p.flush(w)
}

func outcome(g report.Goal, replications int) painted {
	if g.Met {
		return painted{g.Outcome(replications), good}
	}
	return painted{g.Outcome(replications), bad}
}

func (s Simulation) verdict() painted {
	missed := s.Missed()
	switch {
	case len(s.Goals) == 0:
		return painted{"no goals are set", ""}
	case missed > 0:
		return painted{fmt.Sprintf("%d of %s missed", missed, noun(len(s.Goals), "goal")), bad}
	case len(s.Goals) == 1:
		return painted{"its goal is met", good}
	}
	return painted{fmt.Sprintf("all %d goals are met", len(s.Goals)), good}
}

func (s Simulation) events() int64 {
	return int64(s.EventsPerSecond*s.WallSeconds + 0.5)
}

// clusters shows what each of several came to.
func (s Simulation) clusters(p *page) {
	t := table{heads: []string{"POLICY", "CLUSTER", ">429s", ">PULLS", ">UNITS", ">LAST PULL", ">UNFINISHED"}}
	for _, policy := range s.Policies {
		for _, c := range policy.Clusters {
			t.row(policy.Name, c.Name, report.Grouped(c.Throttled), report.Grouped(c.Pulls), report.Grouped(c.UnitsCharged),
				report.Span(c.LastPullStartSeconds), report.Grouped(c.UnfinishedPods))
		}
	}
	if len(t.rows) > 0 {
		p.gap()
		p.table(t)
	}
}

func simulated(p report.Policy, st Style) []any {
	cells := []any{
		p.Name, p.Told("throttled"), p.Told("halfReadySeconds"), p.Told("podReadySeconds.p95"), p.Told("makespanSeconds"), p.Told("unfinishedPods"),
		p.Told("bound.seconds"), report.Ratio(p.RatioToBound), fmt.Sprintf("%.1f", p.IdleNodeHours), p.Bound.LimitedBy,
	}
	if st.Wide {
		for _, metric := range []string{"bound.withReserveSeconds", "firstPullStartSeconds", "lastPullStartSeconds", "pulls", "unitsCharged",
			"throttledAttempts", "foreignThrottled", "heldNeverCharged", "events"} {
			cells = append(cells, p.Told(metric))
		}
	}
	return cells
}

// notes say what the figures do not show by themselves.
func (s Simulation) notes() []string {
	var notes []string
	if s.Replications > 1 {
		notes = append(notes, fmt.Sprintf("figures are of replication 0, [least-most] over all %d; goals hold in all or are missed", s.Replications))
	}
	for _, p := range s.Policies {
		for _, text := range p.Notes {
			notes = append(notes, p.Name+": "+text)
		}
		bound, reserved := p.Bound.Seconds, p.Bound.WithReserveSeconds
		switch {
		case bound == nil:
			notes = append(notes, fmt.Sprintf("%s: %s never gives all that is due: no policy can finish", p.Name, p.Bound.LimitedBy))
		case reserved == nil:
			notes = append(notes, fmt.Sprintf("%s: what it keeps in reserve is all that %s gives", p.Name, p.Bound.LimitedBy))
		case *reserved > *bound:
			notes = append(notes, fmt.Sprintf("%s: its reserve moves the bound from %s to %s", p.Name, report.Span(bound), report.Span(reserved)))
		}
	}
	if never := s.unfinished(); len(never) > 0 {
		notes = append(notes, fmt.Sprintf("never: not within the horizon of %s (%s); their bounds are of what was pulled", report.Span(&s.HorizonSeconds), strings.Join(never, ", ")))
	}
	return notes
}

func (s Simulation) unfinished() []string {
	var names []string
	for _, p := range s.Policies {
		if p.UnfinishedPods > 0 {
			names = append(names, fmt.Sprintf("%s: %s pods", p.Name, report.Grouped(p.UnfinishedPods)))
		}
	}
	return names
}
