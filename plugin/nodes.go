package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// maxNewNodes bounds --nodes: the largest clusters have 5,000.
const maxNewNodes = 100_000

// scaleUp is the flags of commands that price new nodes.
type scaleUp struct {
	nodes int
	label string
}

func (u *scaleUp) add(flags *pflag.FlagSet) {
	flags.IntVar(&u.nodes, "nodes", 0, "how many nodes are to come")
	flags.StringVar(&u.label, "pool-label", "", "the label whose value is the pool's name; by default those of Karpenter, EKS, GKE, AKS, Cluster API and kOps")
}

func (u *scaleUp) validate(cmd *cobra.Command) error {
	if u.nodes < 1 || u.nodes > maxNewNodes {
		return usagef("--nodes says how many nodes are to come, 1 to %d; usage: %s", maxNewNodes, cmd.UseLine())
	}
	return nil
}

// given reports whether one of the flags was.
func (u *scaleUp) given(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("nodes") || cmd.Flags().Changed("pool-label")
}

// priceNodes says what new nodes of a pool would be charged, and how many of them may
// come now.
func (s *session) priceNodes(ctx context.Context, c client.Client, name string, up scaleUp) (view.NodeCost, error) {
	cost := view.NodeCost{NodePool: name, Nodes: int32(up.nodes), Source: "client", Verdict: v1alpha1.QuoteUnknown, Images: []view.NodeImage{}, Accounts: []view.Account{}}
	controller, err := cluster.ControllerOf(ctx, c)
	if err != nil {
		return cost, err
	}
	s.warnOfSkew(controller)
	pool, err := cluster.PoolOf(ctx, c, name, up.label)
	if err != nil {
		return cost, err
	}
	cost.By, cost.Present, cost.Unknown = pool.By, int32(len(pool.Nodes)), pool.Unknown
	if pool.Most != nil {
		cost.Room = new(max(*pool.Most-int64(len(pool.Nodes)), 0))
	}
	in := kube.ToQuoteNodes{Node: pool.Next, Count: up.nodes, Present: pool.Nodes, Now: s.env.Now(), Turning: controller.Alive(s.env.Now())}
	if in.Turning {
		cost.Source = "client, free units by the controller"
	}
	if err := s.around(ctx, c, &in, &cost); err != nil {
		return cost, err
	}
	fillNodeCost(&cost, kube.QuoteNodes(in))
	return cost, nil
}

// around lists what the price of nodes depends on. Pods and namespaces only sharpen
// it: who may not see them does without.
func (s *session) around(ctx context.Context, c client.Reader, in *kube.ToQuoteNodes, cost *view.NodeCost) error {
	var err error
	if in.Budgets, err = cluster.Budgets(ctx, c); err != nil && !meta.IsNoMatchError(err) {
		return err
	}
	var unusable error
	in.Rules, unusable = kube.NewRules(in.Budgets, nil)
	if unusable != nil {
		cost.Unknown = append(cost.Unknown, "a budget that cannot be used: "+unusable.Error())
	}
	var sets appsv1.DaemonSetList
	if err := c.List(ctx, &sets); err != nil {
		return fmt.Errorf("listing daemonsets: %w", err)
	}
	for i := range sets.Items {
		in.DaemonSets = append(in.DaemonSets, &sets.Items[i])
	}
	var pods corev1.PodList
	var namespaces corev1.NamespaceList
	sharpen := []struct {
		what string
		list client.ObjectList
	}{{"which pods wait for room, and what nodes are born with: pods", &pods}, {"which budgets are of one namespace: namespaces", &namespaces}}
	for _, more := range sharpen {
		err := c.List(ctx, more.list)
		if apierrors.IsForbidden(err) {
			cost.Unknown = append(cost.Unknown, more.what+" may not be listed")
		} else if err != nil {
			return fmt.Errorf("listing what the price of nodes depends on: %w", err)
		}
	}
	in.Pods, in.Namespaces = pods.Items, namespaces.Items
	return nil
}

// fillNodeCost takes a quote over.
func fillNodeCost(cost *view.NodeCost, q kube.NodesQuote) {
	cost.Verdict, cost.Reason, cost.Binds = q.Verdict, q.Reason, string(q.Binds)
	cost.Finish = view.Window{From: q.Finish.From.Time, To: q.Finish.To.Time}
	cost.WaitingPods = int32(q.Waiting)
	cost.Unknown = append(cost.Unknown, q.Unknown...)
	if q.Allowed != nil {
		cost.Now = new(int32(*q.Allowed))
	}
	for i, image := range q.Images {
		cost.Images = append(cost.Images, view.NodeImage{
			Image: image.Image, Account: image.Account, Units: view.Units(image.Units), Why: image.Why, Workloads: q.Workloads[i],
			ColdNodes: view.Units{Min: int64(image.Cold), Max: int64(image.Cold) + int64(image.Unsure)},
		})
	}
	for _, a := range q.Accounts {
		cost.Accounts = append(cost.Accounts, quotedAccount(a))
	}
}
