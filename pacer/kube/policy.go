package kube

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
)

// policy is what a PacePolicy says, ready for matching.
type policy struct {
	name    string
	created time.Time
	// namespaces and pods select what it rules; nil: everything.
	namespaces, pods labels.Selector
	// spec has its defaults filled in.
	spec v1alpha1.PacePolicySpec
}

func newPolicy(p *v1alpha1.PacePolicy) (*policy, error) {
	if err := p.Spec.Validate().ToAggregate(); err != nil {
		return nil, err
	}
	out := &policy{name: p.Name, created: p.CreationTimestamp.Time, spec: *p.Spec.DeepCopy()}
	out.spec.Default()
	var err error
	if out.namespaces, err = selector(p.Spec.NamespaceSelector); err != nil {
		return nil, err
	}
	out.pods, err = selector(p.Spec.PodSelector)
	return out, err
}

// sortPolicies puts the oldest first, since it wins.
func sortPolicies(policies []*policy) {
	slices.SortFunc(policies, func(a, b *policy) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name, b.name))
	})
}

// policyFor is the oldest policy that selects the pod; nil: none does.
func policyFor(policies []*policy, namespaceLabels, podLabels map[string]string) *policy {
	for _, p := range policies {
		if p.namespaces != nil && !p.namespaces.Matches(labels.Set(namespaceLabels)) {
			continue
		}
		if p.pods != nil && !p.pods.Matches(labels.Set(podLabels)) {
			continue
		}
		return p
	}
	return nil
}

// classOf is the class of a pod: the one that the policy gives its PriorityClass,
// else ci for a pod of nobody, as CI runners make them, else the policy's default;
// rollout where no policy rules.
func (p *policy) classOf(pod *corev1.Pod) core.Class {
	if p == nil {
		return core.ClassRollout
	}
	if metav1.GetControllerOf(pod) == nil && !p.spec.Maps(pod.Spec.PriorityClassName) {
		return core.ClassCI
	}
	return p.spec.ClassOf(pod.Spec.PriorityClassName)
}

// deletesFirst says why a Deployment that deletes pods first is not held.
func (p *policy) deletesFirst(d *appsv1.Deployment) core.Reason {
	if d == nil {
		return ""
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return core.Recreate
	}
	if p.spec.DeleteFirst == v1alpha1.NeverHold && DeletesFirst(d) {
		return core.Excluded
	}
	return ""
}

// DeletesFirst reports whether a rolling update of a Deployment may delete pods before
// their successors are ready.
func DeletesFirst(d *appsv1.Deployment) bool {
	r := d.Spec.Strategy.RollingUpdate
	return r != nil && r.MaxUnavailable != nil && !gate.IsZero(r.MaxUnavailable)
}
