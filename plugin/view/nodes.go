package view

import (
	"fmt"
	"io"
	"strings"
)

// NodeCost is the answer of `cost nodepool/NAME`: what new nodes may be charged for
// what they start with.
type NodeCost struct {
	NodePool string `json:"nodePool"`
	// By is what makes it a pool, Present how many nodes it has, Nodes how many are to
	// come.
	By      string `json:"by"`
	Present int32  `json:"present"`
	Nodes   int32  `json:"nodes"`
	// Room is how many more nodes the limit of the pool itself lets come; nil: any.
	Room *int64 `json:"room,omitempty"`
	// Source says who priced.
	Source string `json:"source"`
	// Verdict is "allow", "hold" or "unknown".
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	// Now is how many of the nodes may come at once; nil: not known. Binds is the
	// account that allows the fewest.
	Now      *int32      `json:"now"`
	Binds    string      `json:"binds,omitempty"`
	Images   []NodeImage `json:"images"`
	Accounts []Account   `json:"accounts"`
	// WaitingPods have no room now and fit such a node; their images are in the price.
	WaitingPods int32 `json:"waitingPods"`
	// Finish is when the last of the nodes may come.
	Finish  Window   `json:"finish,omitzero"`
	Unknown []string `json:"unknown,omitempty"`
}

// NodeImage is the price of one image on all the new nodes.
type NodeImage struct {
	Image     string   `json:"image"`
	Workloads []string `json:"workloads"`
	Account   string   `json:"account,omitempty"`
	// ColdNodes will have to pull it; a range where it is not known whether the nodes
	// are born with it.
	ColdNodes Units  `json:"coldNodes"`
	Units     Units  `json:"units"`
	Why       string `json:"why,omitempty"`
}

// Names implements `-o name`.
func (c NodeCost) Names() []string { return []string{"nodepool/" + c.NodePool} }

// Total is what all accounts are charged together.
func (c NodeCost) Total() Units {
	var sum Units
	for _, a := range c.Accounts {
		sum.Min += a.Needs.Min
		sum.Max += a.Needs.Max
	}
	return sum
}

// Least is what is free of the account that has the least; nil: not known.
func (c NodeCost) Least() *int64 {
	var least *int64
	for _, a := range c.Accounts {
		if a.Free != nil && (least == nil || *a.Free < *least) {
			least = a.Free
		}
	}
	return least
}

// NodeCostPage shows the price of new nodes.
func NodeCostPage(w io.Writer, c NodeCost, st Style) error {
	p := page{style: st}
	p.line("%s  %s", Cost{Verdict: c.Verdict}.verdict(), painted{c.sentence(st), bold})
	p.line("nodepool/%s  %s to come, %d there (%s); priced by the %s", c.NodePool, noun(c.Nodes, "node"), c.Present, c.By, c.Source)
	p.gap()
	t := table{heads: []string{"IMAGE", ">COLD NODES", ">UNITS", "FOR", "ACCOUNT", "WHY"}}
	for _, i := range c.Images {
		t.row(i.Image, i.ColdNodes, i.Units, few(i.Workloads, 2), dash(i.Account), dash(i.Why))
	}
	if len(c.Images) > 1 {
		t.row("total", "", c.Total(), "", "", "")
	}
	p.table(t)
	p.gap()
	p.field("pods", "%s", c.pods())
	for _, a := range c.Accounts {
		p.account(a)
	}
	if c.Room != nil && *c.Room < int64(c.Nodes) {
		p.field("pool limit", "%s", painted{fmt.Sprintf("limits.nodes lets %d more come", *c.Room), warn})
	}
	for _, u := range c.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	p.nodesNext(c)
	return p.flush(w)
}

// pods says which pods are in the price, and which are not.
func (c NodeCost) pods() string {
	if c.WaitingPods == 0 {
		return "none waits for room that such a node fits; what comes later is not in this price"
	}
	verb := "wait"
	if c.WaitingPods == 1 {
		verb = "waits"
	}
	return fmt.Sprintf("%s %s for room that such a node fits: in the price; what comes later is not", noun(c.WaitingPods, "pod"), verb)
}

func (c NodeCost) sentence(st Style) string {
	text := Cost{Accounts: c.Accounts, Verdict: c.Verdict}.units() + " for " + noun(c.Nodes, "node")
	switch {
	case c.Verdict == "allow":
		return text + ", may all come now"
	case c.Verdict != "hold":
		return text + "; whether they may come now cannot be known"
	case c.Now == nil || *c.Now == 0:
		return text + fmt.Sprintf(", none may come now: the last %s", st.span(c.Finish))
	}
	return text + fmt.Sprintf(", %d may come now: the last %s", *c.Now, st.span(c.Finish))
}

func (p *page) nodesNext(c NodeCost) {
	switch {
	case c.Source == "client":
		p.next("%s", p.style.command("install", "--shadow", "--dry-run"))
	case c.Verdict == "hold" && c.Now != nil && *c.Now > 0:
		p.next("%s", p.style.command("check", "scaleup", c.NodePool, "--nodes", fmt.Sprint(*c.Now)))
	default:
		p.next("%s", p.style.command("budget"))
	}
}

// few prints the first few of a list.
func few(all []string, most int) string {
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}

// NodesCheck is the answer of `check scaleup`: the fields of the gate endpoint, and
// how much of what was asked may come now.
type NodesCheck struct {
	Decision          string `json:"decision"`
	Reason            string `json:"reason"`
	RetryAfterSeconds int64  `json:"retryAfterSeconds"`
	Need              Units  `json:"need"`
	Free              *int64 `json:"free"`
	// Expected is when the last of the nodes may come.
	Expected Window `json:"expected,omitzero"`
	Pool     string `json:"pool"`
	// Nodes are asked for, of which Now may come at once; null: not known. Binds is the
	// account that allows the fewest.
	Nodes   int32    `json:"nodes"`
	Now     *int32   `json:"now"`
	Binds   string   `json:"binds,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
}

// Names implements `-o name`.
func (c NodesCheck) Names() []string { return []string{"nodepool/" + c.Pool} }

// NodesCheckPage shows a check of new nodes in a line.
func NodesCheckPage(w io.Writer, c NodesCheck, st Style) error {
	p := page{style: st}
	now := "not known"
	if c.Now != nil {
		now = fmt.Sprint(*c.Now)
	}
	p.line("%s  %s  now %s of %s, need %s, free %s, expected %s", c.Decision, dash(c.Reason), now, noun(c.Nodes, "node"), c.Need, number(c.Free), st.span(c.Expected))
	if c.Binds != "" {
		p.field("binds", "%s", c.Binds)
	}
	for _, u := range c.Unknown {
		p.field("unknown", "%s", painted{u, warn})
	}
	return p.flush(w)
}
