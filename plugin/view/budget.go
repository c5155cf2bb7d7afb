package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Budgets is the answer of `budget`.
type Budgets struct {
	Controller Controller `json:"controller"`
	Items      []Budget   `json:"items"`
}

// Budget is one account. Pointers are nil where nothing is known.
type Budget struct {
	Name     string `json:"name"`
	Registry string `json:"registry"`
	// Account is host/identity, or host/identity@egress; empty before it is known.
	Account string `json:"account,omitempty"`
	// Identity is what was declared, SeenAs what the registry says it sees.
	Identity string `json:"identity"`
	SeenAs   string `json:"seenAs,omitempty"`
	Limit    *int64 `json:"limit,omitempty"`
	// WindowSeconds is the limit's window.
	WindowSeconds int64  `json:"windowSeconds,omitempty"`
	Remaining     *int64 `json:"remaining,omitempty"`
	// Available is what each class may spend now, by class name.
	Available     map[string]int64 `json:"available,omitempty"`
	Reserved      int64            `json:"reserved"`
	UngatedDemand int64            `json:"ungatedDemand"`
	OthersPerHour string           `json:"othersPerHour,omitempty"`
	// Held counts pods that wait for the account, Demand what they may cost.
	Held     int32     `json:"held"`
	Demand   int64     `json:"demand"`
	Forecast Window    `json:"forecast,omitzero"`
	PerPull  []Charge  `json:"perPull,omitempty"`
	ReadAt   time.Time `json:"readAt,omitzero"`
	Grade    string    `json:"grade,omitempty"`
	// Unlimited says that nothing is held for the account.
	Unlimited bool `json:"unlimited,omitempty"`
	// Doubt says why the readings may not be of what pulls are charged to.
	Doubt string `json:"doubt,omitempty"`
	// ProbesChargedSince is since when the registry is known to charge for a reading.
	ProbesChargedSince time.Time `json:"probesChargedSince,omitzero"`
	// Flow is what is asked of the account and what it gives.
	Flow Flow `json:"flow,omitzero"`
	// Share is this cluster's part of the account, where others use it too; Mirrors
	// are the hosts that nodes ask first.
	Share        string      `json:"share,omitempty"`
	Mirrors      []string    `json:"mirrors,omitempty"`
	Breaker      Breaker     `json:"breaker,omitzero"`
	PausedReason string      `json:"pausedReason,omitempty"`
	Spent        []Spent     `json:"spent,omitempty"`
	Window       *Usage      `json:"window,omitempty"`
	Problems     []Condition `json:"problems,omitempty"`
}

// Flow is what is asked of an account and what it gives, in units an hour.
type Flow struct {
	AskedPerHour  string    `json:"askedPerHour,omitempty"`
	GivenPerHour  string    `json:"givenPerHour,omitempty"`
	OverSeconds   int64     `json:"overSeconds,omitempty"`
	HopelessSince time.Time `json:"hopelessSince,omitzero"`
}

// Charge is what pulls through a host were found to cost.
type Charge struct {
	Host      string `json:"host,omitempty"`
	Manifests int32  `json:"manifests"`
	Mean      string `json:"mean"`
	Samples   int32  `json:"samples"`
	// Most is the charge of the dearest batch, Certain that it is believed.
	Most    int64 `json:"most"`
	Certain bool  `json:"certain"`
}

// Breaker is whether pulls of an account go wrong.
type Breaker struct {
	State string    `json:"state,omitempty"`
	Cause string    `json:"cause,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Usage is who spent the window.
type Usage struct {
	// Used is what the parts come to: what this cluster's pulls took, those that the last
	// reading cannot know of yet included, and what it knew of others.
	Used int64 `json:"used"`
	// Namespaces spent most first, and in each the workloads; Unnamed are those of this
	// cluster that are too many to be listed.
	Namespaces []NamespaceUse `json:"namespaces"`
	Unnamed    int64          `json:"unnamed"`
	// NotThisCluster is what was gone at the last reading and not taken here; nil where
	// no reading tells.
	NotThisCluster *int64 `json:"notThisCluster,omitempty"`
	// UnderWay is what pulls that have not ended may take besides.
	UnderWay int64 `json:"underWay"`
}

// NamespaceUse is what the pulls of a namespace took of the window.
type NamespaceUse struct {
	Namespace string        `json:"namespace"`
	Units     int64         `json:"units"`
	Workloads []WorkloadUse `json:"workloads"`
}

// WorkloadUse is what the pulls for a workload took.
type WorkloadUse struct {
	Workload string `json:"workload"`
	Units    int64  `json:"units"`
}

// Spent is units set aside in the bucket of time that ends at End.
type Spent struct {
	End   time.Time `json:"end"`
	Units int64     `json:"units"`
}

// Condition is a condition that needs attention.
type Condition struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Names implements `-o name`.
func (b Budgets) Names() []string {
	names := make([]string, 0, len(b.Items))
	for _, item := range b.Items {
		names = append(names, "pullbudget.pullpace.dev/"+item.Name)
	}
	return names
}

// BudgetTable lists accounts, one a line.
func BudgetTable(w io.Writer, b Budgets, st Style) error {
	p := page{style: st}
	if len(b.Items) == 0 {
		p.line("No PullBudgets: nothing is paced. Controller: %s", b.Controller.verdict(st))
		p.next("%s", "write a PullBudget for the registry you pull from, see manifests/samples")
		return p.flush(w)
	}
	t := table{heads: []string{"NAME", "REGISTRY", "SEEN AS", ">LIMIT", ">LEFT", ">FREE", ">OTHERS/H", ">HELD", "MORE BY", ">PER PULL", ">READ", "STATE"}}
	if st.Wide {
		t.heads = append(t.heads, "ACCOUNT", "IDENTITY", ">RESERVED", ">UNGATED", "FREE BY CLASS")
	}
	for _, item := range b.Items {
		t.row(item.cells(b.Controller, st)...)
	}
	p.table(t)
	if !b.Controller.Alive(st.Now) {
		p.line("%s", painted{"controller " + b.Controller.verdict(st).text + "; figures are as old as their reading", warn})
	}
	for _, item := range b.Items {
		for _, c := range item.Problems {
			p.line("%s: %s: %s", item.Name, painted{c.Reason, warn}, c.Message)
		}
	}
	return p.flush(w)
}

func (b Budget) cells(c Controller, st Style) []any {
	cells := []any{
		b.Name, b.Registry, dash(b.SeenAs), b.limit(), number(b.Remaining), b.free(), dash(b.OthersPerHour), fmt.Sprint(b.Held),
		b.more(st), b.perPull(), st.age(b.ReadAt), b.state(c, st),
	}
	if st.Wide {
		cells = append(cells, dash(b.Account), b.Identity, fmt.Sprint(b.Reserved), fmt.Sprint(b.UngatedDemand), b.byClass())
	}
	return cells
}

// limit prints "100/1h", "none" where the registry sends none, "-" where nothing
// was read.
func (b Budget) limit() string {
	switch {
	case b.Limit == nil && b.Grade == "Never":
		return "none"
	case b.Limit == nil:
		return "-"
	case b.WindowSeconds == 0:
		return fmt.Sprint(*b.Limit)
	}
	return fmt.Sprintf("%d/%s", *b.Limit, span(time.Duration(b.WindowSeconds)*time.Second))
}

// free is what a rollout may spend now.
func (b Budget) free() string {
	free, ok := b.Available["rollout"]
	if !ok {
		return "-"
	}
	return fmt.Sprint(free)
}

func (b Budget) more(st Style) string {
	if b.Forecast.IsZero() {
		return "-"
	}
	return st.span(b.Forecast)
}

// perPull is what is known best: of several kinds the one with most samples.
func (b Budget) perPull() string {
	var best Charge
	for _, c := range b.PerPull {
		if c.Samples > best.Samples {
			best = c
		}
	}
	if best.Samples == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%d)", best.Mean, best.Samples)
}

func (b Budget) byClass() string {
	var parts []string
	for _, class := range []string{"node-critical", "rollback", "serving", "rollout", "batch", "ci"} {
		if units, ok := b.Available[class]; ok {
			parts = append(parts, fmt.Sprintf("%s=%d", class, units))
		}
	}
	return dash(strings.Join(parts, " "))
}

func (b Budget) state(c Controller, st Style) painted {
	switch {
	case b.PausedReason != "":
		return painted{"paused: " + b.PausedReason, warn}
	case b.Breaker.State == "paused":
		return painted{"breaker paused until " + st.clock(b.Breaker.Until) + ": " + b.Breaker.Cause, bad}
	case b.Breaker.State == "trying one":
		return painted{"breaker trying one: " + b.Breaker.Cause, warn}
	case !c.Installed:
		return painted{"no controller", warn}
	}
	switch b.Grade {
	case "":
		return painted{"waiting for a first reading", warn}
	case "OK":
		switch {
		case !b.Flow.HopelessSince.IsZero():
			return painted{"hopeless since " + st.clock(b.Flow.HopelessSince) + ": not held", bad}
		case b.Doubt != "":
			return painted{"pulls do not show on it", bad}
		}
		return painted{"ok", good}
	case "Never":
		return painted{"not held: the registry sends no limit", ""}
	case "Lost":
		return painted{"the limit is not sent any more", warn}
	case "Stale":
		if !b.ProbesChargedSince.IsZero() {
			return painted{"not read: the registry charges for it", bad}
		}
		return painted{"the registry does not answer", warn}
	case "Mismatch":
		return painted{"readings belong to another identity, not used", bad}
	}
	return painted{b.Grade, warn}
}

// BudgetSpent explains accounts: who spent the window, whether demand can be met, the
// books, and what was spent when.
func BudgetSpent(w io.Writer, b Budgets, st Style) error {
	p := page{style: st}
	for i, item := range b.Items {
		if i > 0 {
			p.gap()
		}
		p.spent(item, b.Controller)
	}
	return p.flush(w)
}

func (p *page) spent(b Budget, c Controller) {
	total := int64(0)
	for _, s := range b.Spent {
		total += s.Units
	}
	used := ""
	if b.Limit != nil && b.Remaining != nil {
		used = fmt.Sprintf("; the registry counts %d of %s used (read %s ago)", max(*b.Limit-*b.Remaining, 0), b.limit(), p.style.age(b.ReadAt))
	}
	p.line("%s  %s  %s", b.Name, b.Registry, b.state(c, p.style))
	p.usage(b)
	p.line("demand %s", b.demand())
	for i, line := range b.Window.lines() {
		p.field([]string{"by workload", ""}[min(i, 1)], "%s", line)
	}
	p.field("spent", "%d counted by Pace in this window%s", total, used)
	p.field("open", "%d reserved for releases that no reading covers yet, %d for pods that Pace did not hold", b.Reserved, b.UngatedDemand)
	p.field("others", "%s an hour, estimated", dash(b.OthersPerHour))
	p.field("free", "%s", b.byClass())
	for _, c := range b.PerPull {
		p.field("per pull", "%s (%d seen) through %s, %d %s", c.Mean, c.Samples, dash(c.Host), c.Manifests, many(c.Manifests, "manifest"))
	}
	if b.Share != "" {
		p.field("share", "%s", b.Share)
	}
	if len(b.Mirrors) > 0 {
		p.field("mirrors", "%s", strings.Join(b.Mirrors, ", "))
	}
	for _, s := range b.Spent {
		p.field("", "until %s  %d", p.style.clock(s.End), s.Units)
	}
}

// usage is the verdict: how much of the window is gone, and who took it.
func (p *page) usage(b Budget) {
	w := b.Window
	if w == nil {
		p.line("nothing is known of this window yet")
		return
	}
	parts := make([]string, 0, len(w.Namespaces)+3)
	for _, n := range w.Namespaces {
		parts = append(parts, fmt.Sprintf("%s %d", n.Namespace, n.Units))
	}
	if w.Unnamed > 0 {
		parts = append(parts, fmt.Sprintf("others of this cluster %d", w.Unnamed))
	}
	if w.NotThisCluster != nil {
		parts = append(parts, fmt.Sprintf("not this cluster %d", *w.NotThisCluster))
	}
	if len(parts) == 0 {
		parts = []string{"nobody pulled"}
	}
	of := ""
	if b.Limit != nil {
		of = fmt.Sprintf(" of %d", *b.Limit)
	}
	under := ""
	if w.UnderWay > 0 {
		under = fmt.Sprintf("   (%d more under way)", w.UnderWay)
	}
	p.line("%d%s in this window: %s%s", w.Used, of, strings.Join(parts, "   "), under)
}

// lines are what each workload took, namespace by namespace.
func (u *Usage) lines() []string {
	if u == nil {
		return nil
	}
	var lines []string
	for _, n := range u.Namespaces {
		for _, w := range n.Workloads {
			lines = append(lines, fmt.Sprintf("%d  %s -n %s", w.Units, w.Workload, n.Namespace))
		}
	}
	return lines
}

// demand says whether pacing can work: whether what is asked for drains.
func (b Budget) demand() string {
	if b.Flow.OverSeconds == 0 {
		return "not watched for a whole window yet"
	}
	verdict := "pacing can work"
	if !b.Flow.HopelessSince.IsZero() {
		verdict = "no queue drains: nothing is held"
	}
	return fmt.Sprintf("%s/h, supply %s/h over the last %s: %s", whole(b.Flow.AskedPerHour), whole(b.Flow.GivenPerHour), span(time.Duration(b.Flow.OverSeconds)*time.Second), verdict)
}

// whole takes off decimals that say nothing.
func whole(number string) string { return strings.TrimSuffix(number, ".00") }

func many(n int32, thing string) string {
	if n == 1 {
		return thing
	}
	return thing + "s"
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
