//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// withMaxHold gives the default policy a bound until restore is called. Both return when
// the controller goes by the policy.
func withMaxHold(ctx context.Context, s *stage.Stage, bound time.Duration) (restore func() error, err error) {
	patch := func(value string) error {
		out := s.Kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", `{"spec":{"maxHold":`+value+`}}`)
		if out.Code != 0 {
			return fmt.Errorf("changing the policy: %s", out)
		}
		return s.Ruled(ctx, "default")
	}
	return func() error { return patch("null") }, patch(fmt.Sprintf("%q", bound))
}

// drip is the stage of boundsPassed: nothing is left when it begins, and all comes
// back at once a window later. A unit would refill in 5 s.
var drip = stage.Options{Window: 40 * time.Second, Taken: stage.Limit}

// boundsPassed ends holds on an account that is used up, by their bound and by
// `release --all`: pods are tried at the pace of the refill, and none between the first
// 429 that a kubelet tells of and the next units. Then a policy engine refuses the
// controller's release, and the failsafe ends the hold at its bound.
func boundsPassed(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	restore, err := withMaxHold(ctx, s, 12*time.Second)
	if err != nil {
		return err
	}
	defer func() { err = all(err, restore()) }()
	w, err := s.Witness(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.Deploy(ctx, "bound", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "bound"); err != nil {
		return err
	}
	tried, _, err := beforeUnits(ctx, s, "bound", began)
	if err != nil {
		return err
	}
	r.Note("tried", len(tried))
	r.Note("429_of_those", s.Throttled(began))
	if len(tried) == 0 || tried[0].Reason != string(core.HoldExpired) || s.Throttled(began) == 0 {
		return fmt.Errorf("before units came back %+v were let go and met %d answers of 429, want some that did", tried, s.Throttled(began))
	}
	if err := all(trickled(w, "bound", tried), restore()); err != nil {
		return err
	}
	s.Host.Spend(s.Identity(), 2*stage.Limit)
	spent := time.Now()
	if err := orderAll(ctx, s); err != nil {
		return err
	}
	if err := s.Await(ctx, "ordered"); err != nil {
		return err
	}
	tried, rest, err := beforeUnits(ctx, s, "ordered", spent)
	if err != nil {
		return err
	}
	for _, rel := range append(tried, rest...) {
		if rel.Reason != string(core.Override) {
			err = all(err, fmt.Errorf("%s was released as %s, want Override", rel.Pod, rel.Reason))
		}
	}
	if err := all(err, trickled(w, "ordered", tried), apart(rest)); err != nil {
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

// beforeUnits are the releases of an app from a time on at which nothing was left until
// there were units again, as anybody could know from an answer, and the others.
func beforeUnits(ctx context.Context, s *stage.Stage, app string, from time.Time) (tried, rest []stage.Release, err error) {
	releases, err := s.Releases(ctx, app)
	if err != nil {
		return nil, nil, err
	}
	units := s.Registry.Log().Entries(registry.Filter{Host: s.Host.Name(), NotBefore: from, Where: func(e registry.Entry) bool {
		return e.Remaining > 0 || e.Charged > 0
	}})
	if len(units) == 0 || len(releases) != stage.Nodes {
		return nil, nil, fmt.Errorf("%d pods of %s carry a release, want %d; %d answers from %s on told of units", len(releases), app, stage.Nodes, len(units), clock(from))
	}
	at := slices.IndexFunc(releases, func(rel stage.Release) bool { return !rel.At.Before(units[0].Time) })
	if at < 0 {
		return nil, nil, fmt.Errorf("all pods of %s were let go before %s, when there were units: %+v", app, clock(units[0].Time), releases)
	}
	return releases[:at], releases[at:], nil
}

// trickled complains of pods of an app that were tried faster than the refill, or when a
// kubelet had told that one met a 429.
func trickled(w *stage.Witness, app string, tried []stage.Release) error {
	told, err := w.Sights(func(s stage.Sight) bool { return s.App == app && strings.Contains(s.Message, "429") })
	for _, rel := range tried {
		if len(told) > 0 && rel.At.After(told[0].At.Add(turn)) {
			err = all(err, fmt.Errorf("%s was let go at %s, though %s had told of a 429 at %s and no units came since", rel.Pod, clock(rel.At), told[0].Pod, clock(told[0].At)))
		}
	}
	return all(err, apart(tried))
}

// turn is what may pass from what the API server tells to the decision that goes by it.
const turn = time.Second

// apart complains of releases, in order, that came faster than the refill.
func apart(releases []stage.Release) error {
	if len(releases) < 2 {
		return nil
	}
	refill := drip.Window / stage.Limit
	first, last := releases[0].At, releases[len(releases)-1].At
	if last.Sub(first) < refill*time.Duration(len(releases)-1)-time.Second {
		return fmt.Errorf("%d were let go from %s to %s, want one per %s", len(releases), clock(first), clock(last), refill)
	}
	return nil
}
