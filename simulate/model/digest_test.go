package model

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

// busy is a scenario with something of everything that is drawn or shared.
func busy(seed uint64) *scenario.Spec {
	return spec(func(s *scenario.Spec) {
		apart(60, hourly(40))(s)
		s.Seed = seed
		s.Horizon = 3 * time.Hour
		s.Registries[0].RTT = scenario.Distribution{LogNormal: &scenario.LogNormal{P50: 120 * time.Millisecond, P99: 600 * time.Millisecond}}
		s.Egress[0].Bandwidth = 1e9
		s.Egress[0].Foreign = scenario.Foreign{PerWindow: 5}
		s.Mirrors = []scenario.Mirror{{Name: "zot", For: []string{"hub"}, Bandwidth: 5e8, Egress: "nat", RTT: scenario.Distribution{Exponential: &scenario.Exponential{Mean: time.Millisecond}}}}
		p := &s.NodePools[0]
		p.NIC, p.Zones, p.PodsPerNode = 1e8, []string{"a", "b", "c"}, 3
		p.Runtime.Unpack = 8e8
		p.Autoscaler = &scenario.Autoscaler{Type: scenario.Karpenter, Max: 80, BatchIdle: time.Second, BatchMax: 10 * time.Second,
			Boot: scenario.Distribution{Uniform: &scenario.Uniform{Min: 20 * time.Second, Max: time.Minute}}}
		s.Images[0].Layers = []scenario.Layer{{Digest: "a", Size: 30 << 20}, {Digest: "b", Size: 5 << 20}}
		s.Images = append(s.Images, scenario.Image{Name: "v2", Registry: "hub", Layers: []scenario.Layer{{Digest: "a", Size: 30 << 20}, {Digest: "c", Size: 9 << 20}}})
		s.Workloads[0].Strategy.MaxSurge = percent(25)
		s.Timeline = []scenario.Entry{
			{At: time.Minute, Scale: &scenario.Scale{Workload: "web", Replicas: 220}},
			{At: 20 * time.Minute, SetImage: &scenario.SetImage{Workload: "web", Image: "v2"}},
		}
		s.Faults = []scenario.Fault{{At: 2 * time.Minute, For: 10 * time.Minute, MirrorLoss: &scenario.MirrorLoss{Mirror: "zot"}},
			{At: 30 * time.Minute, CachePurge: &scenario.CachePurge{Pool: "general", Fraction: 0.5}}}
	})
}

// TestRunsRepeat: one seed and replication gives one digest whatever runs beside
// it and on however many processors, another gives another.
func TestRunsRepeat(t *testing.T) {
	want := play(t, busy(1), nil)
	if want.Pulls < 100 || want.Throttled == 0 || want.ForeignThrottled == 0 {
		t.Fatalf("the scenario shows too little: %d pulls, %d refusals, %d of others", want.Pulls, want.Throttled, want.ForeignThrottled)
	}
	for _, processors := range []int{1, 2, 7} {
		before := runtime.GOMAXPROCS(processors)
		got := make([]*Outcome, 6)
		var group sync.WaitGroup
		for i := range got {
			group.Go(func() { got[i] = Run(busy(1+uint64(i%2)), i/4, nil) })
		}
		group.Wait()
		runtime.GOMAXPROCS(before)
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("on %d processors (-want +got):\n%s", processors, diff)
		}
		if got[0].Digest != got[2].Digest {
			t.Error("the same run has another digest beside itself")
		}
		if got[0].Digest == got[1].Digest || got[0].Digest == got[4].Digest {
			t.Error("another seed or replication has the same digest")
		}
	}
}

// TestAWatcherChangesNothing: who only looks leaves the run as it is.
func TestAWatcherChangesNothing(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Run(busy(3), 0, nil), Run(busy(3), 0, &watcher{})); diff != "" {
		t.Errorf("unwatched and watched (-want +got):\n%s", diff)
	}
}

// TestMoreIsNeverWorse: greedy use of more quota or bandwidth ends no later.
func TestMoreIsNeverWorse(t *testing.T) {
	t.Parallel()
	last := func(edit func(s *scenario.Spec)) time.Duration {
		s := spec(func(s *scenario.Spec) {
			apart(100, hourly(30))(s)
			s.Egress[0].Bandwidth, s.NodePools[0].NIC = 1e9, 1e8
			s.Images[0].Layers[0].Size = 50 << 20
			edit(s)
		})
		o := play(t, s, newOracle(s.Registries[0].Limiters[0].Config()))
		return o.ReadyAt[99]
	}
	before := time.Duration(1 << 62)
	for _, limit := range []int64{10, 20, 25, 50, 99, 100, 1000} {
		if at := last(func(s *scenario.Spec) { s.Registries[0].Limiters[0].Limit = limit }); at > before {
			t.Errorf("with a limit of %d the last pod is ready at %v, later than with less", limit, at)
		} else {
			before = at
		}
	}
	before = 1 << 62
	for _, bandwidth := range []scenario.Bandwidth{1e7, 1e8, 5e8, 1e9, 2e9, 0} {
		if at := last(func(s *scenario.Spec) { s.Egress[0].Bandwidth = bandwidth }); at > before {
			t.Errorf("with %d bit/s the last pod is ready at %v, later than with less", bandwidth, at)
		} else {
			before = at
		}
	}
}

// TestTheSeriesIsTheRun: the course on its few points adds up to the figures.
func TestTheSeriesIsTheRun(t *testing.T) {
	t.Parallel()
	o := play(t, busy(1), nil)
	s := o.Series
	if n := len(s.Ready); n < seriesPoints/2 || n > seriesPoints || len(s.Throttled) != n || len(s.InFlight) != n || len(s.Held) != n || len(s.Remaining[0].Left) != n {
		t.Fatalf("%d, %d, %d, %d, %d points, want so many of each, at most %d", n, len(s.Throttled), len(s.InFlight), len(s.Held), len(s.Remaining[0].Left), seriesPoints)
	}
	var throttled int64
	for _, n := range s.Throttled {
		throttled += n
	}
	if last := s.Ready[len(s.Ready)-1]; throttled != o.Throttled || last != int64(len(o.ReadyAt)) {
		t.Errorf("the series ends with %d ready and %d refusals, want %d and %d", last, throttled, len(o.ReadyAt), o.Throttled)
	}
	if covered := s.Step * time.Duration(len(s.Ready)); covered < o.End || covered > o.End+2*s.Step {
		t.Errorf("%d steps of %v cover %v, the run took %v", len(s.Ready), s.Step, covered, o.End)
	}
	for i, left := range s.Remaining[0].Left {
		if left < 0 || left > 40 {
			t.Errorf("step %d: %d units remain of 40", i, left)
		}
	}
}
