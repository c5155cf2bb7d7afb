package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Status is the answer of `status`.
type Status struct {
	Controller Controller `json:"controller"`
	Failsafe   Failsafe   `json:"failsafe"`
	// Webhook says whether new pods are shown to the controller.
	Webhook bool `json:"webhook"`
	// Gate is whether pods come back gated.
	Gate Gate `json:"gate"`
	// Slipped are living pods that should be held and that the webhook never saw.
	Slipped    Slipped     `json:"slipped"`
	Policies   []Policy    `json:"policies"`
	Namespaces []string    `json:"namespaces"`
	Held       []HeldGroup `json:"held"`
	HeldNodes  []HeldNode  `json:"heldNodes"`
	Accounts   []Budget    `json:"accounts"`
	Problems   []Condition `json:"problems,omitempty"`
	// Unknown are parts that could not be read, each with its why.
	Unknown []string `json:"unknown,omitempty"`
}

// Gate is the answer to the last dry-run pod that the controller sent.
type Gate struct {
	// State is active, broken or "" where nobody asked yet.
	State   string    `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	AskedAt time.Time `json:"askedAt,omitzero"`
}

// gateProofLasts is how long an answer counts; the controller asks every minute.
const gateProofLasts = 3 * time.Minute

// The states of a Gate.
const (
	GateActive = "active"
	GateBroken = "broken"
)

// Slipped counts pods and names the newest few.
type Slipped struct {
	Pods   int      `json:"pods"`
	Newest []string `json:"newest,omitempty"`
}

// Replicas counts the replicas of a Deployment of ours.
type Replicas struct {
	Ready  int32 `json:"ready"`
	Wanted int32 `json:"wanted"`
}

// Policy is a PacePolicy in a line.
type Policy struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
	// MaxGatedPerNamespace is how many pods of a namespace it holds at once.
	MaxGatedPerNamespace int32 `json:"maxGatedPerNamespace,omitempty"`
}

// HeldGroup is held pods of one workload with one reason.
type HeldGroup struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	// Step is that of an Argo Rollout which waits at the gate, from 1; its pods do not
	// exist yet. It is prePromotion before the promotion of a blue-green rollout, and
	// health where a rollout is frozen since its pulls are throttled.
	Step    string    `json:"step,omitempty"`
	Pods    int       `json:"pods"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`
}

// what names what is held.
func (g HeldGroup) what() string {
	switch g.Step {
	case "":
		return g.Workload
	case prePromotion:
		return g.Workload + " promotion"
	case health:
		return g.Workload + " frozen"
	}
	return g.Workload + " step " + g.Step
}

// The steps that have no number.
const (
	prePromotion = "prePromotion"
	health       = "health"
)

// count says how many pods wait: of a step none does, since they are not made yet.
func (g HeldGroup) count() string {
	if g.Step != "" {
		return dash("")
	}
	return fmt.Sprint(g.Pods)
}

// HeldNode is a node that Pace taints.
type HeldNode struct {
	Name    string    `json:"name"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
}

// Names implements `-o name`.
func (s Status) Names() []string {
	var names []string
	for _, g := range s.Held {
		names = append(names, g.Namespace+"/"+g.Workload)
	}
	return names
}

// HeldPods counts all held pods.
func (s Status) HeldPods() int {
	sum := 0
	for _, g := range s.Held {
		sum += g.Pods
	}
	return sum
}

// heldSteps counts the steps of Argo Rollouts that wait.
func (s Status) heldSteps() int {
	sum := 0
	for _, g := range s.Held {
		if g.Step != "" {
			sum++
		}
	}
	return sum
}

// StatusPage shows what is held and whether Pace works.
func StatusPage(w io.Writer, s Status, st Style) error {
	p := page{style: st}
	p.line("%s", s.verdict(st))
	p.field("controller", "%s%s", s.Controller.verdict(st), replicas(Replicas{s.Controller.Ready, s.Controller.Wanted}, s.Controller.Installed))
	p.field("failsafe", "%s%s", s.Failsafe.verdict(st), replicas(s.Failsafe.Replicas, s.Failsafe.Wanted > 0))
	p.field("webhook", "%s", s.webhook())
	p.field("gate", "%s", s.gate(st))
	if s.Slipped.Pods > 0 {
		p.field("slipped", "%s", s.slipped())
	}
	p.field("mode", "%s", s.modes())
	p.field("opted in", "%s", s.optedIn())
	for _, c := range s.Problems {
		p.field("problem", "%s: %s", painted{c.Reason, warn}, c.Message)
	}
	for _, u := range s.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	p.held(s)
	if len(s.Accounts) > 0 {
		p.gap()
		t := table{heads: []string{"ACCOUNT", ">LIMIT", ">LEFT", ">FREE", "MORE BY", ">READ", "STATE"}}
		for _, b := range s.Accounts {
			t.row(b.Name, b.limit(), number(b.Remaining), b.free(), b.more(st), st.age(b.ReadAt), b.state(s.Controller, st))
		}
		p.table(t)
	}
	p.statusNext(s)
	return p.flush(w)
}

func (p *page) held(s Status) {
	if len(s.Held) > 0 {
		p.gap()
		t := table{heads: []string{"NAMESPACE", "WORKLOAD", ">HELD", "REASON", ">FOR", "LET GO BY", "WHY"}}
		for _, g := range s.Held {
			t.row(g.Namespace, g.what(), g.count(), painted{dash(g.Reason), warn}, p.style.age(g.Since), p.style.clock(g.Until), dash(g.Message))
		}
		p.table(t)
	}
	if len(s.HeldNodes) > 0 {
		p.gap()
		t := table{heads: []string{"NODE", "REASON", ">FOR", "LET GO BY", "WHY"}}
		for _, n := range s.HeldNodes {
			t.row(n.Name, painted{dash(n.Reason), warn}, p.style.age(n.Since), p.style.clock(n.Until), dash(n.Message))
		}
		p.table(t)
	}
}

func (p *page) statusNext(s Status) {
	switch {
	case !s.Controller.Installed:
		p.next("%s", p.style.command("install", "--shadow", "--dry-run"))
	case len(s.Held) > 0:
		g := s.Held[0]
		p.next("%s", p.style.command("explain", g.Workload, "-n", g.Namespace))
	case len(s.HeldNodes) > 0:
		p.next("%s", p.style.command("explain", "node/"+s.HeldNodes[0].Name))
	case len(s.Namespaces) == 0:
		p.next("kubectl label namespace NAME pullpace.dev/pace=enabled")
	default:
		p.next("%s", p.style.command("budget"))
	}
}

func (s Status) verdict(st Style) painted {
	switch {
	case !s.Controller.Installed:
		return painted{"Pace is not installed: nothing is held by it.", warn}
	case !s.Controller.Alive(st.Now):
		rest := "let go by `kubectl pace release --now` or `uninstall` only"
		if s.Failsafe.Alive(st.Now) {
			rest = "let go by the failsafe within 5m of the last turn"
		}
		return painted{fmt.Sprintf("Pace is not working: nothing new is held; %s still held: %s.", noun(s.HeldPods(), "pod"), rest), bad}
	case s.Gate.State == GateBroken:
		return painted{fmt.Sprintf("The gate does not work: new pods start unpaced, %s still held.", noun(s.HeldPods(), "pod")), bad}
	case len(s.Held) == 0 && len(s.HeldNodes) == 0:
		return painted{"Nothing is held.", good}
	}
	text := noun(s.HeldPods(), "pod")
	if steps := s.heldSteps(); steps > 0 {
		text += ", " + noun(steps, "rollout step")
	}
	return painted{fmt.Sprintf("%s and %s held.", text, noun(len(s.HeldNodes), "node")), warn}
}

func (s Status) webhook() painted {
	if s.Webhook {
		return painted{"on, fails open", good}
	}
	return painted{"off: nothing new is held", warn}
}

func (s Status) gate(st Style) painted {
	asked := " (asked " + st.age(s.Gate.AskedAt) + " ago)"
	if s.Gate.State != "" && st.Now.Sub(s.Gate.AskedAt) > gateProofLasts {
		return painted{"not known, last asked " + st.age(s.Gate.AskedAt) + " ago; then: " + s.Gate.Message, warn}
	}
	switch s.Gate.State {
	case GateActive:
		return painted{"active: " + s.Gate.Message + asked, good}
	case GateBroken:
		return painted{"NOT active: " + s.Gate.Message + asked, bad}
	}
	return painted{"not proven yet: the controller asks with a dry-run pod every minute and says it on PacePolicies", warn}
}

func (s Status) slipped() painted {
	text := noun(s.Slipped.Pods, "living pod") + " that the webhook never saw, and so not held: " + strings.Join(s.Slipped.Newest, ", ")
	if s.Slipped.Pods > len(s.Slipped.Newest) {
		text += ", ..."
	}
	return painted{text, warn}
}

func (s Status) modes() string {
	text := ""
	for i, policy := range s.Policies {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s (policy %s)", policy.Mode, policy.Name)
	}
	if text == "" {
		return "no PacePolicy: nothing is held"
	}
	return text
}

func (s Status) optedIn() string {
	const most = 8
	if len(s.Namespaces) == 0 {
		return "0 namespaces"
	}
	text := noun(len(s.Namespaces), "namespace") + ": "
	for i, name := range s.Namespaces {
		if i == most {
			return text + fmt.Sprintf(" and %d more", len(s.Namespaces)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

func replicas(r Replicas, known bool) string {
	if !known {
		return ""
	}
	return fmt.Sprintf(", %d/%d ready", r.Ready, r.Wanted)
}
