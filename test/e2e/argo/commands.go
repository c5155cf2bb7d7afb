//go:build linux

package argo

import (
	"context"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/suite"
)

// forLong is a window that does not pass while a case runs: what waits for units waits.
const forLong = 10 * time.Minute

// commands has every command look at a Rollout whose steps wait: since a person said so,
// and since there is no budget.
func commands(ctx context.Context, a act, _ *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	return inTurn(ctx,
		a.begins(options{steps: gated}, len(images)),
		a.says(0, []string{"paused", it}, "pause", it, "--reason", "2.0 leaks"),
		a.updates(images...),
		a.hears(`"hold"`, `"Paused"`),
		a.reads(0, []string{"HELD", "Paused", "2.0 leaks", "1 of 5: analysis pull-budget"}, "explain", it),
		a.reads(0, []string{"rollout step", it + " step 1", "2.0 leaks (admin)"}, "status"),
		a.reads(4, []string{`"decision": "hold"`, `"reason": "Paused"`, "2.0 leaks"}, "check", "rollout", it),
		a.reads(4, []string{"state=paused", "step=1/5", "2.0 leaks"}, "rollout", it, "--follow"),
		// One step goes by order, and the next waits as before.
		a.says(0, []string{"released", it}, "release", it, "--reason", "customers wait"),
		a.waitsAt(2),
		a.reads(0, []string{"HELD", "Paused", "3 of 5: analysis pull-budget", "paused by admin: 2.0 leaks", "released by admin: customers wait"}, "explain", it),
		a.says(0, []string{"resumed", it}, "resume", it, "--reason", "2.0 does not"),
		// The last needs six units where two are left.
		a.waitsAt(4),
		a.hears(`"hold"`, `"WaitingForBudget"`, `"need":6`),
		a.reads(0, []string{"HELD", "WaitingForBudget", "5 of 5: analysis pull-budget", "needs 6", "; more "}, "explain", it),
		a.reads(0, []string{it + " step 5", "6 units of " + a.Host.Name() + "/anonymous needed at most"}, "status"),
		a.reads(3, []string{it, a.Image("front"), "free now"}, "cost", it),
		a.reads(3, []string{`"decision": "hold"`, `"workload": "` + it + `"`}, "check", "rollout", it),
		a.reads(4, []string{"state=held", "step=5/5", "reason=WaitingForBudget", "next="}, "rollout", it, "--follow", "--max-wait", "2s"),
		a.says(3, []string{"state=refused", "--max-wait 1m"}, "rollout", it, "--image", "c0="+a.Image("other"), "--max-wait", "1m"),
		a.sets(map[string]any{"abort": true}),
		a.accounts("nothing to be held any more", func(s v1alpha1.AccountStatus) bool { return s.Held == 0 && s.Demand == 0 }),
		a.reads(0, []string{"ABORTED", "Argo says Degraded: RolloutAborted"}, "explain", it),
	)
}
