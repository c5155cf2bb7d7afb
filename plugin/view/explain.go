package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Explanation is the answer of `explain`: why something is held, was released or
// is not held at all.
type Explanation struct {
	Namespace string `json:"namespace,omitempty"`
	Object    string `json:"object"`
	// Answer is Held, Released or NotHeld; Reason one of the closed list, empty
	// where nobody gave one.
	Answer  string `json:"answer"`
	Reason  string `json:"reason"`
	Meaning string `json:"meaning,omitempty"`
	Message string `json:"message,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	// Since is when the hold began, Until when it ends at the latest.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// WouldBe is when it would be let go if the policy were in mode Enforce.
	WouldBe Window `json:"wouldBeHeldUntil,omitzero"`
	// Pods counts held pods of a workload, Queue what goes before it.
	Pods     int       `json:"pods,omitempty"`
	Accounts []Account `json:"accounts,omitempty"`
	Decision string    `json:"decision,omitempty"`
	Workload string    `json:"workload,omitempty"`
	History  []Entry   `json:"history,omitempty"`
	// Groups are the held pods of a workload by reason.
	Groups []HeldGroup `json:"groups,omitempty"`
	// Failing are the pulls of the pod, or of the workload's pods, that fail now.
	Failing []FailingPull `json:"failing,omitempty"`
	// Steps is where an Argo Rollout is among its steps.
	Steps *Steps `json:"steps,omitempty"`
	// Failsafe is what ends the hold when the controller is gone; nil: not asked.
	Failsafe *Failsafe `json:"failsafe,omitempty"`
	// Aborted says that an Argo Rollout went back, for the Reason if Pace is why.
	Aborted bool `json:"aborted,omitempty"`
	// Unknown are parts that could not be read, each with its why.
	Unknown []string `json:"unknown,omitempty"`
}

// FailingPull is a pull that fails, of one pod or of several alike.
type FailingPull struct {
	Container string `json:"container"`
	Image     string `json:"image"`
	// Class is one of the closed list, Kind says of a throttle of what it is, Also what
	// another login or mirror failed of.
	Class string `json:"class"`
	Kind  string `json:"kind,omitempty"`
	Also  string `json:"also,omitempty"`
	// Words are the kubelet's.
	Words string `json:"words,omitempty"`
	Text  string `json:"text,omitempty"`
	// Pauses is what a failure of the class pauses, Remedy what helps.
	Pauses string `json:"pauses,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	Pods   int    `json:"pods"`
}

// Entry is one Event about the object.
type Entry struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Note   string    `json:"note"`
}

// Names implements `-o name`.
func (e Explanation) Names() []string { return []string{e.Object} }

// ExplanationPage shows why.
func ExplanationPage(w io.Writer, e Explanation, st Style) error {
	p := page{style: st}
	p.line("%s", e.verdict(st))
	p.field("object", "%s", e.where())
	if e.Meaning != "" {
		p.field("because", "%s", e.Meaning)
	}
	if e.Message != "" && !e.Steps.Held() && !e.Steps.Frozen() {
		p.field("says", "%s", e.Message)
	}
	p.steps(e.Steps)
	for _, g := range e.Groups {
		p.field("held", "%s  %s for %s, let go by %s: %s", noun(g.Pods, "pod"), painted{dash(g.Reason), warn}, st.age(g.Since), st.clock(g.Until), dash(g.Message))
	}
	for _, f := range e.Failing {
		p.failing(f)
	}
	for _, a := range e.Accounts {
		p.budget(a)
		p.breaker(a)
		if e.Answer == "Held" && !a.More.IsZero() {
			p.field("more by", "%s", st.span(a.More))
		}
	}
	if e.Answer == "Held" && !e.Until.IsZero() {
		p.field("at "+st.clock(e.Until), "%s", "hold-until passes: it goes at the pace of the refill"+e.alsoIfGone(st))
	}
	p.sooner(e)
	for _, entry := range e.History {
		p.field("history", "%s  %s  %s", st.clock(entry.At), entry.Reason, entry.Note)
	}
	for _, u := range e.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	return p.flush(w)
}

// failing shows a pull that fails: of what, in the kubelet's words, and what helps.
func (p *page) failing(f FailingPull) {
	class := f.Class
	if f.Kind != "" {
		class += " (" + f.Kind + ")"
	}
	if f.Also != "" {
		class += ", also " + f.Also
	}
	p.field("fails", "%s  %s  %s, container %s", painted{class, bad}, dash(f.Image), noun(f.Pods, "pod"), f.Container)
	p.field("", "%s; it pauses %s", f.Text, f.Pauses)
	if f.Words != "" {
		p.field("kubelet", "%s", f.Words)
	}
	p.field("fix", "%s", f.Remedy)
}

// breaker says why an account is paused, until when and what comes then.
func (p *page) breaker(a Account) {
	if a.Paused != "" {
		p.field("paused", "%s", painted{a.Name + " until a person resumes it: " + a.Paused, warn})
	}
	switch a.Breaker.State {
	case "paused":
		until := "the next reading"
		if !a.Breaker.Until.IsZero() {
			until = p.style.clock(a.Breaker.Until)
		}
		p.field("breaker", "%s", painted{a.Name + " paused until " + until + ": " + a.Breaker.Cause, bad})
		p.field("then", "%s", "a reading, which is free; then one pod is tried; when it pulled, the others go as the budget allows")
	case "trying one":
		p.field("breaker", "%s", painted{a.Name + " trying one: " + a.Breaker.Cause, warn})
		p.field("then", "%s", "when the pod that is tried has pulled, the others go as the budget allows; when it fails, a longer pause")
	}
}

// alsoIfGone says who lets go when the controller is gone.
func (e Explanation) alsoIfGone(st Style) string {
	switch {
	case e.Failsafe == nil:
		return ""
	case e.Failsafe.Alive(st.Now):
		return ", also if Pace is gone (failsafe ok, seen " + st.age(e.Failsafe.Seen) + " ago)"
	}
	return ", but by nobody if Pace is gone (failsafe " + e.Failsafe.verdict(st).text + ")"
}

func (e Explanation) verdict(st Style) painted {
	switch e.Answer {
	case "Held":
		text := "HELD"
		if !e.Since.IsZero() {
			text += " " + st.age(e.Since)
		}
		text += "  " + dash(e.Reason)
		if !e.Until.IsZero() {
			text += "  let go by " + st.clock(e.Until) + " at the latest"
		}
		return painted{text, warn}
	case "Released":
		return e.orFailing("RELEASED  " + e.Reason)
	}
	if e.Aborted {
		return painted{strings.TrimRight("ABORTED  "+e.Reason, " "), bad}
	}
	text := strings.TrimRight("NOT HELD  "+e.Reason, " ")
	if !e.WouldBe.IsZero() {
		text += ": would be held until about " + st.span(e.WouldBe)
	}
	return e.orFailing(text)
}

// orFailing says of something that is not held whether a pull of it fails.
func (e Explanation) orFailing(text string) painted {
	if len(e.Failing) == 0 {
		return painted{text, good}
	}
	return painted{text + ", and a pull FAILS: " + e.Failing[0].Class, bad}
}

func (e Explanation) where() string {
	text := e.Object
	if e.Namespace != "" {
		text += " in " + e.Namespace
	}
	if e.Workload != "" && e.Workload != e.Object {
		text += ", of " + e.Workload
	}
	if e.Decision != "" {
		text += ", decision " + e.Decision
	}
	return text
}

func (p *page) sooner(e Explanation) {
	if e.Remedy != "" {
		p.field("remedy", "%s", e.Remedy)
	}
	if e.Answer != "Held" || e.Steps.Frozen() {
		return // pulls that fail go no sooner by an order
	}
	name := "sooner"
	if strings.HasPrefix(e.Workload, "deploy/") {
		p.field(name, "kubectl rollout undo %s -n %s", e.Workload, e.Namespace)
		name = ""
	}
	where := ""
	if e.Namespace != "" {
		where = " -n " + e.Namespace
	}
	p.field(name, "%s   (needs pace-edit; expect a 429 if nothing is free)", p.style.command("release", e.Object)+where+` --reason "..."`)
}

// Check is the answer of `check rollout`. Its fields are those of the gate
// endpoint.
type Check struct {
	Decision          string `json:"decision"`
	Reason            string `json:"reason"`
	RetryAfterSeconds int64  `json:"retryAfterSeconds"`
	Need              Units  `json:"need"`
	Free              *int64 `json:"free"`
	Expected          Window `json:"expected,omitzero"`
	Namespace         string `json:"namespace"`
	Workload          string `json:"workload"`
	Message           string `json:"message,omitempty"`
}

// Names implements `-o name`.
func (c Check) Names() []string { return []string{c.Workload} }

// CheckPage shows a check in a line.
func CheckPage(w io.Writer, c Check, st Style) error {
	p := page{style: st}
	p.line("%s  %s  need %s, free %s, expected %s", c.Decision, c.Reason, c.Need, number(c.Free), st.span(c.Expected))
	if c.Message != "" {
		p.line("%s", c.Message)
	}
	return p.flush(w)
}

// Version is the answer of `version`.
type Version struct {
	Client     string `json:"client"`
	Controller string `json:"controller"`
	Cluster    string `json:"cluster"`
	// Supported tells whether the cluster's version is one that is tested.
	Supported string `json:"supported"`
	// HeldNodes is how many nodes Pace holds now.
	HeldNodes int `json:"heldNodes,omitempty"`
}

// Names implements `-o name`.
func (v Version) Names() []string { return []string{v.Client} }

// VersionLine shows the versions.
func VersionLine(w io.Writer, v Version, st Style) error {
	p := page{style: st}
	held := ""
	if v.HeldNodes > 0 {
		held = "   holds " + noun(v.HeldNodes, "node")
	}
	p.line("%s", fmt.Sprintf("client %s   controller %s   cluster %s (supported %s)%s", v.Client, v.Controller, v.Cluster, v.Supported, held))
	return p.flush(w)
}
