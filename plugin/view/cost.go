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
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	// NotHeld is the Reason for which Pace holds none of them, whatever is free.
	NotHeld string `json:"notHeld,omitempty"`
	// Class is that of the pods, Nodes how many nodes they may use.
	Class    string    `json:"class,omitempty"`
	Nodes    int32     `json:"nodes,omitempty"`
	Images   []Image   `json:"images"`
	Accounts []Account `json:"accounts"`
	// Needs is of all accounts, where not all are listed.
	Needs *Units `json:"needs,omitempty"`
	// Finish is when the last pod may be released, if it had to wait, HoldUntil when
	// the hold of a pod that is created now would end at the latest.
	Finish    Window    `json:"finish,omitzero"`
	HoldUntil time.Time `json:"holdUntil,omitzero"`
	// Gated pods of the namespace are held now, of MaxGated at most.
	Gated    int32 `json:"gated,omitempty"`
	MaxGated int32 `json:"maxGated,omitempty"`
	// Unknown are the things that could not be known, each with its why.
	Unknown []string `json:"unknown,omitempty"`
	// Breaks are clocks that a hold would run against.
	Breaks []Clock `json:"breaks,omitempty"`
	// Surge is how many pods there are beyond those of before while new ones are
	// held, Quotas what they use of the namespace's ResourceQuotas.
	Surge  int32   `json:"surge,omitempty"`
	Quotas []Quota `json:"quotas,omitempty"`
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
	// Free is what the class of the pods may spend now; nil: not known.
	Free   *int64    `json:"free,omitempty"`
	ReadAt time.Time `json:"readAt,omitzero"`
	// Limit and WindowSeconds are the registry's, SeenAs is whom it metered.
	Limit         int64  `json:"limit,omitempty"`
	WindowSeconds int64  `json:"windowSeconds,omitempty"`
	SeenAs        string `json:"seenAs,omitempty"`
	More          Window `json:"more,omitzero"`
	// Unlimited accounts hold nothing.
	Unlimited bool `json:"unlimited,omitempty"`
	// Breaker is set where failing pulls pause the account, Paused where a person does,
	// and says why.
	Breaker Breaker `json:"breaker,omitzero"`
	Paused  string  `json:"paused,omitempty"`
}

// Clock is something that gives up waiting.
type Clock struct {
	Name   string `json:"name"`
	Limit  string `json:"limit"`
	Breaks string `json:"breaks"` // yes, no, unknown
	Why    string `json:"why,omitempty"`
}

// Quota is what the pods of a rollout use of a ResourceQuota while they are held.
type Quota struct {
	Name     string `json:"name"`
	Resource string `json:"resource"`
	Adds     string `json:"adds"`
	Used     string `json:"used"`
	Hard     string `json:"hard"`
	Fits     bool   `json:"fits"`
}

// Names implements `-o name`.
func (c Cost) Names() []string { return []string{c.Workload} }

// Total is what all accounts are charged together.
func (c Cost) Total() Units {
	if c.Needs != nil {
		return *c.Needs
	}
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
	p.line("%s  %s  %s, %d to start%s; priced by the %s", c.Workload, c.Namespace, noun(c.Replicas, "replica"), c.Pods, c.on(), c.Source)
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
	p.bounds(c)
	for _, b := range c.Breaks {
		p.field("would break", "%s (%s): %s  %s", b.Name, b.Limit, painted{b.Breaks, breakPaint(b.Breaks)}, b.Why)
	}
	for _, q := range c.Quotas {
		p.field("quota", "%s", q.sentence(c.Surge))
	}
	for _, u := range c.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	p.costNext(c)
	return p.flush(w)
}

// on says how many nodes the pods may use.
func (c Cost) on() string {
	if c.Nodes == 0 {
		return ""
	}
	return " on " + noun(c.Nodes, "node")
}

// bounds says what bounds a hold, and what is not held at all.
func (p *page) bounds(c Cost) {
	if c.NotHeld != "" {
		p.field("not held", "%s", painted{c.NotHeld + ": no pod of it waits, and what the registry does not allow is refused", warn})
		return
	}
	if c.Verdict == "hold" && !c.HoldUntil.IsZero() {
		p.field("at most", "a pod that is held now goes at %s at the latest", p.style.clock(c.HoldUntil))
	}
	if room := c.MaxGated - c.Gated; c.MaxGated > 0 && c.Pods > room {
		p.field("held at most", "%d pods of a namespace, %d are held now: pods beyond that start without a hold", c.MaxGated, c.Gated)
	}
}

func breakPaint(breaks string) paint {
	if breaks == "no" {
		return good
	}
	return warn
}

// sentence says what so many more pods use of the quota.
func (q Quota) sentence(pods int32) painted {
	text := fmt.Sprintf("%s count while held: %s of %s in %s, %s more", noun(pods, "surge pod"), q.Resource+" "+q.Used, q.Hard, q.Name, q.Adds)
	if q.Fits {
		return painted{text + ": fits", good}
	}
	return painted{text + ": does not fit, so that pods beyond it are not created", bad}
}

func (p *page) account(a Account) {
	switch {
	case a.Unlimited:
		p.field("free now", "%s: no limit known, nothing is held for it", a.Name)
	case a.Free == nil:
		p.field("free now", "%s: not known", a.Name)
	default:
		p.field("free now", "%s: %d, needed %s (read %s ago%s)", a.Name, *a.Free, a.Needs, p.style.age(a.ReadAt), a.seen())
		if *a.Free < a.Needs.Max {
			p.field("more by", "%s: %s", a.Name, p.style.span(a.More))
		}
	}
}

// seen says whom the registry metered, and its limit.
func (a Account) seen() string {
	text := ""
	if a.SeenAs != "" {
		text = ", as " + a.SeenAs
	}
	if a.Limit > 0 && a.WindowSeconds > 0 {
		text += fmt.Sprintf(", limit %d/%s", a.Limit, span(time.Duration(a.WindowSeconds)*time.Second))
	}
	return text
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

// units says what all accounts are charged together.
func (c Cost) units() string {
	units := c.Total()
	if units.Min == 1 && units.Max == 1 {
		return "1 unit"
	}
	return units.String() + " units"
}

func (c Cost) sentence(st Style) string {
	text := c.units()
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
