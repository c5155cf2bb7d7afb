//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// shared is the stage of twoClusters: one user's account, of which each of two clusters
// may take half, and leaves a unit for the one reading that it does not see.
var shared = stage.Options{
	Login: true, Limit: 2 * stage.Limit, Window: 2 * stage.Window,
	Share: &v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("0.5")), Guard: 1},
}

// neighbours is how many nodes the second cluster has.
const neighbours = 2

// twoClusters rolls out in two clusters at once, each with its own controller, which
// know nothing of each other and draw on one account. Together they want half as much
// again as the limit, so that both would be refused if each took all that it reads.
func twoClusters(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	began := time.Now()
	// A pull must not wait for another that the registry keeps waiting.
	nodes := make([]cluster.NodeOptions, neighbours)
	for i := range nodes {
		nodes[i].Kubelet = map[string]any{"serializeImagePulls": false, "registryPullQPS": 0}
	}
	g, err := s.Neighbour(ctx, nodes)
	if err != nil {
		return err
	}
	defer func() { err = all(err, g.Stop()) }()
	other, err := stage.On(ctx, g)
	if err != nil {
		return err
	}
	if err := other.Install(ctx, "--enforce"); err != nil {
		return err
	}
	twin, err := s.Beside(ctx, other)
	if err != nil {
		return err
	}
	r.Note("second_up_s", int(time.Since(began).Seconds()))
	rollouts, running := errgroup.WithContext(ctx)
	rollouts.Go(func() error { return half(running, s, "near", stage.Nodes) })
	rollouts.Go(func() error { return half(running, twin, "far", neighbours) })
	if err := rollouts.Wait(); err != nil {
		return fmt.Errorf("%w\nthe second cluster:\n%s", err, other.Evidence(context.WithoutCancel(ctx), s.Name))
	}
	most, at := registry.Busiest(s.Registry.Log().Entries(s.Own()), s.Options.Window)
	r.Note("spread", s.Spread().Round(100*time.Millisecond))
	r.Note("most_in_a_window", most)
	if most > s.Options.Limit {
		err = fmt.Errorf("%d units were charged within %s at %s, the limit is %d", most, s.Options.Window, clock(at), s.Options.Limit)
	}
	return all(err, noOwn429(s), exactly(s, pulls))
}

// half rolls out half of the pulls of a rollout, on a cluster of so many nodes.
func half(ctx context.Context, s *stage.Stage, app string, nodes int32) error {
	var names []string
	for i := range int32(pulls/2) / nodes {
		names = append(names, fmt.Sprintf("%s-%d", app, i+1))
		if err := s.Deploy(ctx, names[i], nodes); err != nil {
			return err
		}
	}
	return s.Await(ctx, names...)
}
