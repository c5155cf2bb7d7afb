//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// withMaxHold gives the default policy a bound until restore is called.
func withMaxHold(ctx context.Context, s *stage.Stage, bound time.Duration) (restore func() error, err error) {
	patch := func(value string) error {
		out := s.Kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", `{"spec":{"maxHold":`+value+`}}`)
		if out.Code != 0 {
			return fmt.Errorf("changing the policy: %s", out)
		}
		return nil
	}
	return func() error { return patch("null") }, patch(fmt.Sprintf("%q", bound))
}

// drip is the stage of boundsPassed: nothing is left when it begins, and all comes
// back at once a window later. A unit would refill in 5 s.
var drip = stage.Options{Window: 40 * time.Second, Taken: stage.Limit}

// boundsPassed ends holds on an account that is used up, by their bound and by
// `release --all`: one pod is tried, and none other between its 429 and the next
// units. Then a policy engine refuses the controller's release, and the failsafe ends
// the hold at its bound.
func boundsPassed(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	restore, err := withMaxHold(ctx, s, 12*time.Second)
	if err != nil {
		return err
	}
	defer func() { err = all(err, restore()) }()
	began := time.Now()
	if err := s.Deploy(ctx, "bound", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "bound"); err != nil {
		return err
	}
	tried, _, err := beforeUnits(ctx, s, "bound")
	if err != nil {
		return err
	}
	if len(tried) != 1 || tried[0].Reason != string(core.HoldExpired) || s.Throttled(began) == 0 {
		return fmt.Errorf("before units came back %+v were let go and met %d answers of 429, want one that did", tried, s.Throttled(began))
	}
	r.Note("429_of_one_tried", s.Throttled(began))
	if err := restore(); err != nil {
		return err
	}
	s.Host.Spend(s.Identity(), 2*stage.Limit)
	if err := orderAll(ctx, s); err != nil {
		return err
	}
	if err := s.Await(ctx, "ordered"); err != nil {
		return err
	}
	tried, rest, err := beforeUnits(ctx, s, "ordered")
	if err != nil {
		return err
	}
	for _, rel := range append(tried, rest...) {
		if rel.Reason != string(core.Override) {
			err = all(err, fmt.Errorf("%s was released as %s, want Override", rel.Pod, rel.Reason))
		}
	}
	if refill := drip.Window / stage.Limit; len(tried) > 1 || rest[len(rest)-1].At.Sub(rest[0].At) < refill*time.Duration(len(rest)-1)-time.Second {
		err = all(err, fmt.Errorf("%d went before units came back and the others from %s to %s, want one at most and then one per %s",
			len(tried), clock(rest[0].At), clock(rest[len(rest)-1].At), refill))
	}
	if err != nil {
		return err
	}
	if _, err := withMaxHold(ctx, s, 20*time.Second); err != nil {
		return err
	}
	return refusedRelease(ctx, s)
}

// orderAll holds pods of a workload that is paused until the controller knows that
// nothing is left, and then lets all go that is held anywhere.
func orderAll(ctx context.Context, s *stage.Stage) error {
	pace := func(args ...string) error {
		if out := s.Kubectl(ctx, append([]string{"pace"}, args...)...); out.Code != 0 {
			return errors.New(out.String())
		}
		return nil
	}
	if err := s.Pause(ctx); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "ordered", stage.Nodes); err != nil {
		return err
	}
	if err := all(allHeld(ctx, s, "ordered", stage.Nodes), pace("pause", "deploy/ordered", "-n", s.Name, "--reason", "until it is ordered")); err != nil {
		return err
	}
	if err := s.AwaitAccount(ctx, "a reading of an account that is used up", func(a v1alpha1.AccountStatus) bool { return a.Remaining <= 0 }); err != nil {
		return err
	}
	return all(s.Resume(ctx), pace("release", "--all", "--reason", "we cannot wait"))
}

// beforeUnits are the releases of an app before the first of its pulls was charged, and
// the others.
func beforeUnits(ctx context.Context, s *stage.Stage, app string) (tried, rest []stage.Release, err error) {
	pods, err := s.Pods(ctx, app)
	if err != nil {
		return nil, nil, err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return nil, nil, err
	}
	f := s.Own()
	f.Repo, f.Charged = app, true
	first, ok := s.Registry.Log().FirstCharged(f)
	if !ok || len(releases) != stage.Nodes {
		return nil, nil, fmt.Errorf("%d pods of %s carry a release, want %d; charged at all: %v", len(releases), app, stage.Nodes, ok)
	}
	// A pod that was let go when units were there takes a moment to its pull.
	at := slices.IndexFunc(releases, func(rel stage.Release) bool { return rel.At.After(first.Time.Add(-3 * time.Second)) })
	if at < 0 {
		return nil, nil, fmt.Errorf("all pods of %s were let go before %s, when the first was served: %+v", app, clock(first.Time), releases)
	}
	return releases[:at], releases[at:], nil
}
