package kube

import (
	"cmp"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
)

// ToPrice is what is to be priced and what is known around it. Objects are only
// read; what could not be listed may be left out and makes the price less sure.
type ToPrice struct {
	// Namespace and Template are the pods', Replicas how many of them will start.
	Namespace *corev1.Namespace
	Template  *corev1.PodTemplateSpec
	Replicas  int
	// EachNode says that one starts on each node, however many Replicas says.
	EachNode bool
	// Fleet is where they may go, and what is there.
	Fleet *Fleet
	Rules *Rules
	// PerPull is what one cold pull of an image is charged on an account, which is
	// nothing where a mirror answers; nil, or false, where it is not known.
	PerPull func(core.Image, core.AccountID) (each plan.Span, known bool)
}

// PriceRow is what one image may be charged on one account.
type PriceRow struct {
	Image core.Image
	// Account is empty for an image that no PullBudget paces.
	Account core.AccountID
	// Budget is the PullBudget that declares the account.
	Budget string
	// Cold nodes lack the image, Unknown ones may have it, Warm ones have it.
	Cold, Unknown, Warm int
	Units               plan.Span
	// Why says why Units is a range, or why there is no charge.
	Why string
}

// Reasons in a PriceRow.
const (
	WhyNoBudget  = "no PullBudget paces it"
	WhyWarm      = "every node that it may use has it"
	WhyTruncated = "some nodes list only their 50 largest images"
	WhyPlacement = "depends on where the scheduler puts the pods"
	WhyManifests = "not known whether a pull is charged once or for each of its manifests"
	WhyMirror    = "pulls of it are charged nothing, as where a mirror answers"
)

// Price prices the start of pods over the nodes that they may use: a row for each
// image and account, images in the order of the pod. The order of rows and their
// content depend on the input alone.
func Price(in ToPrice) []PriceRow {
	rows, _ := price(in)
	return rows
}

// price also says how many nodes the pods may use.
func price(in ToPrice) ([]PriceRow, int) {
	rules := in.Rules
	if rules == nil {
		rules = &Rules{}
	}
	in.Fleet.mu.RLock()
	defer in.Fleet.mu.RUnlock()
	nodes := in.Fleet.fitting(&in.Template.Spec)
	if in.EachNode {
		in.Replicas = len(nodes)
	}
	onePerNode := in.EachNode || onePerNode(in.Template, in.Replicas, len(nodes))
	var rows []PriceRow
	for _, image := range Pulls(&in.Template.Spec) {
		census := count(image, nodes, rules.covering(image.Host, &in.Template.Spec, in.namespaceLabels()))
		order := plan.Order{Pods: in.Replicas, OnePerNode: onePerNode, PerPull: plan.Span{Min: 1, Max: 1}}
		for _, c := range census {
			order.Nodes = append(order.Nodes, c.NodeCount)
		}
		pulls := plan.Price(order)
		for i, c := range census {
			if c.Account == "" && len(census) > 1 {
				continue // the paced rows say what matters
			}
			rows = append(rows, in.row(image, c, pulls[i]))
		}
	}
	return rows, len(nodes)
}

func (in ToPrice) namespaceLabels() map[string]string {
	if in.Namespace == nil {
		return nil
	}
	return in.Namespace.Labels
}

// row is the price of an image on the nodes of one account, which cause so many
// pulls.
func (in ToPrice) row(image Pull, c census, pulls plan.Span) PriceRow {
	row := PriceRow{Image: image.Image, Account: c.Account, Budget: c.budget, Cold: c.Cold, Unknown: c.Unknown, Warm: c.Warm}
	if c.Account == "" {
		row.Why = WhyNoBudget
		return row
	}
	each := in.perPull(image.Image, c.Account)
	row.Units = plan.Span{Min: pulls.Min * each.Min, Max: pulls.Max * each.Max}
	row.Why = why(row, pulls)
	return row
}

// perPull is what one cold pull is charged: one unit, or two where the image may
// be an index and the registry may charge for that too.
func (in ToPrice) perPull(image core.Image, account core.AccountID) plan.Span {
	if in.PerPull != nil {
		if each, known := in.PerPull(image, account); known {
			return each
		}
	}
	return plan.Span{Min: 1, Max: 2}
}

func why(r PriceRow, pulls plan.Span) string {
	switch {
	case r.Cold+r.Unknown == 0:
		return WhyWarm
	case pulls.Max > 0 && r.Units.Max == 0:
		return WhyMirror
	case r.Units.Exact():
		return ""
	case r.Unknown > 0:
		return WhyTruncated
	case pulls.Exact():
		return WhyManifests
	}
	return WhyPlacement
}

// census is the nodes of one account.
type census struct {
	plan.NodeCount
	budget string
}

// count sorts the nodes by account and by what is known of their cache; budgets are
// those that cover the image.
func count(image Pull, nodes []*fleetNode, budgets []*budget) []census {
	type egress struct {
		budget *budget
		group  string
	}
	byEgress, byAccount := map[egress]*census{}, map[core.AccountID]*census{}
	listed := unique.Make(image.Image)
	for _, n := range nodes {
		b, group := drawsOn(budgets, n.object)
		c := byEgress[egress{b, group}]
		if c == nil {
			c = open(byAccount, b, group)
			byEgress[egress{b, group}] = c
		}
		switch present := n.has(listed); {
		case present && !(image.Always && n.alwaysCosts):
			c.Warm++
		case !present && n.truncated:
			c.Unknown++
		default:
			c.Cold++
		}
	}
	out := make([]census, 0, len(byAccount))
	for _, c := range byAccount {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b census) int { return cmp.Compare(a.Account, b.Account) })
	return out
}

// open is the census of an egress group's account; nil budget: of no account.
func open(byAccount map[core.AccountID]*census, b *budget, group string) *census {
	fresh := &census{}
	if b != nil {
		fresh.Account, fresh.budget = b.accountID(group), b.name
	}
	if c := byAccount[fresh.Account]; c != nil {
		return c
	}
	byAccount[fresh.Account] = fresh
	return fresh
}

// covering are the budgets that pulls of the pod from the host may draw on, in the
// order in which they are asked.
func (r *Rules) covering(host string, spec *corev1.PodSpec, namespaceLabels map[string]string) []*budget {
	var out []*budget
	for _, b := range r.budgets {
		if b.covers(host, spec, namespaceLabels) {
			out = append(out, b)
		}
	}
	return out
}

// drawsOn is the budget that a pull to the node is charged to, and the egress group
// of the node on it; nil: none.
func drawsOn(budgets []*budget, n *corev1.Node) (*budget, string) {
	for _, b := range budgets {
		if egress, ok := b.egress(n); ok {
			return b, egress
		}
	}
	return nil, ""
}

// onePerNode reports whether no two of the pods can share a node.
func onePerNode(t *corev1.PodTemplateSpec, replicas, nodes int) bool {
	for _, c := range t.Spec.Containers {
		if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 }) {
			return true
		}
	}
	if a := t.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		for _, term := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if term.TopologyKey == corev1.LabelHostname && selects(term.LabelSelector, t.Labels) {
				return true
			}
		}
	}
	return replicas <= nodes && slices.ContainsFunc(t.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.TopologyKey == corev1.LabelHostname && c.MaxSkew == 1 &&
			c.WhenUnsatisfiable == corev1.DoNotSchedule && selects(c.LabelSelector, t.Labels)
	})
}

func selects(s *metav1.LabelSelector, of map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && parsed.Matches(labels.Set(of))
}
