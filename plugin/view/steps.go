package view

import (
	"fmt"
	"slices"
	"time"
)

// Steps is where an Argo Rollout is among the steps of its canary.
type Steps struct {
	// Number is that of the step it is at, from 1; Of is how many there are.
	Number int    `json:"step"`
	Of     int    `json:"of"`
	Name   string `json:"name"`
	// Paused are Argo's reasons for a pause, Words what it says itself.
	Paused []string `json:"paused,omitempty"`
	Words  string   `json:"words,omitempty"`
	// Gate is what the gate last answered to this step; nil: it was not asked.
	Gate *StepGate `json:"gate,omitempty"`
}

// StepGate is an answer of the gate to a step.
type StepGate struct {
	Decision string `json:"decision"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
	Need     int64  `json:"need"`
	Free     int64  `json:"free"`
	Expected Window `json:"expected,omitzero"`
	// Since is when the step began to ask, AskedAt when it was answered last.
	Since   time.Time `json:"since,omitzero"`
	AskedAt time.Time `json:"askedAt,omitzero"`
}

// pauseForPerson is the step that only a person ends.
const pauseForPerson = "pause for a person"

// ForPerson reports whether only a person ends the step, or an analysis could not tell.
func (s *Steps) ForPerson() bool {
	return s != nil && (s.Name == pauseForPerson || slices.Contains(s.Paused, "InconclusiveAnalysisRun"))
}

// Held reports whether the gate keeps the Rollout at its step.
func (s *Steps) Held() bool { return s != nil && s.Gate != nil && s.Gate.Decision == "hold" }

// place says which step it is.
func (s *Steps) place() string { return fmt.Sprintf("%d of %d: %s", s.Number, s.Of, s.Name) }

// steps shows where a Rollout is, and why it waits there.
func (p *page) steps(s *Steps) {
	if s == nil {
		return
	}
	p.field("step", "%s", s.place())
	for _, why := range s.Paused {
		p.field("paused", "%s", painted{why, warn})
	}
	g := s.Gate
	if g == nil {
		return
	}
	switch g.Decision {
	case "hold":
		p.field("gate", "%s: %s", painted{"hold " + dash(g.Reason), warn}, dash(g.Message))
		p.field("", "needs %d, %d free, asked %s ago, waits for %s; more %s", g.Need, g.Free, p.style.age(g.AskedAt), p.style.age(g.Since), p.style.span(g.Expected))
	case "abort":
		p.field("gate", "%s: %s", painted{"abort " + dash(g.Reason), bad}, dash(g.Message))
	case "":
		p.field("gate", "not answered yet")
	default:
		p.field("gate", "%s", g.Decision)
	}
}

// same reports whether a reader of lines would learn nothing new from next.
func (s *Steps) same(next *Steps) bool {
	return s == next || s != nil && next != nil && s.Number == next.Number && s.Held() == next.Held()
}
