//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// controllerKilled kills one replica at the start of the first wave and both in
// the middle of the second, with signal 9. What was let go just before must be
// counted by who takes over: 0 own 429s, and the rollout ends. So it is on a second
// account beside it, whose limit is declared and can be read nowhere.
func controllerKilled(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	declared, err := s.New(ctx, s.Name+"-fixed", stage.Options{Fixed: true})
	if err != nil {
		return err
	}
	replicas, err := controllers(ctx, s)
	if err != nil {
		return err
	}
	// A pod that is created while its webhook is being killed is let through, as it must
	// be, and nobody's to count: all are held before.
	names, err := pausedFleet(ctx, s)
	if err != nil {
		return err
	}
	others, err := pausedFleet(ctx, declared)
	if err != nil {
		return err
	}
	if err := all(s.Resume(ctx), declared.Resume(ctx)); err != nil {
		return err
	}
	if _, err := s.AwaitCharged(ctx, 1); err != nil {
		return err
	}
	if err := s.KillPod(ctx, v1alpha1.Namespace, replicas[0]); err != nil {
		return err
	}
	if _, err := s.AwaitCharged(ctx, stage.Limit+1); err != nil {
		return err
	}
	if err := killAll(ctx, s); err != nil {
		return err
	}
	if err := all(s.Await(ctx, names...), declared.Await(ctx, others...)); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Evidence(context.WithoutCancel(ctx), declared.Name))
	}
	restarts, err := restarted(ctx, s)
	r.Note("restarts", restarts)
	if err == nil && restarts < 2 {
		err = fmt.Errorf("the controller was started again %d times, want 2 at least: nothing was killed", restarts)
	}
	return all(err, noOwn429(s), exactly(s, pulls), noOwn429(declared), exactly(declared, pulls),
		s.AwaitRollout(ctx, v1alpha1.Namespace, "pacer"), declared.Clear(ctx))
}

// controllers are the names of the controller's pods.
func controllers(ctx context.Context, s *stage.Stage) ([]string, error) {
	pods, err := s.Controllers(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return names, nil
}

// killAll kills every replica that runs; one that is just starting again is as
// dead as it can be.
func killAll(ctx context.Context, s *stage.Stage) error {
	pods, err := s.Controllers(ctx)
	if err != nil {
		return err
	}
	killed := 0
	var errs []error
	for _, p := range pods {
		if err := s.KillPod(ctx, p.Namespace, p.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		killed++
	}
	if killed == 0 {
		return errors.Join(errs...)
	}
	return nil
}

// restarted is how often containers of the controller were started again.
func restarted(ctx context.Context, s *stage.Stage) (n int32, err error) {
	pods, err := s.Controllers(ctx)
	for _, p := range pods {
		for _, status := range p.Status.ContainerStatuses {
			n += status.RestartCount
		}
	}
	return n, err
}

// apiServerRestarted kills the API server in the middle of a wave and starts it
// again.
func apiServerRestarted(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	_, err := disturbed(ctx, s, pulling, func() error { return s.Cluster.RestartAPIServer(ctx) })
	if err != nil {
		return err
	}
	return all(noOwn429(s), exactly(s, pulls))
}
