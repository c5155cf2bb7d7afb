//go:build linux

package nodes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// joining are the nodes with kubelets that join, twice what the registry allows in a
// window: half of a pool may be held.
const joining = 4

// kubeletsJoin has nodes with real kubelets and runtimes join, which register with the
// taint: each is let go, pulls what every node runs, and none is refused.
func kubeletsJoin(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	f, err := newFleet(ctx, s, 0)
	if err != nil {
		return err
	}
	names := f.names("kubelet", joining)
	began := time.Now()
	group, booting := errgroup.WithContext(ctx)
	for i, machine := range stage.Machines(joining) {
		machine.Name = names[i]
		machine.Labels = map[string]string{labelGroup: s.Name}
		machine.Taints = []string{own + "=" + s.Name + ":NoSchedule", v1alpha1.Taint + ":NoSchedule"}
		group.Go(func() error {
			_, err := s.Cluster.AddNode(booting, machine)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := f.joined(ctx, names); err != nil {
		return err
	}
	r.Note("joined", time.Since(began).Round(time.Second))
	if wore := f.seen.those(f.seen.wore); len(wore) != joining {
		return fmt.Errorf("%v registered with the taint, want all %d", wore, joining)
	}
	if err := all(none429(s), exactly(s, joining)); err != nil {
		return err
	}
	return f.done(ctx, powerOff(ctx, s.Cluster, names))
}

// kubeletHeld has a node with a real kubelet and runtime join that nobody gave the taint,
// while nothing is left of the budget: it is held in the time before its network is up,
// stays held when it is Ready, and joins as soon as the registry allows more.
func kubeletHeld(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	f, err := newFleet(ctx, s, 2) // of a pool of three one may be held
	if err != nil {
		return err
	}
	name := f.names("kubelet", 1)
	machine := stage.Machines(1)[0]
	machine.Name, machine.Labels, machine.Taints = name[0], map[string]string{labelGroup: s.Name}, []string{own + "=" + s.Name + ":NoSchedule"}
	machine.Network = func(ctx context.Context) error { return f.held(ctx, 1) }
	if _, err := s.Cluster.AddNode(ctx, machine); err != nil {
		return err
	}
	var n corev1.Node
	if err := s.Client.Get(ctx, client.ObjectKey{Name: name[0]}, &n); err != nil {
		return fmt.Errorf("reading the node: %w", err)
	}
	if why := n.Annotations[v1alpha1.AnnotationHoldReason]; !tainted(&n) || !strings.HasPrefix(why, string(core.WaitingForBudget)) {
		err = fmt.Errorf("the node is Ready with taints %v, held for %q, want it held for %s", n.Spec.Taints, why, core.WaitingForBudget)
	}
	err = all(err, exactly(s, 0))
	began := time.Now()
	s.Host.SetLimit(0, 2*s.Options.Limit)
	if err := all(err, f.joined(ctx, name)); err != nil {
		return err
	}
	r.Note("let_go_after", time.Since(began).Round(time.Second))
	return f.done(ctx, none429(s), exactly(s, 1), powerOff(ctx, s.Cluster, name))
}

// powerOff takes the power of nodes away.
func powerOff(ctx context.Context, c *cluster.Cluster, names []string) error {
	for _, name := range names {
		n := c.Node(name)
		if n == nil {
			return fmt.Errorf("there is no node %q", name)
		}
		if err := n.Kill(ctx); err != nil {
			return err
		}
	}
	return nil
}
