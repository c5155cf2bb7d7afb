package kube

import (
	"cmp"
	"slices"

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
	Nodes     []corev1.Node
	// Pods tell what has started where, beyond what nodes list.
	Pods  []corev1.Pod
	Rules *Rules
	// PerPull is what one cold pull of an image is charged on an account; nil, or
	// a zero span, where nothing is known of it.
	PerPull func(core.Image, core.AccountID) plan.Span
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
)

// Price prices the start of pods over the nodes that they may use: a row for each
// image and account, images in the order of the pod. The order of rows and their
// content depend on the input alone.
func Price(in ToPrice) []PriceRow {
	var namespaceLabels map[string]string
	if in.Namespace != nil {
		namespaceLabels = in.Namespace.Labels
	}
	rules := in.Rules
	if rules == nil {
		rules = &Rules{}
	}
	nodes := eligible(in)
	started := startedByNode(in.Pods)
	onePerNode := onePerNode(in.Template, in.Replicas, len(nodes))
	var rows []PriceRow
	for _, image := range podImages(&in.Template.Spec) {
		census := count(image, nodes, started, func(n *corev1.Node) (core.AccountID, string) {
			return rules.drawsOn(image.Host, n, &in.Template.Spec, namespaceLabels)
		})
		order := plan.Order{Pods: in.Replicas, OnePerNode: onePerNode, PerPull: plan.Span{Min: 1, Max: 1}}
		for _, c := range census {
			order.Nodes = append(order.Nodes, c.NodeCount)
		}
		pulls := plan.Price(order)
		for i, c := range census {
			if c.Account == "" && len(census) > 1 {
				continue // the paced rows say what matters
			}
			row := PriceRow{Image: image.Image, Account: c.Account, Budget: c.budget,
				Cold: c.Cold, Unknown: c.Unknown, Warm: c.Warm}
			if c.Account != "" {
				each := in.perPull(image.Image, c.Account)
				row.Units = plan.Span{Min: pulls[i].Min * each.Min, Max: pulls[i].Max * each.Max}
				row.Why = why(row, pulls[i])
			} else {
				row.Why = WhyNoBudget
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// perPull is what one cold pull is charged: one unit, or two where the image may
// be an index and the registry may charge for that too.
func (in ToPrice) perPull(image core.Image, account core.AccountID) plan.Span {
	if in.PerPull != nil {
		if each := in.PerPull(image, account); each.Max > 0 {
			return each
		}
	}
	return plan.Span{Min: 1, Max: 2}
}

func why(r PriceRow, pulls plan.Span) string {
	switch {
	case r.Cold+r.Unknown == 0:
		return WhyWarm
	case r.Units.Exact():
		return ""
	case r.Unknown > 0:
		return WhyTruncated
	case pulls.Exact():
		return WhyManifests
	}
	return WhyPlacement
}

// eligible are the nodes that the pods may use.
func eligible(in ToPrice) []*corev1.Node {
	c, target := podConstraints(&in.Template.Spec)
	var nodes []*corev1.Node
	for i := range in.Nodes {
		n := &in.Nodes[i]
		if c.fits(n) && (target == "" || string(target) == n.Name) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// startedByNode is what containers have started on each node.
func startedByNode(pods []corev1.Pod) map[string]map[core.Image]bool {
	started := map[string]map[core.Image]bool{}
	for i := range pods {
		node := pods[i].Spec.NodeName
		if node == "" {
			continue
		}
		for _, image := range startedImages(&pods[i]) {
			if started[node] == nil {
				started[node] = map[core.Image]bool{}
			}
			started[node][image] = true
		}
	}
	return started
}

// census is the nodes of one account.
type census struct {
	plan.NodeCount
	budget string
}

// count sorts the nodes by account and by what is known of their cache.
func count(image podImage, nodes []*corev1.Node, started map[string]map[core.Image]bool, drawsOn func(*corev1.Node) (core.AccountID, string)) []census {
	byAccount := map[core.AccountID]*census{}
	for _, n := range nodes {
		account, budget := drawsOn(n)
		c := byAccount[account]
		if c == nil {
			c = &census{NodeCount: plan.NodeCount{Account: account}, budget: budget}
			byAccount[account] = c
		}
		facts := node(n, "")
		switch present := slices.Contains(facts.Images, image.Image) || started[n.Name][image.Image]; {
		case present && !(image.Always && facts.AlwaysCosts):
			c.Warm++
		case !present && facts.Truncated:
			c.Unknown++
		default:
			c.Cold++
		}
	}
	var out []census
	for _, c := range byAccount {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b census) int { return cmp.Compare(a.Account, b.Account) })
	return out
}

// drawsOn is the account that a pull from the host to the node is charged to, and
// the PullBudget that declares it; empty: none.
func (r *Rules) drawsOn(host string, n *corev1.Node, spec *corev1.PodSpec, namespaceLabels map[string]string) (core.AccountID, string) {
	for _, b := range r.budgets {
		if !b.covers(host, spec, namespaceLabels) {
			continue
		}
		if egress, ok := b.egress(n); ok {
			return b.accountID(egress), b.name
		}
	}
	return "", ""
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
