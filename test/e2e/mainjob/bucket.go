//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// mirror lets a first fleet of 24 pulls teach what those are charged that a mirror
// answers, where 8 an hour are allowed. Then somebody else empties the account for the
// rest of the hour, and a further Deployment goes all the same.
func mirror(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err != nil {
		return err
	}
	if err := s.Await(ctx, names...); err != nil {
		return err
	}
	// How many batches a fleet makes is chance; two Deployments are two more.
	for _, name := range []string{"more-1", "more-2"} {
		if err := s.Deploy(ctx, name, stage.Nodes); err != nil {
			return err
		}
		if err := s.Await(ctx, name); err != nil {
			return err
		}
		if err := s.AwaitAccount(ctx, "its pulls to be covered", func(a v1alpha1.AccountStatus) bool { return a.Reserved+a.Open == 0 }); err != nil {
			return err
		}
	}
	if err := s.AwaitAccount(ctx, "a charge of nothing", learnedNothing); err != nil {
		return err
	}
	// While something waits the registry is asked every 20 s: what others do shows.
	paused, err := s.Deployment(ctx, "paused", 1)
	if err != nil {
		return err
	}
	paused.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "until the account is empty"}.String()}
	if err := s.Create(ctx, paused); err != nil {
		return err
	}
	// What falls while pulls that cost nothing are under way makes them dear again; a
	// reading that was sent lag after the last of them covers it.
	ended := time.Now()
	if err := s.AwaitAccount(ctx, "the account to be quiet", func(a v1alpha1.AccountStatus) bool {
		return a.Held == 1 && a.SentAt != nil && a.SentAt.After(ended.Add(5*time.Second))
	}); err != nil {
		return err
	}
	s.Host.Spend(s.Identity(), s.Options.Limit)
	if err := s.AwaitAccount(ctx, "an empty account", func(a v1alpha1.AccountStatus) bool { return a.Remaining == 0 }); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "after", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "after"); err != nil {
		return fmt.Errorf("held although a mirror answers: %w", err)
	}
	resume := []byte(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationPaused + `":null}}}`)
	if err := s.Client.Patch(ctx, paused, client.RawPatch(types.MergePatchType, resume)); err != nil {
		return fmt.Errorf("resuming: %w", err)
	}
	r.Note("mirrored", s.Registry.Log().Count(registry.Filter{Host: stage.Mirror, Kind: registry.ManifestGET}))
	return all(s.Await(ctx, "paused"), noOwn429(s), exactly(s, 0))
}

// learnedNothing says whether pulls were found to be charged nothing.
func learnedNothing(a v1alpha1.AccountStatus) bool {
	for _, c := range a.ChargePerPull {
		if c.Most == 0 && quota.Certain(int(c.Batches), int(c.Samples)) {
			return true
		}
	}
	return false
}
