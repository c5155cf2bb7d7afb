package kube

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Station is where a probe must run for readings to be those of the nodes' pulls.
type Station struct {
	// Egress names the group of the nodes; with PerNode each is a group of its own.
	Egress  string
	PerNode bool
	// Nodes is what a node of the group has.
	Nodes []corev1.NodeSelectorRequirement
}

// Name is the name of the workload that runs the probe.
func (s Station) Name() string { return "pacer-probe-" + digest(s.key()) }

// key tells stations apart: one probe serves all accounts of a group, and one probe
// on each node all that are accounts of that node.
func (s Station) key() any {
	if s.PerNode {
		return s.Nodes
	}
	return s.Egress
}

// Covers reports whether a node is of the group.
func (s Station) Covers(n *corev1.Node) bool {
	if len(s.Nodes) == 0 {
		return true
	}
	required, err := nodeaffinity.NewNodeSelector(&corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: s.Nodes}}})
	return err == nil && required.Match(n)
}

// Stations are the groups of nodes whose readings must be made from there, sorted by
// name: those of accounts that a registry tells apart by address. A declared limit
// needs no reading, and what is metered by user is the same from everywhere.
func Stations(budgets []v1alpha1.PullBudget) []Station {
	seen := map[string]bool{}
	var out []Station
	for i := range budgets {
		spec := &budgets[i].Spec
		b, err := newBudget(&budgets[i])
		if err != nil || (b.nodes == nil && !b.perNode) || !spec.MeteredByAddress() {
			continue
		}
		s := Station{Egress: b.egressName, PerNode: b.perNode, Nodes: nodeRequirements(b.nodes)}
		if s.PerNode {
			s.Egress = ""
		}
		if name := s.Name(); !seen[name] {
			seen[name] = true
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Station) int { return cmp.Compare(a.Name(), b.Name()) })
	return out
}

// operators are those of label selectors, for node affinity.
var operators = map[selection.Operator]corev1.NodeSelectorOperator{
	selection.In: corev1.NodeSelectorOpIn, selection.Equals: corev1.NodeSelectorOpIn, selection.DoubleEquals: corev1.NodeSelectorOpIn,
	selection.NotIn: corev1.NodeSelectorOpNotIn, selection.NotEquals: corev1.NodeSelectorOpNotIn,
	selection.Exists: corev1.NodeSelectorOpExists, selection.DoesNotExist: corev1.NodeSelectorOpDoesNotExist,
}

// nodeRequirements is a label selector as node affinity says it; nil: every node.
func nodeRequirements(s labels.Selector) []corev1.NodeSelectorRequirement {
	if s == nil {
		return nil
	}
	requirements, _ := s.Requirements()
	var out []corev1.NodeSelectorRequirement
	for _, r := range requirements {
		values := r.Values().List()
		if len(values) == 0 {
			values = nil
		}
		out = append(out, corev1.NodeSelectorRequirement{Key: r.Key(), Operator: operators[r.Operator()], Values: values})
	}
	return out
}
