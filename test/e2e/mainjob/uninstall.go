//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// uninstall takes Pace out while pods are held and a workload is paused, searches
// every object of the cluster for what is left, and then makes the mistake of
// using what is not there any more. It is the last case.
func uninstall(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	if err := s.Create(ctx, ground.Deployment(s.Name, "app", stage.Unmetered, 1)); err != nil {
		return err
	}
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "pace", "pause", "deploy/app-6", "-n", s.Name, "--reason", "to be forgotten"); out.Code != 0 {
		return fmt.Errorf("pausing: %s", out)
	}
	if _, err := s.AwaitCharged(ctx, 1); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "", "pods to be held", someHeld); err != nil {
		return err
	}
	out := s.Kubectl(ctx, "pace", "uninstall")
	if out.Code != 0 {
		return fmt.Errorf("uninstalling: %s", out)
	}
	if err := s.Await(ctx, names...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	// Nobody reads the account while pods drip: some may be refused, none for ever.
	r.Note("dripped_429", s.Throttled(time.Time{}))
	if err := s.NothingLeft(ctx, stage.KeptCRDs); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	err = refused(ctx, s, s.Name, mistake{"no controller", []string{"pace", "rollout", "deploy/app", "-n", s.Name, "--restart"}, 1, "controller is not installed"})
	out = s.Kubectl(ctx, "pace", "uninstall", "--crds")
	if out.Code != 0 {
		return all(err, fmt.Errorf("uninstalling with CRDs: %s", out))
	}
	s.Options.NoBudget = true // it went with its kind
	return all(err, s.NothingLeft(ctx, func(stage.Finding) bool { return false }))
}
