package feedback

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

func TestRate(t *testing.T) {
	t.Parallel()
	// on is so many pods of a node and revision whose pulls fail.
	type on struct {
		pods           int
		node, revision string
		class          Class
	}
	tests := map[string]struct {
		failing []on
		good    int
		// goodOf is how many of the good are of revision a.
		goodOf int
		nodes  int
		want   Blame
		of     string
	}{
		"nothing":                         {nodes: 9},
		"one pod of one":                  {failing: []on{{1, "n1", "a", Reset}}, nodes: 9},
		"one pod of five is not many":     {failing: []on{{1, "n1", "a", Reset}}, good: 4, nodes: 9},
		"a sample of four":                {failing: []on{{2, "n1", "a", Reset}, {1, "n2", "a", Reset}}, good: 1, nodes: 9},
		"two of eleven":                   {failing: []on{{1, "n1", "a", Reset}, {1, "n2", "b", Reset}}, good: 9, nodes: 9},
		"two of ten":                      {failing: []on{{1, "n1", "a", Reset}, {1, "n2", "b", Reset}}, good: 8, nodes: 9, want: BlameAll},
		"all of one revision alone":       {failing: []on{{3, "n1", "a", Reset}, {3, "n2", "a", Reset}}, good: 9, goodOf: 9, nodes: 9, want: BlameAll},
		"one revision beside others":      {failing: []on{{3, "n1", "a", Reset}, {3, "n2", "a", Reset}}, good: 9, goodOf: 2, nodes: 9, want: BlameRevision, of: "a"},
		"one node of several":             {failing: []on{{6, "n1", "a", DNS}}, nodes: 9, want: BlameNode, of: "n1"},
		"one node of several, proved":     {failing: []on{{6, "n1", "a", DNS}, {1, "n2", "b", DNS}}, good: 9, nodes: 9, want: BlameNode, of: "n1"},
		"the only node":                   {failing: []on{{6, "n1", "a", DNS}}, nodes: 1, want: BlameAll},
		"few on many nodes are no node's": {failing: []on{{1, "n1", "a", Reset}, {1, "n2", "b", Reset}, {1, "n3", "c", Reset}}, good: 9, nodes: 9, want: BlameAll},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Rate
			n := 0
			for _, f := range tc.failing {
				for range f.pods {
					n++
					for again := range 3 { // it tries again, and is one pod
						r.Fail(start.Add(time.Duration(again)*time.Second), core.PodID(fmt.Sprint(n)), Where{Node: core.NodeID(f.node), Revision: f.revision, Egress: "nat"}, f.class)
					}
				}
			}
			for range tc.good {
				n++
				r.Pass(start, core.PodID(fmt.Sprint(n)), 2*time.Minute)
			}
			own := func(w Where) int {
				switch {
				case w.Revision == "a":
					return tc.goodOf
				case w.Egress != "":
					return tc.good
				}
				return 0
			}
			v := r.Judge(start.Add(5*time.Second), Threshold{}, tc.nodes, own)
			if v.Blame != tc.want || v.Of.name() != tc.of {
				t.Errorf("blames %q %q, want %q %q", v.Blame, v.Of.name(), tc.want, tc.of)
			}
		})
	}
}

func TestRateForgets(t *testing.T) {
	t.Parallel()
	none := func(Where) int { return 0 }
	fail := func(r *Rate, at time.Duration) {
		for i := range 6 {
			r.Fail(start.Add(at), core.PodID(fmt.Sprint(i)), Where{Node: core.NodeID(fmt.Sprint(i % 3))}, Timeout)
		}
	}
	tests := map[string]struct {
		do   func(r *Rate)
		at   time.Duration
		want Blame
	}{
		"within the window":           {func(*Rate) {}, time.Minute, BlameAll},
		"after the window":            {func(*Rate) {}, 2 * time.Minute, NoBlame},
		"a later attempt counts anew": {func(r *Rate) { fail(r, time.Minute) }, 2*time.Minute + 30*time.Second, BlameAll},
		"pods that succeeded since": {func(r *Rate) {
			for i := range 5 {
				r.Pass(start.Add(time.Second), core.PodID(fmt.Sprint(i)), 2*time.Minute)
			}
		}, time.Minute, NoBlame},
		"pods that are gone": {func(r *Rate) {
			for i := range 5 {
				r.Forget(core.PodID(fmt.Sprint(i)))
			}
		}, time.Minute, NoBlame},
		"a clock that ran backwards": {func(r *Rate) { fail(r, -time.Hour); fail(r, 0) }, time.Minute, BlameAll},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Rate
			fail(&r, 0)
			tc.do(&r)
			if v := r.Judge(start.Add(tc.at), Threshold{}, 9, none); v.Blame != tc.want {
				t.Errorf("blames %q, want %q", v.Blame, tc.want)
			}
		})
	}
}

// TestARateKeepsWhatItNeeds: pods that fail for days leave no trail of their attempts.
func TestARateKeepsWhatItNeeds(t *testing.T) {
	t.Parallel()
	var r Rate
	for i := range 10_000 {
		r.Fail(start.Add(time.Duration(i)*time.Minute), core.PodID(fmt.Sprint(i%10)), Where{Node: "n"}, Timeout)
	}
	if len(r.line) > 2*10+spare || len(r.failing) != 10 {
		t.Errorf("%d attempts of %d pods are kept", len(r.line), len(r.failing))
	}
}
