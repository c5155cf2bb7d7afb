package plugin

import (
	"cmp"
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// readPolicies fills the policies of a status, the oldest first: it rules.
func readPolicies(ctx context.Context, c client.Reader, model *view.Status) error {
	policies, err := cluster.Policies(ctx, c)
	if err != nil {
		return err
	}
	for _, p := range policies {
		model.Policies = append(model.Policies, view.Policy{Name: p.Name, Mode: string(cmp.Or(p.Spec.Mode, v1alpha1.Enforce))})
	}
	return nil
}
