package simulate_test

import (
	"slices"
	"testing"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// story decodes a scenario that is built in.
func story(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	all, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s scenario.Story) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no story %s", name)
	}
	return decoded(t, string(all[i].YAML))
}

// TestAScaleUpOfThreeBudgets: 45 nodes that each pull five images are 225 units, three
// windows of 75, so that the last can begin two hours after the first.
func TestAScaleUpOfThreeBudgets(t *testing.T) {
	t.Parallel()
	r := run(t, story(t, "node-pool-scale-up"), simulate.Options{})
	of := map[string]report.Policy{}
	for _, p := range r.Policies {
		of[p.Name] = p
		if p.UnitsCharged != 225 || p.UnfinishedPods != 0 || *p.Bound.Seconds != 7200 {
			t.Errorf("%s: %d units, %d pods unfinished, bound %v s, want 225, 0 and 7200", p.Name, p.UnitsCharged, p.UnfinishedPods, *p.Bound.Seconds)
		}
	}
	if left := of["none"]; left.Throttled == 0 {
		t.Error("left alone nobody is refused: the test shows nothing")
	}
	for _, name := range []string{"pods", "nodes"} {
		p := of[name]
		if p.Throttled != 0 || *p.RatioToBound > 1.10 {
			t.Errorf("%s: %d answers of 429, last pull at %v of the bound, want none and 1.10 at most", name, p.Throttled, *p.RatioToBound)
		}
		// 45 nodes that stand from the start wait an hour each on average; those that come
		// when they can be fed stand for as long as five pulls take.
		if p.IdleNodeHours > 1 || of["none"].IdleNodeHours < 40 {
			t.Errorf("%s: nodes stand idle for %v hours, left alone for %v, want 1 at most and 40 at least", name, p.IdleNodeHours, of["none"].IdleNodeHours)
		}
	}
}
