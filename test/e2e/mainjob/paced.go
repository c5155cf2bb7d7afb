//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// paced is the main job undisturbed, of which the plugin drives a part.
func paced(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	names, err := s.Fleet(ctx, pulls/stage.Nodes-1)
	if err != nil {
		return err
	}
	// The sixth runs an image that nothing meters, and is then rolled out.
	d, err := s.Deployment(ctx, "rolled", stage.Nodes)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.Containers[0].Image = stage.Unmetered
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, "rolled"); err != nil {
		return err
	}
	out := s.Kubectl(ctx, "pace", "rollout", "deploy/rolled", "-n", s.Name, "--image", "app="+s.Image("rolled"))
	if out.Code != 0 {
		return fmt.Errorf("rolling out: %s", out)
	}
	if err := s.Await(ctx, append(names, "rolled")...); err != nil {
		return err
	}
	r.Note("spread", s.Spread().Round(100*time.Millisecond))
	return all(noOwn429(s), exactly(s, pulls))
}
