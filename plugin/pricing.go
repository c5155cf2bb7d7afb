package plugin

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// priceIfAllowed prices a Deployment; who may not see the nodes gets a price that
// is not known.
func (s *session) priceIfAllowed(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost, err := s.price(ctx, c, d)
	if apierrors.IsForbidden(err) {
		cost.Verdict = "unknown"
		cost.Unknown = append(cost.Unknown, fmt.Sprintf("the price: %v", cluster.Explain(err, s.env.program())))
		return cost, nil
	}
	return cost, err
}

// price says what starting every pod of a Deployment would be charged.
func (s *session) price(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost := view.Cost{
		Namespace: d.Namespace, Workload: "deploy/" + d.Name, Replicas: cluster.Replicas(d), Pods: cluster.Replicas(d),
		Source: "client", Verdict: "unknown", Images: []view.Image{}, Accounts: []view.Account{},
	}
	return cost, nil
}
