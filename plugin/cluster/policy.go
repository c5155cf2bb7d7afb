package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Policies reads every PacePolicy, the oldest first: it rules.
func Policies(ctx context.Context, c client.Reader) ([]v1alpha1.PacePolicy, error) {
	var list v1alpha1.PacePolicyList
	if err := c.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing pacepolicies: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.PacePolicy) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list.Items, nil
}
