package plugin

import (
	"cmp"
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// readPolicies fills the policies of a status, the oldest first: it rules.
func readPolicies(ctx context.Context, c client.Reader, model *view.Status) error {
	var list v1alpha1.PacePolicyList
	if err := c.List(ctx, &list); err != nil {
		return err
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.PacePolicy) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, p := range list.Items {
		model.Policies = append(model.Policies, view.Policy{Name: p.Name, Mode: string(cmp.Or(p.Spec.Mode, v1alpha1.Enforce))})
	}
	return nil
}
