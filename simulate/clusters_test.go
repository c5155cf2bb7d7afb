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

// TestFourBlindClusters lets four clusters share an account that know nothing of each
// other: a tenth of each reading less 3. The bound is that of 197 units a window,
// (1100/197 rounded up, less 1) windows of 21,600 s, which is that of 200 too.
func TestFourBlindClusters(t *testing.T) {
	t.Parallel()
	const seeds, bound = 40, 108_000.0
	within := func(horizon string, check func(seed int, p report.Policy)) {
		for seed := 1; seed <= seeds; seed++ {
			s := blind(t, scenario.Edit{Path: "horizon", Value: horizon}, scenario.Edit{Path: "seed", Value: strconv.Itoa(seed)})
			s.Spec.Policies, s.Spec.Goals = s.Spec.Policies[1:], nil
			check(seed, run(t, s, simulate.Options{}).Policies[0])
		}
	}
	least, most := 1.0, 0.0
	within("6h", func(seed int, p report.Policy) {
		least = min(least, jain(p.Clusters))
		if fair := jain(p.Clusters); fair < 0.98 {
			t.Errorf("seed %d: fairness of the first window %.4f, want 0.98 at least: %+v", seed, fair, p.Clusters)
		}
	})
	refused := 0
	within("31h", func(seed int, p report.Policy) {
		if p.Throttled > 0 {
			refused++
		}
		most = max(most, *p.RatioToBound)
		if p.UnfinishedPods > 0 || *p.Bound.Seconds != bound || *p.RatioToBound > 1.02 {
			t.Errorf("seed %d: %d pods unfinished, ratio %.4f to %v s; want none, 1.02 at most to %v", seed, p.UnfinishedPods, *p.RatioToBound, *p.Bound.Seconds, bound)
		}
	})
	t.Logf("of %d seeds %d were refused something; least fairness %.4f, largest ratio %.4f", seeds, refused, least, most)
	if refused > 1 {
		t.Errorf("%d of %d seeds were refused something, want 1 at most", refused, seeds)
	}
}
