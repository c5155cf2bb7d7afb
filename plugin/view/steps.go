package view

import (
	"fmt"
	"slices"
	"time"
)

// Steps is where an Argo Rollout is among the steps of its canary, or that it waits to
// be promoted.
type Steps struct {
	// Number is that of the step it is at, from 1; Of is how many there are: 0 for a
	// blue-green rollout, which has none. An empty Name says that it is at none.
	Number int    `json:"step"`
	Of     int    `json:"of"`
	Name   string `json:"name"`
	// Paused are Argo's reasons for a pause, Words what it says itself.
	Paused []string `json:"paused,omitempty"`
	Words  string   `json:"words,omitempty"`
	// Gate is what the gate last answered to this step; nil: it was not asked.
	Gate *StepGate `json:"gate,omitempty"`
	// Health is what the gate last answered of the pulls of the new revision; nil: it was
	// not asked, or all is well.
	Health *StepGate `json:"health,omitempty"`
}

// StepGate is an answer of the gate.
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

// inconclusive is Argo's reason for a pause where an analysis could not tell.
const inconclusive = "InconclusiveAnalysisRun"

// ForPerson reports whether only a person ends the step, or an analysis of others could
// not tell: where ours could not, Pace lets the Rollout go on.
func (s *Steps) ForPerson() bool {
	return s != nil && !s.Frozen() && (s.Name == pauseForPerson || slices.Contains(s.Paused, inconclusive) && !s.Held())
}

// Held reports whether the gate keeps the Rollout at its step.
func (s *Steps) Held() bool { return s != nil && s.Gate != nil && s.Gate.Decision == "hold" }

// Frozen reports whether Argo paused the Rollout since its pulls are throttled.
func (s *Steps) Frozen() bool {
	return s != nil && s.Health != nil && s.Health.Decision == "hold" && slices.Contains(s.Paused, inconclusive)
}

// BadImage is what the gate said of an image that cannot be pulled, for which it told
// Argo to abort; nil: it did not.
func (s *Steps) BadImage() *StepGate {
	if s == nil || s.Health == nil || s.Health.Decision != "abort" {
		return nil
	}
	return s.Health
}

// place says which step it is.
func (s *Steps) place() string {
	if s.Of == 0 {
		return s.Name
	}
	return fmt.Sprintf("%d of %d: %s", s.Number, s.Of, s.Name)
}

// mark names the step in a line.
func (s *Steps) mark() string {
	if s.Of == 0 {
		return prePromotion
	}
	return fmt.Sprintf("%d/%d", s.Number, s.Of)
}

// steps shows where a Rollout is, and why it waits there.
func (p *page) steps(s *Steps) {
	if s == nil {
		return
	}
	if s.Name != "" {
		p.field("step", "%s", s.place())
	}
	for _, why := range s.Paused {
		p.field("paused", "%s", painted{why, warn})
	}
	p.health(s.Health)
	g := s.Gate
	if g == nil {
		return
	}
	switch g.Decision {
	case "hold":
		p.field("gate", "%s: %s", painted{"hold " + dash(g.Reason), warn}, dash(g.Message))
		p.field("", "%sasked %s ago, waits for %s%s", g.needs(), p.style.age(g.AskedAt), p.style.age(g.Since), p.more(g))
	case "abort":
		p.field("gate", "%s: %s", painted{"abort " + dash(g.Reason), bad}, dash(g.Message))
	case "":
		p.field("gate", "not answered yet")
	default:
		p.field("gate", "%s", g.Decision)
	}
}

// needs says what the pods of a step may cost, where they wait for units.
func (g *StepGate) needs() string {
	if g.Need == 0 {
		return ""
	}
	return fmt.Sprintf("needs %d, %d free, ", g.Need, g.Free)
}

// more says when the step may go, where that is known.
func (p *page) more(g *StepGate) string {
	if g.Expected.IsZero() {
		return ""
	}
	return "; more " + p.style.span(g.Expected)
}

// health shows what is wrong with the pulls of the new revision.
func (p *page) health(g *StepGate) {
	if g == nil {
		return
	}
	if g.Decision == "abort" {
		p.field("pulls", "%s: %s", painted{"abort " + dash(g.Reason), bad}, dash(g.Message))
		return
	}
	p.field("pulls", "%s: %s", painted{"frozen " + dash(g.Reason), warn}, dash(g.Message))
	p.field("", "asked %s ago; Pace lets it go on at the same step when pulls succeed again", p.style.age(g.AskedAt))
}

// same reports whether a reader of lines would learn nothing new from next.
func (s *Steps) same(next *Steps) bool {
	return s == next || s != nil && next != nil && s.Number == next.Number && s.Held() == next.Held() && s.Frozen() == next.Frozen()
}
