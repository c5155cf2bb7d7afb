package kube

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
)

// Budgeted is an image and the PullBudget that paces it.
type Budgeted struct {
	Image  core.Image
	Budget string
}

// Budgeted lists the images of a pod that a PullBudget paces, each with the one
// that comes first for it, whatever node it goes to.
func (r *Rules) Budgeted(spec *corev1.PodSpec, namespaceLabels map[string]string) []Budgeted {
	var out []Budgeted
	for _, image := range Pulls(spec) {
		for _, b := range r.budgets {
			if b.covers(image.Host, spec, namespaceLabels) {
				out = append(out, Budgeted{Image: image.Image, Budget: b.name})
				break
			}
		}
	}
	return out
}
