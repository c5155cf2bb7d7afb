package kube

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// budget is what a PullBudget says, ready for matching.
type budget struct {
	name    string
	created time.Time
	// hosts are the registry host and those that draw on it.
	hosts []string
	// identity is what the registry sees: "anonymous", a Secret's name, "node".
	identity    string
	credentials bool
	// The fields of match; empty or nil: everything.
	pullSecrets, serviceAccounts []string
	namespaces                   labels.Selector
	// nodes limits the budget to nodes; nil: every node. perNode makes each of
	// them an account of its own; otherwise egressName names them together.
	nodes      labels.Selector
	perNode    bool
	egressName string
	// The rest is for its accounts alone.
	settings   quota.Settings
	breaker    feedback.Settings
	paused     bool
	resumed    time.Time
	generation int64
}

// choice is the budget without what is for its accounts alone.
func (b *budget) choice() budget {
	out := *b
	out.settings, out.breaker, out.paused, out.resumed, out.generation = quota.Settings{}, feedback.Settings{}, false, time.Time{}, 0
	return out
}

// specific is how many ways the budget narrows what it matches.
func (b *budget) specific() int {
	n := 0
	for _, narrows := range []bool{len(b.pullSecrets) > 0, len(b.serviceAccounts) > 0, b.namespaces != nil, b.nodes != nil || b.perNode} {
		if narrows {
			n++
		}
	}
	return n
}

// sortBudgets puts the more specific first, then the older, then by name.
func sortBudgets(budgets []*budget) {
	slices.SortFunc(budgets, func(a, b *budget) int {
		return cmp.Or(cmp.Compare(b.specific(), a.specific()), a.created.Compare(b.created), cmp.Compare(a.name, b.name))
	})
}

// covers reports whether pulls of the pod from the host draw on the budget, as
// far as the pod tells; the node decides the rest.
func (b *budget) covers(host string, spec *corev1.PodSpec, namespaceLabels map[string]string) bool {
	return slices.Contains(b.hosts, host) && b.means(spec, namespaceLabels) && (len(b.pullSecrets) == 0 || b.carriesSecret(spec))
}

// means reports whether the budget is for pods of that namespace and ServiceAccount.
func (b *budget) means(spec *corev1.PodSpec, namespaceLabels map[string]string) bool {
	if b.namespaces != nil && !b.namespaces.Matches(labels.Set(namespaceLabels)) {
		return false
	}
	return len(b.serviceAccounts) == 0 || slices.Contains(b.serviceAccounts, spec.ServiceAccountName)
}

// carriesSecret reports whether the pod names one of the budget's pull secrets.
func (b *budget) carriesSecret(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.ImagePullSecrets, func(r corev1.LocalObjectReference) bool {
		return slices.Contains(b.pullSecrets, r.Name)
	})
}

// egress is the egress group of a node on the budget; ok is false for a node that
// the budget does not cover.
func (b *budget) egress(n *corev1.Node) (group string, ok bool) {
	if b.nodes != nil && !b.nodes.Matches(labels.Set(n.Labels)) {
		return "", false
	}
	switch {
	case b.perNode:
		return perNodeGroup(n.Name), true
	case b.nodes != nil:
		return b.egressName, true
	}
	return "", true
}

// perNodeGroup is the egress group of a node that is an account of its own.
func perNodeGroup(node string) string { return "node/" + node }

// accountID names the account of an egress group of the budget.
func (b *budget) accountID(egress string) core.AccountID {
	id := b.hosts[0] + "/" + b.identity
	if egress != "" {
		id += "@" + egress
	}
	return core.AccountID(id)
}

// account is the account of an egress group of the budget.
func (b *budget) account(egress string) engine.Account {
	return engine.Account{
		ID: b.accountID(egress), Host: b.hosts[0], Egress: egress,
		Credentials: b.credentials, Settings: b.settings, Breaker: b.breaker, Paused: b.paused, Resumed: b.resumed, Generation: b.generation,
	}
}

// nodeEgress is the egress group of a node: that of the first budget which
// narrows nodes and covers it. A node is in one group only.
func nodeEgress(budgets []*budget, n *corev1.Node) string {
	for _, b := range budgets {
		if b.nodes == nil && !b.perNode {
			continue
		}
		if group, ok := b.egress(n); ok {
			return group
		}
	}
	return ""
}

// candidates are the accounts that a pull of the pod from the host may draw on,
// in order of preference; groups are the egress groups that exist, by budget.
func candidates(budgets []*budget, groups map[string][]string, host string, spec *corev1.PodSpec, namespaceLabels map[string]string) []core.AccountID {
	return accountsOf(drawnOn(budgets, host, spec, namespaceLabels), groups)
}

// drawnOn are the budgets that a pull of the pod from the host may draw on, in order of
// preference: none comes after one that is for every node.
func drawnOn(budgets []*budget, host string, spec *corev1.PodSpec, namespaceLabels map[string]string) []*budget {
	var drawn []*budget
	for _, b := range budgets {
		if !b.covers(host, spec, namespaceLabels) {
			continue
		}
		drawn = append(drawn, b)
		if b.nodes == nil && !b.perNode {
			break
		}
	}
	return drawn
}

// accountsOf are the accounts of budgets, each once, in order.
func accountsOf(budgets []*budget, groups map[string][]string) []core.AccountID {
	var ids []core.AccountID
	listed := map[core.AccountID]bool{}
	for _, b := range budgets {
		for _, egress := range groups[b.name] {
			if id := b.accountID(egress); !listed[id] {
				listed[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}
