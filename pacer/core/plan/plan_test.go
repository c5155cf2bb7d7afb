package plan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
)

// TestPriceAgainstEveryPlacement tries every way in which a scheduler can place a
// few pods on a few nodes, and every truth about nodes of which nothing is known.
func TestPriceAgainstEveryPlacement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := NodeCount{Account: "hub", Cold: rapid.IntRange(0, 3).Draw(t, "cold"), Unknown: rapid.IntRange(0, 2).Draw(t, "unknown"), Warm: rapid.IntRange(0, 2).Draw(t, "warm")}
		o := Order{
			Pods: rapid.IntRange(0, 4).Draw(t, "pods"), OnePerNode: rapid.Bool().Draw(t, "one per node"),
			PerPull: Span{Min: 1, Max: core.Units(rapid.IntRange(1, 2).Draw(t, "manifests"))}, Nodes: []NodeCount{n},
		}
		total := n.Cold + n.Unknown + n.Warm
		if o.Pods > 0 && total == 0 || o.OnePerNode && o.Pods > total {
			return // such pods stay pending: there is no placement to compare with
		}
		got := Price(o)[0]
		for known := range 1 << n.Unknown {
			place(o, total, func(used map[int]bool) {
				pulls := core.Units(0)
				for node := range used {
					cold := node < n.Cold || node < n.Cold+n.Unknown && known&(1<<(node-n.Cold)) != 0
					if cold {
						pulls++
					}
				}
				if pulls*o.PerPull.Min < got.Min || pulls*o.PerPull.Max > got.Max {
					t.Fatalf("nodes %v make %d pulls, priced %+v", used, pulls, got)
				}
			})
		}
	})
}

// place calls visit for every set of nodes that the pods may be on.
func place(o Order, nodes int, visit func(map[int]bool)) {
	var rec func(pod int, used map[int]bool)
	rec = func(pod int, used map[int]bool) {
		if pod == o.Pods {
			visit(used)
			return
		}
		for node := range nodes {
			if o.OnePerNode && used[node] {
				continue
			}
			next := map[int]bool{node: true}
			for k := range used {
				next[k] = true
			}
			rec(pod+1, next)
		}
	}
	rec(0, map[int]bool{})
}

func TestPriceIsExactWhereNothingIsLeftToChance(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		order Order
		want  []Span
	}{
		"one pod a node, all cold":             {Order{Pods: 4, OnePerNode: true, PerPull: Span{1, 1}, Nodes: []NodeCount{{Cold: 4}}}, []Span{{4, 4}}},
		"all warm":                             {Order{Pods: 4, PerPull: Span{1, 2}, Nodes: []NodeCount{{Warm: 4}}}, []Span{{0, 0}}},
		"ten pods, two nodes":                  {Order{Pods: 10, PerPull: Span{1, 1}, Nodes: []NodeCount{{Cold: 2}}}, []Span{{1, 2}}},
		"more pods than nodes, one pod a node": {Order{Pods: 9, OnePerNode: true, PerPull: Span{1, 1}, Nodes: []NodeCount{{Cold: 2, Warm: 1}}}, []Span{{2, 2}}},
		"two egress groups, free to choose":    {Order{Pods: 3, OnePerNode: true, PerPull: Span{1, 1}, Nodes: []NodeCount{{Cold: 2}, {Cold: 2}}}, []Span{{1, 2}, {1, 2}}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, Price(tc.order)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Pods added one by one cost together what they cost at once, and never more than
// one pull for each cold node.
func TestMarginalAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var asks []Ask
		for i := range rapid.IntRange(1, 4).Draw(t, "asks") {
			asks = append(asks, Ask{
				Account: core.AccountID(fmt.Sprint(i % 2)), Image: core.Image(fmt.Sprint(i)),
				Price: core.Units(rapid.IntRange(0, 2).Draw(t, "price")), Cold: rapid.IntRange(0, 5).Draw(t, "cold"),
			})
		}
		pods := rapid.IntRange(0, 12).Draw(t, "pods")
		sum := map[core.AccountID]core.Units{}
		for n := range pods {
			for id, units := range Marginal(asks, n, 1) {
				sum[id] += units
			}
		}
		if diff := cmp.Diff(Marginal(asks, 0, pods), sum); diff != "" {
			t.Fatalf("at once (-) and one by one (+):\n%s", diff)
		}
	})
}

func TestFairnessEarnsNothingByIdling(t *testing.T) {
	t.Parallel()
	f := Fair{}
	f.Activate(core.ClassRollout, []string{"a", "b"})
	f.Serve(core.ClassRollout, "a", 30, 1)
	f.Serve(core.ClassRollout, "b", 30, 3)
	f.Serve(core.ClassRollout, "idle", 99, 1) // does not wait: not booked
	f.Activate(core.ClassRollout, []string{"a", "b", "c"})
	want := map[string]*float64{"a": new(30.0), "b": new(10.0), "c": new(10.0)}
	if diff := cmp.Diff(want, f[core.ClassRollout]); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
	later := f.Clone()
	later.Serve(core.ClassRollout, "c", 5, 1)
	if got := f.Served(core.ClassRollout, "c"); got != 10 {
		t.Errorf("what a copy served counts: %v, want 10", got)
	}
	f.Activate(core.ClassRollout, []string{"d"})
	if got := f.Served(core.ClassRollout, "d"); got != 30 {
		t.Errorf("the next starts at %v, want where the most served stood", got)
	}
}
