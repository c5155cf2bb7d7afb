package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

// scaled is a pool that is full with a pod and grows to what comes.
func scaled(a scenario.Autoscaler, edit func(s *scenario.Spec)) *scenario.Spec {
	boot := 30 * time.Second
	a.Max, a.Boot.Constant = 4, &boot
	a.BatchIdle, a.BatchMax, a.ScanInterval = time.Second, 10*time.Second, 10*time.Second
	return spec(func(s *scenario.Spec) {
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = 1, 2
		s.NodePools[0].Autoscaler = &a
		s.Workloads[0].Replicas = 2
		s.Timeline = []scenario.Entry{{At: time.Minute, Scale: &scenario.Scale{Workload: "web", Replicas: 6}}}
		edit(s)
	})
}

// joins are when nodes joined in a run.
func joins(t *testing.T, s *scenario.Spec, gate bool) ([]time.Duration, *Outcome) {
	t.Helper()
	var at []time.Duration
	see := func(w *World, e Event) {
		if e.Kind == NodeAdded {
			at = append(at, w.Now())
		}
	}
	if gate {
		o := play(t, s, &holder{watcher{observe: see}})
		return at, o
	}
	o := play(t, s, &watcher{observe: see})
	return at, o
}

// holder holds everything for ever.
type holder struct{ watcher }

func (p *holder) Gate(PodID) bool { return true }

func TestAutoscalers(t *testing.T) {
	t.Parallel()
	trickle := func(s *scenario.Spec) { s.Cluster = scenario.Cluster{CreateQPS: 2, CreateBurst: 1} }
	none := func(*scenario.Spec) {}
	karpenter := scenario.Autoscaler{Type: scenario.Karpenter}
	cluster := scenario.Autoscaler{Type: scenario.ClusterAutoscaler}
	tests := map[string]struct {
		scaler  scenario.Autoscaler
		edit    func(s *scenario.Spec)
		gate    bool
		want    []time.Duration
		waiting int
	}{
		"karpenter waits a second after the last pod": {karpenter, none, false, []time.Duration{91 * time.Second, 91 * time.Second}, 0},
		// the last of four pods that come half a second apart at 61.5 s
		"karpenter's batch goes on while pods come": {karpenter, trickle, false, []time.Duration{92500 * time.Millisecond, 92500 * time.Millisecond}, 0},
		"karpenter's batch ends after ten seconds": {karpenter, func(s *scenario.Spec) {
			s.Cluster = scenario.Cluster{CreateQPS: 2, CreateBurst: 1}
			s.NodePools[0].Autoscaler.Max = 100
			s.Timeline[0].Scale.Replicas = 32
			// twenty pods came in the ten seconds from 60 s, ten in the next until 74.5 s
		}, false, append(repeat(100*time.Second, 10), repeat(105500*time.Millisecond, 5)...), 0},
		"the cluster autoscaler looks every ten seconds": {cluster, trickle, false, []time.Duration{90 * time.Second, 100 * time.Second}, 0},
		"no more than the pool may have": {karpenter, func(s *scenario.Spec) { s.Timeline[0].Scale.Replicas = 20 }, false,
			repeat(91*time.Second, 3), 12},
		"held pods ask for nothing": {karpenter, none, true, nil, 6},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, o := joins(t, scaled(tc.scaler, tc.edit), tc.gate)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("nodes joined (-want +got):\n%s", diff)
			}
			if o.Unfinished != tc.waiting {
				t.Errorf("%d pods are not ready, want %d", o.Unfinished, tc.waiting)
			}
		})
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}

// TestBootTimesAreTheSameUnderEveryPolicy: they belong to the pool, not to who asked
// first.
func TestBootTimesAreTheSameUnderEveryPolicy(t *testing.T) {
	t.Parallel()
	s := scaled(scenario.Autoscaler{Type: scenario.Karpenter}, func(s *scenario.Spec) {
		s.NodePools[0].Autoscaler.Boot = scenario.Distribution{LogNormal: &scenario.LogNormal{P50: 45 * time.Second, P99: 110 * time.Second}}
	})
	first, _ := joins(t, s, false)
	again, _ := joins(t, s, false)
	if diff := cmp.Diff(first, again); diff != "" || len(first) != 2 || first[0] == first[1] {
		t.Errorf("joined at %v, then at %v; want two times that repeat", first, again)
	}
}

// nodeHolder holds the nodes that join for a while.
type nodeHolder struct {
	watcher
	span   time.Duration
	coming int
	pulls  []time.Duration // of DaemonSets, when they began
	bound  []time.Duration // pods, since the scale-up
}

func (p *nodeHolder) GateNode(n NodeID) bool {
	p.world.SetTimer(p.world.Now()+p.span, int32(n))
	return true
}

func (p *nodeHolder) Observe(e Event) {
	now := p.world.Now()
	switch {
	case e.Kind == NodeComing:
		p.coming++
	case e.Kind == TimerFired:
		p.world.LetGo(NodeID(e.Timer))
	case e.Kind == PullBegan && e.Pod == None && now > 0:
		p.pulls = append(p.pulls, now)
	case e.Kind == PodBound && now > 0:
		p.bound = append(p.bound, now)
	}
}

// A held node takes no pods, of DaemonSets neither, and its autoscaler counts on it all
// the same: it asks for the two nodes that four pods need, and for no more.
func TestAHeldNodeTakesNothingAndIsCountedOn(t *testing.T) {
	t.Parallel()
	for _, kind := range []scenario.AutoscalerType{scenario.Karpenter, scenario.ClusterAutoscaler} {
		s := scaled(scenario.Autoscaler{Type: kind}, func(s *scenario.Spec) {
			s.Images = append(s.Images, scenario.Image{Name: "agent", Registry: s.Registries[0].Name})
			s.NodePools[0].DaemonSets = []string{"agent"}
		})
		p := &nodeHolder{span: 5 * time.Minute}
		o := play(t, s, p)
		if p.coming != 2 || len(p.bound) != 4 || o.Unfinished != 0 {
			t.Errorf("%s: %d nodes are asked for, %d pods bound, %d unfinished, want 2, 4 and 0", kind, p.coming, len(p.bound), o.Unfinished)
		}
		for _, at := range append(p.pulls, p.bound...) {
			if at < 6*time.Minute+30*time.Second {
				t.Errorf("%s: a pod comes to a held node at %v", kind, at)
			}
		}
		if len(p.pulls) != 2 {
			t.Errorf("%s: %d DaemonSet pulls, want one on each new node", kind, len(p.pulls))
		}
	}
}
