package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// EgressOf is the egress group of a node by the budgets; empty where none narrows
// it, and alone for a node that has an address of its own.
func (r *Rules) EgressOf(n *corev1.Node) (group string, alone bool) {
	group = nodeEgress(r.budgets, n)
	return group, strings.HasPrefix(group, "node/")
}
