//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// charging is the stage of headsCost: every HEAD of a manifest takes a unit. While
// something waits the registry is asked every sixtieth of the window, 2 s.
var charging = stage.Options{Counts: registry.CountsManifest, Limit: 60, Window: 2 * time.Minute}

// headsCost reads an account whose readings cost. Pace finds out, asks no more, says
// what to do, and goes by the last limit, until a limit is declared.
func headsCost(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	waits, err := s.Deployment(ctx, "waits", stage.Nodes)
	if err != nil {
		return err
	}
	waits.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "until it is known what a reading costs"}.String()}
	if err := s.Create(ctx, waits); err != nil {
		return err
	}
	if err := s.AwaitAccount(ctx, "HEADs to be found to cost", func(a v1alpha1.AccountStatus) bool { return a.ProbesChargedSince != nil }); err != nil {
		return err
	}
	probes := registry.Filter{Host: s.Host.Name(), Kind: registry.ManifestHEAD, Where: func(e registry.Entry) bool { return !strings.Contains(e.UserAgent, stage.Runtime) }}
	found := s.Registry.Log().Charged(probes)
	r.Note("heads", found)
	if err := s.Says(ctx, 0, []string{"the registry charges for it", "ProbesCharged", "source Fixed"}, "pace", "budget", s.Name); err != nil {
		return err
	}
	if err := s.Says(ctx, 0, []string{"pullbudget/" + s.Name}, "get", "events", "-A", "--field-selector", "reason=ProbesCharged"); err != nil {
		return fmt.Errorf("an Event of the PullBudget: %w", err)
	}
	resume := []byte(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationPaused + `":null}}}`)
	if err := s.Client.Patch(ctx, waits, client.RawPatch(types.MergePatchType, resume)); err != nil {
		return fmt.Errorf("resuming: %w", err)
	}
	if err := s.Await(ctx, "waits"); err != nil {
		return fmt.Errorf("held although the last limit has room: %w", err)
	}
	declare := []byte(`{"spec":{"limit":{"source":"Fixed","pulls":24,"window":"2m"}}}`)
	if err := s.Client.Patch(ctx, s.Budget(), client.RawPatch(types.MergePatchType, declare)); err != nil {
		return fmt.Errorf("declaring a limit: %w", err)
	}
	if err := s.AwaitAccount(ctx, "a declared limit", func(a v1alpha1.AccountStatus) bool { return a.Grade == "OK" && a.Limit == 24 }); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "declared", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "declared"); err != nil {
		return err
	}
	// Images of workloads are not looked at either, once that is known.
	if again := s.Registry.Log().Charged(probes); again != found {
		err = fmt.Errorf("%d HEADs of ours were charged after it was known that they are", again-found)
	}
	return all(err, noOwn429(s))
}

// downgraded gives Pace a wrong password: the registry takes it for anonymous and says
// nothing. Pulls with the right one are charged to the account, of which nothing is
// known then, so that nothing is held for it.
func downgraded(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	if err := s.PullSecret(ctx, v1alpha1.Namespace, s.Name, s.Host.Name(), s.Name, "a wrong password"); err != nil {
		return err
	}
	budget := s.Budget()
	if err := s.Client.Create(ctx, budget); err != nil {
		return fmt.Errorf("making PullBudget %q: %w", s.Name, err)
	}
	defer func() { _ = s.Client.Delete(context.WithoutCancel(ctx), budget) }()
	if err := s.AwaitAccount(ctx, "a reading of somebody else", func(a v1alpha1.AccountStatus) bool {
		return a.Grade == "Mismatch" && a.Doubt == "Source" && a.Source == s.Address && a.Unlimited
	}); err != nil {
		return err
	}
	words := []string{"readings belong to another identity", "takes Pace for anonymous (" + s.Address + ")"}
	if err := s.Says(ctx, 0, words, "pace", "budget", s.Name); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "app", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "app"); err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "app")
	if err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	for _, rel := range releases {
		if rel.Reason != string(core.FailOpen) {
			err = all(err, fmt.Errorf("%s was released as %s, want FailOpen: nothing is known of its account", rel.Pod, rel.Reason))
		}
	}
	f := s.Own()
	f.Account = s.Name
	// A kubelet that has not seen the pull secret in time pulls without it, and this
	// registry serves that too.
	if s.Registry.Log().Charged(f) == 0 {
		return errors.New("the account was charged nothing: the pulls were to go out with their login")
	}
	return all(err, noOwn429(s))
}
