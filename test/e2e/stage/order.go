//go:build linux

package stage

import (
	"context"
	"fmt"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// Pause has a person pause the stage's account, and returns when the controller knows:
// nothing that draws on it goes from then on.
func (s *Stage) Pause(ctx context.Context) error {
	if err := s.order(ctx, "pause"); err != nil {
		return err
	}
	return s.AwaitAccount(ctx, "the controller to know that the account is paused", func(a v1alpha1.AccountStatus) bool {
		return a.Breaker != nil && a.Breaker.State == "paused" && a.Breaker.Cause == string(core.Paused)
	})
}

// Resume has a person let the stage's account go on.
func (s *Stage) Resume(ctx context.Context) error { return s.order(ctx, "resume") }

func (s *Stage) order(ctx context.Context, verb string) error {
	if out := s.Kubectl(ctx, "pace", verb, "budget/"+s.Name, "--reason", "a test of holds"); out.Code != 0 {
		return fmt.Errorf("%s of the account: %s", verb, out)
	}
	return nil
}
