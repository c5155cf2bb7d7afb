package view

import (
	"fmt"
	"io"
	"time"
)

// Cost is the answer of `cost`: what starting a workload's pods may be charged.
type Cost struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	// Replicas is how many pods it has, Pods how many will start anew.
	Replicas int32 `json:"replicas"`
	Pods     int32 `json:"pods"`
	// Source says who priced: "controller" or "client".
	Source string `json:"source"`
	// Verdict is "allow", "hold" or "unknown".
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	Images   []Image   `json:"images"`
	Accounts []Account `json:"accounts"`
	// Finish is when the last pod may be released, if it had to wait.
	Finish Window `json:"finish,omitzero"`
	// Unknown are the things that could not be known, each with its why.
	Unknown []string `json:"unknown,omitempty"`
	// Breaks are clocks that a hold would run against.
	Breaks []Clock `json:"breaks,omitempty"`
}

// Image is the price of one image of the workload.
type Image struct {
	Image   string `json:"image"`
	Account string `json:"account,omitempty"`
	// ColdNodes may have to pull it; the least differs from the most where a
	// node's list of images is cut.
	ColdNodes Units  `json:"coldNodes"`
	Units     Units  `json:"units"`
	Why       string `json:"why,omitempty"`
}

// Account is what the workload needs of one account.
type Account struct {
	Name  string `json:"name"`
	Needs Units  `json:"needs"`
	// Free is what a rollout may spend now; nil: not known.
	Free   *int64    `json:"free,omitempty"`
	ReadAt time.Time `json:"readAt,omitzero"`
	More   Window    `json:"more,omitzero"`
	// Unlimited accounts hold nothing.
	Unlimited bool `json:"unlimited,omitempty"`
}

// Clock is something that gives up waiting.
type Clock struct {
	Name   string `json:"name"`
	Limit  string `json:"limit"`
	Breaks string `json:"breaks"` // yes, no, unknown
	Why    string `json:"why,omitempty"`
}

// Names implements `-o name`.
func (c Cost) Names() []string { return []string{c.Workload} }

// Total is what all accounts are charged together.
func (c Cost) Total() Units {
	var sum Units
	for _, a := range c.Accounts {
		sum.Min += a.Needs.Min
		sum.Max += a.Needs.Max
	}
	return sum
}

// CostPage shows the price of a workload.
func CostPage(w io.Writer, c Cost, st Style) error {
	p := page{style: st}
	p.line("%s  %s", c.verdict(), painted{c.sentence(st), bold})
	p.line("%s  %s  %s, %d to start; priced by the %s", c.Workload, c.Namespace, noun(c.Replicas, "replica"), c.Pods, c.Source)
	p.gap()
	t := table{heads: []string{"IMAGE", ">COLD NODES", ">UNITS", "ACCOUNT", "WHY"}}
	for _, i := range c.Images {
		t.row(i.Image, i.ColdNodes, i.Units, dash(i.Account), dash(i.Why))
	}
	if len(c.Images) > 1 {
		t.row("total", "", c.Total(), "", "")
	}
	p.table(t)
	p.gap()
	for _, a := range c.Accounts {
		p.account(a)
	}
	for _, b := range c.Breaks {
		p.field("clock", "%s (%s): %s  %s", b.Name, b.Limit, b.Breaks, b.Why)
	}
	for _, u := range c.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	p.costNext(c)
	return p.flush(w)
}

func (p *page) account(a Account) {
	switch {
	case a.Unlimited:
		p.field("free now", "%s: no limit known, nothing is held for it", a.Name)
	case a.Free == nil:
		p.field("free now", "%s: not known", a.Name)
	default:
		p.field("free now", "%s: %d, needed %s (read %s ago)", a.Name, *a.Free, a.Needs, p.style.age(a.ReadAt))
		if *a.Free < a.Needs.Max {
			p.field("more by", "%s: %s", a.Name, p.style.span(a.More))
		}
	}
}

func (c Cost) verdict() painted {
	switch c.Verdict {
	case "allow":
		return painted{"ALLOW", good}
	case "hold":
		return painted{"HOLD", warn}
	}
	return painted{"UNKNOWN", warn}
}

func (c Cost) sentence(st Style) string {
	units := c.Total()
	text := units.String() + " units"
	if units.Min == 1 && units.Max == 1 {
		text = "1 unit"
	}
	switch c.Verdict {
	case "allow":
		return text + ", may all start now"
	case "hold":
		return fmt.Sprintf("%s, would wait: last pod let go %s", text, st.span(c.Finish))
	}
	return text + "; whether they would wait cannot be known"
}

func (p *page) costNext(c Cost) {
	switch {
	case c.Source == "client":
		p.next("%s", p.style.command("install", "--shadow", "--dry-run"))
	case c.Verdict == "hold":
		p.next("%s", p.style.command("budget"))
	default:
		p.next("%s", p.style.command("rollout", c.Workload, "-n", c.Namespace))
	}
}
