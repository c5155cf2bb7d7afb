//go:build linux

package nodes

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
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
