package model

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

// percent is a portion of replicas.
func percent(n int) scenario.Portion { return scenario.Portion{Number: n, Percent: true} }

// rollout is a workload of a hundred pods that runs and is rolled to another image.
func rollout(surge, unavailable scenario.Portion) *scenario.Spec {
	startup := 10 * time.Second
	return spec(func(s *scenario.Spec) {
		s.NodePools[0].Nodes = 10
		s.Images = append(s.Images, scenario.Image{Name: "app-v2", Registry: "hub", Layers: []scenario.Layer{{Digest: "v2", Size: 1}}})
		s.Workloads[0].Replicas, s.Workloads[0].Cold = 100, false
		s.Workloads[0].Startup.Constant = &startup
		s.Workloads[0].Strategy = scenario.Strategy{MaxSurge: surge, MaxUnavailable: unavailable}
		s.Timeline = []scenario.Entry{{At: time.Minute, SetImage: &scenario.SetImage{Workload: "web", Image: "app-v2"}}}
	})
}

// TestRolloutKeepsItsBounds follows the numbers of pods of rollouts.
func TestRolloutKeepsItsBounds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		surge, unavailable scenario.Portion
		most, least        int
		rounds             time.Duration
	}{
		// each round of starts takes 10 s
		"a quarter more":       {percent(25), percent(0), 125, 100, 4},
		"a quarter less":       {percent(0), percent(25), 100, 75, 4},
		"a quarter both ways":  {percent(25), percent(25), 125, 75, 2},
		"neither is one less":  {percent(0), percent(0), 100, 99, 100},
		"all at once":          {percent(100), percent(0), 200, 100, 1},
		"one more":             {scenario.Portion{Number: 1}, percent(0), 101, 100, 100},
		"seventh, rounded up":  {percent(7), percent(0), 107, 100, 15},
		"more than all is all": {scenario.Portion{Number: 500}, percent(0), 200, 100, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, ready := 100, 100
			most, least := 0, 100
			began := map[PodID]bool{}
			o := play(t, rollout(tc.surge, tc.unavailable), &watcher{observe: func(w *World, e Event) {
				switch {
				case e.Kind == PodBound && !began[e.Pod]:
					began[e.Pod] = true
					all++
				case e.Kind == PodReady:
					ready++
				case e.Kind == PodGone:
					all--
					if e.Pod < 100 || began[e.Pod] {
						ready-- // in these rollouts only pods that were Ready go
					}
				}
				most, least = max(most, all), min(least, ready)
			}})
			if most != tc.most || least != tc.least {
				t.Errorf("between %d Ready and %d in all, want %d and %d", least, most, tc.least, tc.most)
			}
			if got, want := o.ReadyAt[len(o.ReadyAt)-1], time.Minute+tc.rounds*10*time.Second; got != want || len(o.ReadyAt) != 100 || o.Unfinished != 0 {
				t.Errorf("%d pods were replaced by %v, want 100 by %v", len(o.ReadyAt), got, want)
			}
			if o.Pulls != 10 || o.UnitsCharged != 0 {
				t.Errorf("%d pulls, want one on each of 10 nodes", o.Pulls)
			}
		})
	}
}

// TestRollbackPullsNothing: the image before is on the nodes still, and its set
// comes back under its number.
func TestRollbackPullsNothing(t *testing.T) {
	t.Parallel()
	s := rollout(percent(25), percent(0))
	s.Timeline = append(s.Timeline, scenario.Entry{At: 75 * time.Second, Rollback: &scenario.Rollback{Workload: "web"}})
	var revisions []string
	o := play(t, s, &watcher{observe: func(w *World, e Event) {
		if e.Kind == WorkloadChanged {
			l := w.Workload(e.Workload)
			revisions = append(revisions, fmt.Sprintf("%d, back %d, %v", l.Revision, l.Back, w.Images(e.Workload, l.Revision)))
		}
	}})
	if diff := cmp.Diff([]string{"1, back 0, [1]", "0, back 1, [0]"}, revisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	// 25 pods were Ready of the new image at 70 s, when 25 more began: the latter never
	// count, and 25 of the old image replace the former
	if len(o.ReadyAt) != 50 || o.Unfinished != 0 || o.Pulls != 10 {
		t.Errorf("%d pods became Ready, %d are unfinished, %d pulls; want 50, none, 10", len(o.ReadyAt), o.Unfinished, o.Pulls)
	}
}

// TestCreationIsPaced is a scale-up whose pods are created at 20 a second after 30
// at once, and bound at 10 a second after 5.
func TestCreationIsPaced(t *testing.T) {
	t.Parallel()
	var created, bound []time.Duration
	p := &watcher{observe: func(w *World, e Event) {
		if e.Kind == PodBound {
			created = append(created, w.Pod(e.Pod).Created)
			bound = append(bound, w.Now())
		}
	}}
	play(t, spec(func(s *scenario.Spec) {
		s.Cluster = scenario.Cluster{CreateQPS: 20, CreateBurst: 30, BindQPS: 10, BindBurst: 5}
		s.NodePools[0].Nodes = 10
		s.Workloads[0].Replicas, s.Workloads[0].Cold = 10, false
		s.Timeline = []scenario.Entry{{At: time.Second, Scale: &scenario.Scale{Workload: "web", Replicas: 60}}}
	}), p)
	if len(bound) != 50 {
		t.Fatalf("%d pods were bound, want 50", len(bound))
	}
	for i := range bound {
		wantCreated := time.Second + time.Duration(max(0, i-29))*50*time.Millisecond
		wantBound := max(wantCreated, time.Second+time.Duration(max(0, i-4))*100*time.Millisecond)
		if created[i] != wantCreated || bound[i] != wantBound {
			t.Fatalf("pod %d was created at %v and bound at %v, want %v and %v", i, created[i], bound[i], wantCreated, wantBound)
		}
	}
}

// TestScaleDownTakesThePodsThatAreNotReadyFirst leaves those that are.
func TestScaleDownTakesThePodsThatAreNotReadyFirst(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		apart(20, scenario.Limiter{Type: scenario.RollingLog, Counts: scenario.CountPull, Limit: 5, Window: time.Hour})(s)
		s.Timeline = []scenario.Entry{{At: time.Minute, Scale: &scenario.Scale{Workload: "web", Replicas: 5}}}
	}), nil)
	if len(o.ReadyAt) != 5 || o.Unfinished != 0 || o.End > 2*time.Minute {
		t.Errorf("%d pods were Ready and %d unfinished at %v; want the five that could pull, and no more", len(o.ReadyAt), o.Unfinished, o.End)
	}
}

// TestDaemonSets pull on every node that joins, before its pods do where the kubelet
// pulls one image at a time, and are in none of the figures of pods.
func TestDaemonSets(t *testing.T) {
	t.Parallel()
	rtt := 100 * time.Millisecond
	o := play(t, spec(func(s *scenario.Spec) {
		s.Registries[0].RTT.Constant = &rtt
		s.Registries[0].Limiters = []scenario.Limiter{bucket(1000, 1000)}
		for _, name := range []string{"cni", "logs"} {
			s.Images = append(s.Images, scenario.Image{Name: name, Registry: "hub", Layers: []scenario.Layer{{Digest: name, Size: 1}}})
		}
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = 1, 1
		s.NodePools[0].DaemonSets = []string{"cni"}
		s.Workloads[0].Replicas = 2
		s.Workloads = append(s.Workloads, scenario.Workload{Name: "logs", Kind: scenario.DaemonSet, Image: "logs"})
		s.Timeline = []scenario.Entry{
			{At: time.Minute, AddNodes: &scenario.AddNodes{Pool: "general", Count: 1}},
			{At: time.Hour, SetImage: &scenario.SetImage{Workload: "logs", Image: "cni"}},
		}
	}), nil)
	// a cold pull takes 7 round trips of two manifests, 6 of one; the node that was
	// there has what its DaemonSets run
	if diff := cmp.Diff([]time.Duration{7 * rtt, time.Minute + 19*rtt}, o.ReadyAfter); diff != "" {
		t.Errorf("ready after (-want +got):\n%s", diff)
	}
	// app twice, cni and logs once; later logs are rolled to an image that both hold
	if o.Pulls != 4 || o.UnitsCharged != 4 || o.Unfinished != 0 || o.IdleNode != 19*rtt {
		t.Errorf("%d pulls, %d units, %d unfinished, %v idle; want 4, 4, 0, %v", o.Pulls, o.UnitsCharged, o.Unfinished, o.IdleNode, 19*rtt)
	}
}

// TestNodesThatGoTakeTheirPodsWithThem: the workload makes new ones elsewhere.
func TestNodesThatGoTakeTheirPodsWithThem(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = 4, 5
		s.Workloads[0].Replicas, s.Workloads[0].Cold = 10, false
		s.Timeline = []scenario.Entry{{At: time.Minute, RemoveNodes: &scenario.RemoveNodes{Pool: "general", Count: 2}}}
	}), nil)
	// of ten pods on four nodes, 3 + 3 + 2 + 2, six are lost
	if len(o.ReadyAt) != 6 || o.Unfinished != 0 || o.Pulls != 0 {
		t.Errorf("%d pods were made anew, %d unfinished, %d pulls; want 6, none, none", len(o.ReadyAt), o.Unfinished, o.Pulls)
	}
}
