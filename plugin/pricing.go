package plugin

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// priceIfAllowed prices a Deployment; who may not see the nodes, where nobody else
// prices, gets a price that is not known.
func (s *session) priceIfAllowed(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost, err := s.price(ctx, c, d)
	if apierrors.IsForbidden(err) {
		cost.Verdict = v1alpha1.QuoteUnknown
		cost.Unknown = append(cost.Unknown, fmt.Sprintf("the price: %v", cluster.Explain(err, s.env.program())))
		return cost, nil
	}
	return cost, err
}

// price says what starting every pod of a Deployment would be charged, whether they
// would wait, and what a wait would break.
func (s *session) price(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost := view.Cost{
		Namespace: d.Namespace, Workload: cluster.WorkloadOf(d).String(), Replicas: cluster.Replicas(d), Pods: cluster.Replicas(d),
		Source: "client", Verdict: v1alpha1.QuoteUnknown, Images: []view.Image{}, Accounts: []view.Account{},
	}
	for _, container := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
		if _, _, ok := kube.NormalImage(container.Image); !ok {
			return cost, fmt.Errorf("container %s: %q is not an image reference; nothing was changed", container.Name, container.Image)
		}
	}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return cost, err
	}
	s.warnOfSkew(controller)
	quote, source, err := s.quote(ctx, c.Client, d, controller)
	if err != nil {
		return cost, err
	}
	cost.Source = source
	fillCost(&cost, quote)
	s.clocks(ctx, c.Client, &cost, d, quote.DeleteFirst)
	s.quotas(ctx, c.Client, &cost, d, quote.DeleteFirst)
	return cost, nil
}

// fillCost takes a quote over.
func fillCost(cost *view.Cost, q v1alpha1.PodQuote) {
	cost.Verdict, cost.Reason, cost.NotHeld, cost.Class = q.Verdict, q.Reason, q.NotHeld, q.Class
	cost.Nodes, cost.Unknown, cost.HoldUntil = q.Nodes, q.Unknown, q.HoldUntil
	cost.Finish = view.Window{From: q.Finish.From.Time, To: q.Finish.To.Time}
	cost.Gated, cost.MaxGated = q.Gated, q.MaxGated
	for _, i := range q.Images {
		cost.Images = append(cost.Images, view.Image{
			Image: i.Image, Account: i.Account, Units: view.Units(i.Units), Why: i.Why,
			ColdNodes: view.Units{Min: int64(i.Cold), Max: int64(i.Cold) + int64(i.Unsure)},
		})
	}
	for _, a := range q.Accounts {
		cost.Accounts = append(cost.Accounts, quotedAccount(a))
	}
	if q.LeftOut > 0 {
		cost.Needs = new(view.Units(q.Needs))
	}
}

// quotedAccount takes an account of a quote over.
func quotedAccount(a v1alpha1.QuotedAccount) view.Account {
	account := view.Account{
		Name: a.Account, Needs: view.Units(a.Needs), Free: a.Free, ReadAt: a.ReadAt, Unlimited: a.Unlimited,
		SeenAs: a.SeenAs, Limit: a.Limit, More: view.Window{From: a.More.From.Time, To: a.More.To.Time},
	}
	if a.Window != nil {
		account.WindowSeconds = int64(a.Window.Seconds())
	}
	return account
}
