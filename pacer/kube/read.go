package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
)

// Pull is an image that the pods of a template pull, for those who read a cluster
// without pacing it.
type Pull struct {
	Image core.Image
	Host  string
	// Always says that every start asks the registry.
	Always bool
}

// Pulls are the distinct images that a pod pulls, in the order of its pulls.
func Pulls(spec *corev1.PodSpec) []Pull {
	var out []Pull
	for _, p := range podImages(spec) {
		out = append(out, Pull{Image: p.Image, Host: p.Host, Always: p.Always})
	}
	return out
}

// EgressOf is the egress group of a node by the budgets; empty where none narrows
// it, and alone for a node that has an address of its own.
func (r *Rules) EgressOf(n *corev1.Node) (group string, alone bool) {
	group = nodeEgress(r.budgets, n)
	return group, strings.HasPrefix(group, "node/")
}
