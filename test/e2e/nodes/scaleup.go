//go:build linux

package nodes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// window is that of the scale-up whose end is judged: the two that it takes at least are
// long against what an autoscaler takes to bring a node, on a busy machine too.
const window = 2 * time.Minute

// nearBound is how much later than at best the last pull may be asked for, beside what its
// nodes take to come.
const nearBound = 1.10

// scaledUp adds a workload of three times the budget to a pool without a node: no pull is
// refused, every pod brings one node and no more, and the last pull is asked for about as
// early as the registry and the nodes allow.
func scaledUp(ctx context.Context, s *scene, r *suite.Report) error {
	if err := s.deploy(ctx, "app", pulls, oneANode); err != nil {
		return err
	}
	if err := s.runs(ctx, pulls); err != nil {
		return err
	}
	return all(s.near(ctx, r), none429(s.Stage), exactly(s.Stage, pulls), s.grewBy(ctx, pulls), s.allNeeded(ctx, 1))
}

// near complains if the last pull was asked for later than near the bound: what the
// registry's windows allow, and then what the autoscaler took to bring the nodes.
func (s *scene) near(ctx context.Context, r *suite.Report) error {
	booted, err := s.booted(ctx)
	if err != nil {
		return err
	}
	bound, spread := time.Duration(pulls/stage.Limit-1)*s.Options.Window, s.Spread()
	r.Note("spread", spread.Round(time.Second))
	r.Note("of_bound", fmt.Sprintf("%.2f", spread.Seconds()/bound.Seconds()))
	r.Note("booted", booted.Round(time.Second))
	if (spread - booted).Seconds() > nearBound*bound.Seconds() {
		return fmt.Errorf("the last pull came %s after the first, of which nodes took %s to come, want %.2f of %s at most beside those", spread.Round(time.Second), booted.Round(time.Second), nearBound, bound)
	}
	return nil
}

// booted is how long the last pull waited for nodes: a unit comes back a window after the
// pull that took it, and the pod that goes then pulls when its node is there, so that what
// nodes take adds up from wave to wave. The first pull, from which time counts, waited too.
func (s *scene) booted(ctx context.Context) (sum time.Duration, err error) {
	releases, err := s.Releases(ctx, "app")
	if err != nil {
		return 0, err
	}
	f := s.Own()
	f.Charged = true
	pulled := s.Registry.Log().Entries(f)
	if len(releases) != pulls || len(pulled) != pulls {
		return 0, fmt.Errorf("%d pods were let go and %d pulled, want %d", len(releases), len(pulled), pulls)
	}
	took := func(i int) time.Duration { return pulled[i].Time.Sub(releases[i].At) }
	for i := pulls - 1; i >= 0; i -= stage.Limit {
		sum += took(i)
	}
	return sum - took(0), nil
}

// leftAlone is the control: the same, held by nobody, is refused, and brings as many nodes.
func leftAlone(ctx context.Context, s *scene, r *suite.Report) error {
	if err := s.deploy(ctx, "app", pulls, oneANode); err != nil {
		return err
	}
	f := s.Own()
	f.Throttled = true
	if _, err := s.Registry.Log().Wait(ctx, 1, f); err != nil {
		return fmt.Errorf("a scale-up that nobody holds was never refused: %w", err)
	}
	if err := s.runs(ctx, pulls); err != nil {
		return err
	}
	return s.grewBy(ctx, pulls)
}

// waves has pods wait for an account that is paused: the autoscaler, which sees none of
// them, makes nothing. Then they go in waves, and so do the nodes come.
func waves(ctx context.Context, s *scene, r *suite.Report) error {
	if err := s.Pause(ctx); err != nil {
		return err
	}
	if err := s.deploy(ctx, "app", pulls, oneANode); err != nil {
		return err
	}
	_, err := s.AwaitPods(ctx, "app", "all pods to be held", func(pods []corev1.Pod) bool {
		return len(pods) == pulls && stage.Count(pods, stage.HeldFor(core.Paused)) == pulls
	})
	if err != nil {
		return err
	}
	if made, err := s.claims(ctx); err != nil || len(made) > 0 {
		return all(err, fmt.Errorf("%d NodeClaims were made for pods that are held", len(made)))
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	if err := s.runs(ctx, pulls); err != nil {
		return err
	}
	return all(none429(s.Stage), exactly(s.Stage, pulls), s.grewBy(ctx, pulls), s.allNeeded(ctx, 1), s.inWaves(ctx, r))
}

// packed adds a workload of which three pods fit on a node, again on three times as many
// nodes as the budget feeds in a window: those that find room on a node that is there or
// on its way go to it, and bring none.
func packed(ctx context.Context, s *scene, r *suite.Report) error {
	const each = 3
	nodes := 3 * int(s.Options.Limit)
	if err := s.deploy(ctx, "app", int32(each*nodes), threeANode); err != nil {
		return err
	}
	if err := s.runs(ctx, each*nodes); err != nil {
		return err
	}
	r.Note("spread", s.Spread().Round(time.Second))
	return all(none429(s.Stage), exactly(s.Stage, int64(nodes)), s.grewBy(ctx, nodes), s.allNeeded(ctx, each))
}

// allNeeded complains about NodeClaims that were made while the pods that had been let go
// fitted on the nodes before, those that were starting among them: so many on each.
func (s *scene) allNeeded(ctx context.Context, each int) error {
	releases, err := s.Releases(ctx, "app")
	if err != nil {
		return err
	}
	made, err := s.claims(ctx)
	if err != nil {
		return err
	}
	var wrong error
	for i, at := range made {
		gone := 0
		for _, rel := range releases {
			// The API server writes whole seconds.
			if rel.At.Before(at.Add(time.Second)) {
				gone++
			}
		}
		if gone <= i*each {
			wrong = all(wrong, fmt.Errorf("NodeClaim %d was made at %s, when %d pods had been let go: those before it had room for %d", i+1, at.Format(time.TimeOnly), gone, i*each))
		}
	}
	return wrong
}

// inWaves complains unless pods went in as many waves as it took.
func (s *scene) inWaves(ctx context.Context, r *suite.Report) error {
	releases, err := s.Releases(ctx, "app")
	if err != nil {
		return err
	}
	var at []time.Time
	for _, rel := range releases {
		at = append(at, rel.At)
	}
	waves := s.wavesOf(at)
	r.Note("waves", waves)
	if want := pulls / stage.Limit; waves < want {
		return fmt.Errorf("pods went in %d waves, want %d", waves, want)
	}
	return nil
}

// wavesOf counts the waves of moments, which are in their order: between two of them
// passes half of a window at least.
func (s *scene) wavesOf(at []time.Time) int {
	waves := min(1, len(at))
	for i := 1; i < len(at); i++ {
		if at[i].Sub(at[i-1]) > s.Options.Window/2 {
			waves++
		}
	}
	return waves
}

// none429 complains about refusals.
func none429(s *stage.Stage) error {
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

// grewBy complains unless the autoscaler made so many NodeClaims, and nodes.
func (s *scene) grewBy(ctx context.Context, want int) error {
	made, err := s.claims(ctx)
	if err != nil {
		return err
	}
	nodes, err := s.nodes(ctx)
	if err != nil {
		return err
	}
	if len(made) != want || len(nodes) != want {
		return fmt.Errorf("the autoscaler made %d NodeClaims and %d nodes, want %d", len(made), len(nodes), want)
	}
	return nil
}
