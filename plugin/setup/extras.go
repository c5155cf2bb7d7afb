package setup

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
)

// partOf is the label of everything that Pace's manifests make.
const partOf = "app.kubernetes.io/part-of"

// gateTemplates are what steps of Argo Rollouts ask Pace by.
var gateTemplates = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "ClusterAnalysisTemplate"}

// Extras are the roles of Pace, and the templates of Argo's by which Rollouts ask it, that
// people added to what an installation makes: they carry its label, and go with it.
func Extras(ctx context.Context, c client.Reader, known []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	rbac := rbacv1.SchemeGroupVersion
	for _, kind := range []schema.GroupVersionKind{rbac.WithKind("ClusterRole"), rbac.WithKind("ClusterRoleBinding"), gateTemplates} {
		found, err := ofPace(ctx, c, kind)
		if err != nil {
			return nil, err
		}
		for _, obj := range found {
			if !slices.ContainsFunc(known, func(k *unstructured.Unstructured) bool {
				return k.GetKind() == kind.Kind && k.GetName() == obj.GetName()
			}) {
				out = append(out, obj)
			}
		}
	}
	return out, nil
}

// ofPace lists the objects of a kind that Pace's manifests made; none where the cluster
// does not know the kind.
func ofPace(ctx context.Context, c client.Reader, kind schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := c.List(ctx, list, client.MatchingLabels{partOf: "pullpace"})
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing objects of kind %s: %w", kind.Kind, err)
	}
	var out []*unstructured.Unstructured
	for i := range list.Items {
		obj := &list.Items[i]
		obj.SetGroupVersionKind(kind)
		out = append(out, obj)
	}
	return out, nil
}

// ResumeDisruption takes the budget off NodePools of Karpenter by which Pace kept nodes
// from being replaced, and returns how many had one.
func ResumeDisruption(ctx context.Context, c client.Client) (int, error) {
	kind := kube.NodePoolKind()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind + "List"})
	err := c.List(ctx, list)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("listing node pools: %w", err)
	}
	resumed := 0
	for i := range list.Items {
		pool := &list.Items[i]
		before := pool.DeepCopy()
		if !gate.ResumeDisruption(pool) {
			continue
		}
		if err := cluster.PatchLocked(ctx, c, before, pool); err != nil && !apierrors.IsNotFound(err) {
			return resumed, fmt.Errorf("letting nodes of NodePool %s be replaced again: %w", pool.GetName(), err)
		}
		resumed++
	}
	return resumed, nil
}
