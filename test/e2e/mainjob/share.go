//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// shared is the stage of twoClusters: one user's account, of which each of two clusters
// may take half in a window, and at a reading half of what remains less a unit.
var shared = stage.Options{
	Login: true, Limit: 2 * stage.Limit, Window: 2 * stage.Window,
	Share: &v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("0.5")), Guard: 1, MaxPerWindow: stage.Limit},
}

// twoClusters rolls out in two clusters at once, each with its own controller, which
// know nothing of each other and draw on one account. Together they want half as much
// again as the limit, so that both would be refused if each took all that it reads.
func (b *builder) twoClusters(name string) suite.Case {
	c := b.on(name, shared, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		began := time.Now()
		other, err := b.second(ctx)
		if err != nil {
			return err
		}
		r.Note("second_up_s", int(time.Since(began).Seconds()))
		twin, err := s.Beside(ctx, other)
		if err != nil {
			return err
		}
		if err := both(ctx, s, twin, r); err != nil {
			return fmt.Errorf("%w\nthe second cluster:\n%s", err, other.Evidence(context.WithoutCancel(ctx), s.Name))
		}
		return twin.Clear(ctx)
	})
	c.Lane = second
	return c
}

// both rolls out a half on each of two stages of one account.
func both(ctx context.Context, s, twin *stage.Stage, r *suite.Report) error {
	rollouts, running := errgroup.WithContext(ctx)
	rollouts.Go(func() error { return half(running, s, "near", stage.Nodes) })
	rollouts.Go(func() error { return half(running, twin, "far", stage.SecondNodes) })
	err := rollouts.Wait()
	if err != nil {
		return err
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
func half(ctx context.Context, s *stage.Stage, app string, nodes int) error {
	var names []string
	for i := range pulls / 2 / nodes {
		names = append(names, fmt.Sprintf("%s-%d", app, i+1))
		if err := s.Deploy(ctx, names[i], int32(nodes)); err != nil {
			return err
		}
	}
	return s.Await(ctx, names...)
}
