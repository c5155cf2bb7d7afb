package simulate_test

import (
	"testing"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/scenario"
)

// TestStoriesTeachWhatTheySay runs every scenario that is built in: each of its
// goals says something that the story claims.
func TestStoriesTeachWhatTheySay(t *testing.T) {
	t.Parallel()
	all, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range all {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			s, err := scenario.Decode(story.YAML)
			if err != nil {
				t.Fatal(err)
			}
			result, err := simulate.Run(t.Context(), s, simulate.Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Goals) != len(s.Spec.Goals) {
				t.Errorf("%d goals were checked, want %d", len(result.Goals), len(s.Spec.Goals))
			}
			for _, g := range result.Goals {
				if !g.Met {
					t.Errorf("%s: %s %s %v is missed", g.Policy, g.Metric, g.Op, g.Value)
				}
			}
			for _, p := range result.Policies {
				t.Logf("%-20s pulls %d, units %d, 429s %d, foreign %d, unfinished %d, makespan %v, ratio %v, %d events",
					p.Name, p.Pulls, p.UnitsCharged, p.Throttled, p.ForeignThrottled, p.UnfinishedPods, show(p.MakespanSeconds), show(p.RatioToBound), p.Events)
			}
		})
	}
}

func show(v *float64) any {
	if v == nil {
		return "never"
	}
	return *v
}
