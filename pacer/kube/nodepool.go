package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Karpenter's kinds, read without its module. Only what is named here is read.
const (
	// LabelNodePool is on every node that Karpenter made.
	LabelNodePool = "karpenter.sh/nodepool"
	// taintUnregistered is on a node until Karpenter has taken it in.
	taintUnregistered = "karpenter.sh/unregistered"
)

// NodePoolKind and NodeClaimKind are what Karpenter calls them.
func NodePoolKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodePool"}
}

// NodeClaimKind is the kind of a node that Karpenter asked for.
func NodeClaimKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaim"}
}

// claimSpec is what a NodePool's template and a NodeClaim both say of their nodes.
type claimSpec struct {
	Requirements []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"requirements"`
	Taints        []corev1.Taint `json:"taints"`
	StartupTaints []corev1.Taint `json:"startupTaints"`
}

// NodePoolTemplate is the node that a NodePool makes. Labels that may have one value
// only are part of it; of what it leaves open, the operating system is taken to be
// linux and the platform amd64.
func NodePoolTemplate(pool *unstructured.Unstructured) (NodeTemplate, error) {
	labels, _, err := unstructured.NestedStringMap(pool.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodePool %q: %w", pool.GetName(), err)
	}
	spec, _, err := unstructured.NestedMap(pool.Object, "spec", "template", "spec")
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodePool %q: %w", pool.GetName(), err)
	}
	t, err := claimTemplate(labels, spec)
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodePool %q: %w", pool.GetName(), err)
	}
	t.Labels[LabelNodePool] = pool.GetName()
	return t, nil
}

// NodeClaimTemplate is the node that a NodeClaim stands for, and its name once it has
// one.
func NodeClaimTemplate(claim *unstructured.Unstructured) (NodeTemplate, error) {
	spec, _, err := unstructured.NestedMap(claim.Object, "spec")
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodeClaim %q: %w", claim.GetName(), err)
	}
	t, err := claimTemplate(claim.GetLabels(), spec)
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodeClaim %q: %w", claim.GetName(), err)
	}
	t.Name, _, err = unstructured.NestedString(claim.Object, "status", "nodeName")
	if err != nil {
		return NodeTemplate{}, fmt.Errorf("reading NodeClaim %q: %w", claim.GetName(), err)
	}
	return t, nil
}

// claimTemplate is the node that labels and a spec describe.
func claimTemplate(labels map[string]string, content map[string]any) (NodeTemplate, error) {
	var spec claimSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &spec); err != nil {
		return NodeTemplate{}, fmt.Errorf("reading the spec of nodes: %w", err)
	}
	t := NodeTemplate{Taints: spec.Taints, StartupTaints: spec.StartupTaints,
		Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}}
	for _, r := range spec.Requirements {
		if r.Operator == "In" && len(r.Values) == 1 {
			t.Labels[r.Key] = r.Values[0]
		}
	}
	for key, value := range labels {
		t.Labels[key] = value
	}
	return t, nil
}

// DeclaresHold reports whether Karpenter knows that nodes start with our taint, so that
// it waits for a held node rather than making another in its place.
func (t NodeTemplate) DeclaresHold() bool {
	for _, taint := range t.StartupTaints {
		if taint.Key == v1alpha1.Taint && taint.Effect == corev1.TaintEffectNoSchedule {
			return true
		}
	}
	return false
}
