package simulate_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// blind is the built-in scenario of four clusters on one account: 200 units in any six
// hours, of which 800, 100, 100 and 100 are wanted at once.
func blind(t *testing.T, edits ...scenario.Edit) *scenario.Scenario {
	t.Helper()
	stories, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(stories, func(s scenario.Story) bool { return s.Name == "four-clusters" })
	return decoded(t, string(stories[i].YAML), edits...)
}

// jain is the index of fairness of shares: 1 where all are alike, 1/n where one has all.
func jain(clusters []report.Cluster) float64 {
	sum, squares := 0.0, 0.0
	for _, c := range clusters {
		n := float64(c.UnitsCharged)
		sum, squares = sum+n, squares+n*n
	}
	return sum * sum / (float64(len(clusters)) * squares)
}

// What greedy clusters do with an account that they share: the one that wants most has
// most of the first window, and all are refused tens of thousands of times. A run that
// ends within the window shows the shares of it.
func TestGreedyClustersAreNotFair(t *testing.T) {
	t.Parallel()
	r := run(t, blind(t, scenario.Edit{Path: "horizon", Value: "6h"}), simulate.Options{})
	if greedy := r.Policies[0]; jain(greedy.Clusters) > 0.6 || greedy.Throttled < 10_000 {
		t.Errorf("unpaced: fairness %.3f and %d answers of 429, want 0.6 at most and 10000 at least", jain(greedy.Clusters), greedy.Throttled)
	}
}

// TestBlindClustersShareAWindowEvenly: whatever each of them wants of it, the first
// window is shared as if by somebody who sees all of them.
func TestBlindClustersShareAWindowEvenly(t *testing.T) {
	t.Parallel()
	least := 1.0
	for seed := 1; seed <= 20; seed++ {
		s := blind(t, scenario.Edit{Path: "horizon", Value: "6h"}, scenario.Edit{Path: "seed", Value: strconv.Itoa(seed)})
		s.Spec.Policies, s.Spec.Goals = s.Spec.Policies[1:], nil
		p := run(t, s, simulate.Options{}).Policies[0]
		fair := jain(p.Clusters)
		if least = min(least, fair); fair < 0.98 {
			t.Errorf("seed %d: fairness of the first window %.4f, want 0.98 at least: %+v", seed, fair, p.Clusters)
		}
	}
	t.Logf("least fairness %.4f", least)
}

// TestFourBlindClusters lets four clusters share an account that know nothing of each
// other, forty times: a tenth of each reading less 3. The bound is that of 197 units a
// window, (1100/197 rounded up, less 1) windows of 21,600 s, which is that of 200 too.
func TestFourBlindClusters(t *testing.T) {
	t.Parallel()
	const bound = 108_000.0
	s := blind(t, scenario.Edit{Path: "horizon", Value: "31h"}, scenario.Edit{Path: "replications", Value: "40"})
	s.Spec.Policies = s.Spec.Policies[1:]
	s.Spec.Goals = []scenario.Goal{{Policy: "shared", Metric: "throttled", Op: "=="}}
	r := run(t, s, simulate.Options{})
	p := r.Policies[0]
	if refused := r.Goals[0].MissedIn; refused > 1 {
		t.Errorf("%d of 40 runs were refused something, want 1 at most", refused)
	}
	unfinished, ratio := p.Spread["unfinishedPods"], p.Spread["ratioToBound"]
	if *p.Bound.Seconds != bound || *unfinished.Max > 0 || *ratio.Max > 1.02 {
		t.Errorf("%v pods unfinished, ratio up to %.4f to %v s; want none, 1.02 at most to %v", *unfinished.Max, *ratio.Max, *p.Bound.Seconds, bound)
	}
	t.Logf("%d of 40 runs were refused something; ratio %.4f to %.4f", r.Goals[0].MissedIn, *ratio.Min, *ratio.Max)
}
