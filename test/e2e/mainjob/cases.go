//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// builder makes cases on one lab, and on a second one beside it.
type builder struct {
	lab *stage.Lab
	// other is the second one, once it is up; only the cases of its lane, which run one
	// after the other, use it.
	other *stage.Lab
}

// on is a case with a stage of its own.
func (b *builder) on(name string, o stage.Options, p stage.Play) suite.Case {
	return stage.Case(name, o, p, func(context.Context) (*stage.Lab, error) { return b.lab, nil })
}

// second is the lane of the cases that use the second cluster.
const second = "second"

// apart is a case with a stage on the second cluster, which it may disturb.
func (b *builder) apart(name string, o stage.Options, p stage.Play) suite.Case {
	c := stage.Case(name, o, p, b.second)
	c.Lane, c.Apart = second, true
	return c
}

// second is the second cluster, with the product.
func (b *builder) second(ctx context.Context) (lab *stage.Lab, err error) {
	if b.other == nil {
		b.other, err = b.lab.Second(ctx)
	}
	return b.other, err
}

// alone marks a case that disturbs the whole cluster.
func alone(c suite.Case) suite.Case {
	c.Alone = true
	return c
}

// patient gives a case a time limit of its own.
func patient(c suite.Case, limit time.Duration) suite.Case {
	c.Patience = limit
	return c
}

// Cases are those of the suite.
func Cases(lab *stage.Lab) []suite.Case {
	b := &builder{lab: lab}
	used := stage.Options{Window: anHour, Taken: stage.Limit}
	// Those that ask for a price come first: a node lists 50 images at most, and after
	// a dozen cases a price is a range. Then those that take longest.
	return []suite.Case{
		b.on("cost", stage.Options{Limit: pulls}, cost),
		b.on("tenants", used, tenants),
		patient(b.twoClusters("two-clusters"), 5*time.Minute), // a cluster is brought up in it
		b.on("mid-hold", used, midHold),
		b.on("heads-cost", charging, headsCost),
		b.on("downgraded", stage.Options{Login: true, NoBudget: true}, downgraded),
		patient(b.on("bare-pod", stage.Options{}, barePod), v1alpha1.DefaultMaxHoldCI+3*time.Minute),
		b.on("paused-first", pausing, pausedFirst),
		b.on("jobs", stage.Options{NotPaced: true}, jobs),
		b.on("limit-cut", stage.Options{}, limitCut),
		b.on("foreign-burst", stage.Options{}, foreignBurst),
		b.on("foreign-steady", stage.Options{}, foreignSteady),
		b.on("paced", stage.Options{}, paced),
		b.on("rollback-first", stage.Options{Limit: 2 * stage.Limit, Window: anHour, ReservePercent: new(int32(30))}, rollbackFirst),
		b.on("fair-share", stage.Options{Limit: stage.Nodes, Window: 2 * stage.Window, Taken: stage.Nodes}, fairShare),
		b.on("scaled-mid-hold", stage.Options{}, scaled),
		b.on("foreign-gate", stage.Options{}, foreignGate),
		b.on("warm-goes", stage.Options{Limit: stage.Nodes, Window: anHour}, warmGoes),
		b.on("shadow", unmoved(&v1alpha1.PacePolicySpec{Mode: v1alpha1.Shadow}), shadowed),
		b.on(stage.Mirrored, stage.Options{Window: anHour}, mirror),
		b.on("never-gated", used, neverGated),
		b.on("bad-input", used, badInput),
		b.on("bad-objects", stage.Options{NoBudget: true}, badObjects),
		b.on("no-permission", stage.Options{NoBudget: true}, noPermission),
		b.on("proven", stage.Options{}, proven),
		b.on("rights", stage.Options{NoBudget: true}, rights),
		b.on("left-alone", stage.Options{NotPaced: true, NoBudget: true}, leftAlone),
		b.apart("turns-wedged", used, turnsWedged),
		patient(b.apart("controller-gone", used, controllerGone), freeWithin+2*time.Minute),
		// First of those that are alone: the trace is of all cases before.
		alone(suite.Case{Name: "decided-again", Run: func(ctx context.Context, r *suite.Report) error { return replayed(ctx, lab, r) }}),
		alone(b.on("egress-groups", stage.Options{Window: anHour, NoBudget: true}, egressGroups)),
		alone(b.on("egress-per-node", stage.Options{Window: anHour, NoBudget: true}, egressPerNode)),
		alone(b.on("headers-vanish", stage.Options{}, headersVanish)),
		alone(b.on("controller-killed", stage.Options{}, controllerKilled)),
		alone(b.on("api-server-restarted", stage.Options{}, apiServerRestarted)),
		patient(alone(b.on("bounds-passed", drip, boundsPassed)), 5*time.Minute),
		alone(b.on("page-of-removal", used, pageOfRemoval)),
		alone(b.on("upgraded-mid-hold", stage.Options{}, upgraded)),
		alone(b.on("webhook-unreachable", stage.Options{}, webhookUnreachable)),
		alone(b.on("certificate-expired", stage.Options{}, certificateExpired)),
		alone(b.on("uninstall", stage.Options{}, uninstall)),
	}
}

// leftAlone is the control: what the other cases do not see is there to be seen.
func leftAlone(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	if _, err := s.Fleet(ctx, pulls/stage.Nodes); err != nil {
		return err
	}
	// All 24 pods ask within the window; 8 are served, and the first refusal of
	// any of the other 16 is enough.
	f := s.Own()
	f.Throttled = true
	if _, err := s.Registry.Log().Wait(ctx, 1, f); err != nil {
		return fmt.Errorf("an unpaced rollout was never refused: %w", err)
	}
	return nil
}

// replayed has what the controller decided decided again by another process.
func replayed(ctx context.Context, lab *stage.Lab, r *suite.Report) error {
	replay, err := lab.Replayed(ctx)
	r.Note("decisions", replay.Decisions)
	r.Note("calls", replay.Calls)
	return err
}

// pulls are those of a whole rollout: 6 Deployments on 4 nodes. On 8 in any 10 s
// they take (24/8-1)*10 s = 20 s at least from the first to the last.
const pulls = 24

// noOwn429 complains about refusals.
func noOwn429(s *stage.Stage) error {
	if n := s.Throttled(time.Time{}); n > 0 {
		return fmt.Errorf("the nodes met %d answers of 429, want 0", n)
	}
	return nil
}

// exactly complains unless the nodes were charged so many units.
func exactly(s *stage.Stage, want int64) error {
	if got := s.Charges(""); got != want {
		return fmt.Errorf("the nodes were charged %d units, want %d", got, want)
	}
	return nil
}

// all joins what was found wrong.
func all(errs ...error) error { return errors.Join(errs...) }
