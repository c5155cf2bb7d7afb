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

// Extras are the roles of Pace that people added to what an installation makes, as those
// of integrations: they carry its label, and go with it.
func Extras(ctx context.Context, c client.Reader, known []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind(kind + "List"))
		if err := c.List(ctx, list, client.MatchingLabels{partOf: "pullpace"}); err != nil {
			return nil, fmt.Errorf("listing objects of kind %s: %w", kind, err)
		}
		for i := range list.Items {
			obj := &list.Items[i]
			obj.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind(kind))
			if !slices.ContainsFunc(known, func(k *unstructured.Unstructured) bool { return k.GetKind() == kind && k.GetName() == obj.GetName() }) {
				out = append(out, obj)
			}
		}
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
