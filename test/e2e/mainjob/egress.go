//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// egressLabel says by which way a node leaves the network.
const egressLabel = "example.com/egress"

// egressGroups puts half of the nodes behind another address: a registry that meters
// by address then has two accounts. What is taken of the one holds pods there, and
// those behind the other go; each reading is made from where it counts.
func egressGroups(ctx context.Context, s *stage.Stage, _ *suite.Report) (err error) {
	nodes := s.Cluster.Nodes()
	addresses := map[string]string{"near": s.Address}
	for i, node := range nodes {
		group := "near"
		if i >= len(nodes)/2 {
			group = "far"
			if err := node.SetEgressGroup(ctx, "far"); err != nil {
				return err
			}
			defer func() { err = all(err, node.SetEgressGroup(context.WithoutCancel(ctx), "")) }()
		}
		if out := s.Kubectl(ctx, "label", "node", node.Name(), egressLabel+"="+group); out.Code != 0 {
			return fmt.Errorf("labelling a node: %s", out)
		}
		defer func() {
			if out := s.Kubectl(context.WithoutCancel(ctx), "label", "node", node.Name(), egressLabel+"-"); out.Code != 0 {
				err = all(err, fmt.Errorf("taking the label off a node: %s", out))
			}
		}()
	}
	far, err := s.Cluster.EgressAddress(ctx, "far")
	if err != nil {
		return err
	}
	addresses["far"] = far.String()
	s.Host.Spend(registry.Anonymous(addresses["far"]), stage.Limit)
	for group := range addresses {
		remove, err := egressBudget(ctx, s, group)
		if err != nil {
			return err
		}
		defer func() { err = all(err, remove()) }()
	}
	for group, address := range addresses {
		if err := readFrom(ctx, s, group, address); err != nil {
			return err
		}
	}
	// Without its PullBudget a held pod goes, to be refused for an hour: pods end first.
	defer func() { err = all(err, endPods(context.WithoutCancel(ctx), s)) }()
	for group := range addresses {
		d, err := s.Deployment(ctx, group, 2)
		if err != nil {
			return err
		}
		d.Spec.Template.Spec.NodeSelector = map[string]string{egressLabel: group}
		if err := s.Create(ctx, d); err != nil {
			return err
		}
	}
	if err := s.Await(ctx, "near"); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "far", "its pods to be held for their own account", func(pods []corev1.Pod) bool {
		return len(pods) == 2 && stage.Count(pods, stage.HeldFor(core.WaitingForBudget)) == 2
	}); err != nil {
		return err
	}
	return all(noOwn429(s), exactly(s, 2))
}

// egressPerNode gives each node an address of its own: so many accounts, each read from
// where it counts. What is taken of one of them holds the pod of that node alone.
func egressPerNode(ctx context.Context, s *stage.Stage, _ *suite.Report) (err error) {
	addresses := map[string]string{}
	for _, node := range s.Cluster.Nodes() {
		if err := node.SetEgressGroup(ctx, node.Name()); err != nil {
			return err
		}
		defer func() { err = all(err, node.SetEgressGroup(context.WithoutCancel(ctx), "")) }()
		address, err := s.Cluster.EgressAddress(ctx, node.Name())
		if err != nil {
			return err
		}
		addresses[node.Name()] = address.String()
	}
	used := s.Cluster.Nodes()[0].Name()
	s.Host.Spend(registry.Anonymous(addresses[used]), stage.Limit)
	budget := s.Budget()
	budget.Spec.Egress = &v1alpha1.Egress{PerNode: true}
	if err := s.Client.Create(ctx, budget); err != nil {
		return fmt.Errorf("making PullBudget %q: %w", budget.Name, err)
	}
	defer func() { err = all(err, client.IgnoreNotFound(s.Client.Delete(context.WithoutCancel(ctx), budget))) }()
	// Without its PullBudget a held pod goes, to be refused for an hour: pods end first.
	defer func() { err = all(err, endPods(context.WithoutCancel(ctx), s)) }()
	if err := readPerNode(ctx, s, addresses); err != nil {
		return err
	}
	for name := range addresses {
		d, err := s.Deployment(ctx, "on-"+name, 1)
		if err != nil {
			return err
		}
		d.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: name}
		if err := s.Create(ctx, d); err != nil {
			return err
		}
	}
	for name := range addresses {
		if name != used {
			err = all(err, s.Await(ctx, "on-"+name))
		}
	}
	if err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "on-"+used, "its pod to be held for its own account", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && stage.Count(pods, stage.HeldFor(core.WaitingForBudget)) == 1
	}); err != nil {
		return err
	}
	return all(noOwn429(s), exactly(s, int64(len(addresses)-1)))
}

// readPerNode waits for a reading of each node's account that the registry saw come from
// its address.
func readPerNode(ctx context.Context, s *stage.Stage, addresses map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return stage.Poll(ctx, "a reading from each node", func(ctx context.Context) (bool, string, error) {
		var budget v1alpha1.PullBudget
		if err := s.Client.Get(ctx, client.ObjectKey{Name: s.Name}, &budget); err != nil {
			return false, "", err
		}
		right := 0
		for _, a := range budget.Status.Accounts {
			_, node, _ := strings.Cut(a.Account, "@node/")
			if a.Grade == "OK" && a.Source == addresses[node] {
				right++
			}
		}
		return right == len(addresses) && len(budget.Status.Accounts) == right, fmt.Sprintf("%+v", budget.Status.Accounts), nil
	})
}

// endPods deletes the Deployments of the stage and waits for the end of their pods.
func endPods(ctx context.Context, s *stage.Stage) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out := s.Kubectl(ctx, "delete", "deployments", "--all", "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("ending pods: %s", out)
	}
	_, err := s.AwaitPods(ctx, "", "the end of all pods", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	return err
}

// egressBudget declares the account of one group of nodes.
func egressBudget(ctx context.Context, s *stage.Stage, group string) (remove func() error, err error) {
	budget := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-" + group}, Spec: v1alpha1.PullBudgetSpec{
		Registry: s.Host.Name(),
		Probe:    &v1alpha1.Probe{Repository: "probe:1", CABundle: string(s.Registry.CA().PEM())},
		Egress:   &v1alpha1.Egress{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{egressLabel: group}}},
	}}
	if err := s.Client.Create(ctx, budget); err != nil {
		return nil, fmt.Errorf("making PullBudget %q: %w", budget.Name, err)
	}
	return func() error { return client.IgnoreNotFound(s.Client.Delete(context.WithoutCancel(ctx), budget)) }, nil
}

// readFrom waits for a reading of a group that the registry saw come from its address.
func readFrom(ctx context.Context, s *stage.Stage, group, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return stage.Poll(ctx, "a reading from "+address, func(ctx context.Context) (bool, string, error) {
		var budget v1alpha1.PullBudget
		if err := s.Client.Get(ctx, client.ObjectKey{Name: s.Name + "-" + group}, &budget); err != nil {
			return false, "", err
		}
		if len(budget.Status.Accounts) != 1 {
			return false, fmt.Sprintf("%d accounts", len(budget.Status.Accounts)), nil
		}
		a := budget.Status.Accounts[0]
		return a.Grade == "OK" && a.Source == address, fmt.Sprintf("%+v", a), nil
	})
}
