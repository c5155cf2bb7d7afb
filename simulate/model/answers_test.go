package model

import (
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/scenario"
)

// The scenarios in this file have answers that are known in closed form. Every pod
// has a node of its own, so that none depends on placement.

// apart gives each of n pods a node.
func apart(n int, l ...scenario.Limiter) func(s *scenario.Spec) {
	return func(s *scenario.Spec) {
		s.Registries[0].Limiters = l
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = n, 1
		s.Workloads[0].Replicas = n
	}
}

func within(t *testing.T, what string, got, want, tolerance time.Duration) {
	t.Helper()
	if got < want-tolerance || got > want+tolerance {
		t.Errorf("%s is %v, want %v within %v", what, got, want, tolerance)
	}
}

func TestAnOracleNeedsTheBoundOnABucketOfSeconds(t *testing.T) {
	t.Parallel()
	l := bucket(10, 10)
	o := play(t, spec(apart(1000, l)), newOracle(l.Config()))
	within(t, "the last pull's start", o.LastPullStart, 99*time.Second, 100*time.Millisecond)
	if o.Throttled != 0 || o.UnitsCharged != 1000 || o.Unfinished != 0 {
		t.Errorf("%d refusals, %d units, %d unfinished; want none, 1000, none", o.Throttled, o.UnitsCharged, o.Unfinished)
	}
}

// TestSixHourWindows is 250 pulls against 100 per six hours of each type. The bound
// on a sliding counter is 54,000 s, but its windows are half open: the last unit of
// the second comes in the third, and greedy needs 2 50/99 windows.
func TestSixHourWindows(t *testing.T) {
	t.Parallel()
	const window = 6 * time.Hour
	tests := map[string]struct {
		limiter scenario.Limiter
		want    time.Duration
	}{
		"rolling log":            {scenario.Limiter{Type: scenario.RollingLog, Limit: 100, Window: window}, 43200 * time.Second},
		"fixed window":           {scenario.Limiter{Type: scenario.FixedWindow, Limit: 100, Window: window, Phase: 14400 * time.Second}, 36000 * time.Second},
		"token bucket":           {scenario.Limiter{Type: scenario.TokenBucket, Burst: 100, Rate: scenario.Rate{Units: 100, Every: window}}, 32400 * time.Second},
		"sliding counter":        {scenario.Limiter{Type: scenario.SlidingCounter, Limit: 100, Window: window}, 54109 * time.Second},
		"rolling, denied counts": {scenario.Limiter{Type: scenario.RollingLog, Limit: 100, Window: window, CountsDenied: true}, 43200 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(apart(250, tc.limiter))
			o := play(t, s, newOracle(tc.limiter.Config()))
			within(t, "the oracle's last pull", o.LastPullStart, tc.want, time.Second)
			if o.Throttled != 0 || o.Pulls != 250 {
				t.Errorf("the oracle met %d refusals and %d pulls, want none and 250", o.Throttled, o.Pulls)
			}
			o = play(t, s, nil)
			if tc.limiter.CountsDenied {
				if o.Unfinished != 150 || o.Pulls != 100 || o.End != s.Horizon {
					t.Errorf("unpaced, %d pods were left, %d pulled, at %v: want 150 that try for ever", o.Unfinished, o.Pulls, o.End)
				}
				return
			}
			// a prototype of the kubelets' back-off was 1 % above the bound in all of them
			if o.Unfinished != 0 || o.LastPullStart < tc.want || o.LastPullStart > tc.want+tc.want/50 {
				t.Errorf("unpaced, the last of 250 pulls started at %v, %d unfinished; want at most 2 %% after %v", o.LastPullStart, o.Unfinished, tc.want)
			}
			if o.Throttled < 10_000 {
				t.Errorf("unpaced met %d refusals, want tens of thousands", o.Throttled)
			}
		})
	}
}

// TestPipeNotQuota is 100 downloads of 500 MB over 10 Gbit/s by cards of 1 Gbit/s:
// any order that leaves no bandwidth idle takes 40 s, but in waves of ten the mean
// pod waits for five and a half waves of four seconds.
func TestPipeNotQuota(t *testing.T) {
	t.Parallel()
	s := spec(func(s *scenario.Spec) {
		apart(100)(s)
		s.Egress[0].Bandwidth = 10e9
		s.NodePools[0].NIC = 1e9
		s.Images[0].Layers = []scenario.Layer{{Digest: "big", Size: 500e6}}
	})
	tests := map[string]struct {
		pacer Pacer
		mean  time.Duration
	}{
		"all at once": {nil, 40 * time.Second},
		"waves of 10": {&waves{most: 10}, 22 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := play(t, s, tc.pacer)
			if len(o.ReadyAt) != 100 {
				t.Fatalf("%d pods were ready, want 100", len(o.ReadyAt))
			}
			within(t, "the makespan", o.ReadyAt[99], 40*time.Second, 200*time.Millisecond)
			within(t, "the mean", mean(o.ReadyAfter), tc.mean, tc.mean/200)
		})
	}
}

func mean(list []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range list {
		sum += d
	}
	return sum / time.Duration(len(list))
}

// TestPullTime is one cold pull whose every part takes time: three requests until
// the first GET, two manifests, the config, three layers at most two at a time, and
// unpacking in order.
func TestPullTime(t *testing.T) {
	t.Parallel()
	rtt := 100 * time.Millisecond
	second := time.Second
	s := spec(func(s *scenario.Spec) {
		s.Registries[0].RTT.Constant = &rtt
		p := &s.NodePools[0]
		p.NIC = 80e6 // 10 MB/s
		p.Runtime.MaxConcurrentDownloads = 2
		p.Runtime.Unpack = 160e6 // 20 MB/s
		p.Runtime.Sandbox.Constant = &second
		p.Runtime.Start.Constant = &second
		s.Workloads[0].Startup.Constant = &second
		s.Images[0].Layers = []scenario.Layer{{Digest: "a", Size: 10e6}, {Digest: "b", Size: 20e6}, {Digest: "c", Size: 10e6}}
	})
	o := play(t, s, nil)
	// sandbox 1 s, six requests 0.6 s, then a and b ask 0.1 s and share the card: a is
	// there after 2 s (b has 10 MB to go); c asks 0.1 s, in which b moves 1 MB; both
	// share until b is through 1.8 s later, c has moved 9 MB and needs 0.1 s more.
	// Unpacked: a 0.5 s after it came, b 1 s after it came, c 0.5 s after that.
	want := second + 700*time.Millisecond + 2*second + 1900*time.Millisecond + second + second/2 + 2*second
	if len(o.ReadyAfter) != 1 {
		t.Fatal("the pod is not ready")
	}
	within(t, "ready", o.ReadyAfter[0], want, time.Microsecond)
	within(t, "the first manifest GET", o.FirstPullStart, second+300*time.Millisecond, 0)
}

// TestSameImageOnOneNode is thirty pods of one image on one node, which the runtime
// pulls once and the kubelet asks for thirty times.
func TestSameImageOnOneNode(t *testing.T) {
	t.Parallel()
	const rtt = 100 * time.Millisecond
	same := func(serial bool) *Outcome {
		r := rtt
		return play(t, spec(func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(10, 10), {Type: scenario.TokenBucket, Per: scenario.PerEgressIP, Counts: scenario.CountManifestGET, Burst: 100}}
			s.Registries[0].RTT.Constant = &r
			s.NodePools[0].Kubelet.SerializeImagePulls = serial
			s.Workloads[0].Replicas = 30
		}), nil)
	}
	o := same(true)
	if o.UnitsCharged != 1 || o.Due[1].Units[0] != 2 || o.PullCalls != 30 || o.QPSExceeded != 0 || o.Pulls != 1 || o.Unfinished != 0 {
		t.Errorf("serial: %d units, %d manifests, %d calls of which %d too many, %d pulls, %d unfinished; want 1, 2, 30, 0, 1, 0",
			o.UnitsCharged, o.Due[1].Units[0], o.PullCalls, o.QPSExceeded, o.Pulls, o.Unfinished)
	}
	// the pull is three requests to resolve, two manifests, config and layer; each of the
	// other 29 resolves
	within(t, "the last pod", o.ReadyAt[29], 7*rtt+29*3*rtt, 0)

	o = same(false)
	if o.UnitsCharged != 1 || o.QPSExceeded != 20 || o.PullCalls != 30 || o.Pulls != 1 || o.Unfinished != 0 {
		t.Errorf("parallel: %d units, %d calls of which %d too many, %d pulls, %d unfinished; want 1, 30, 20, 1, 0",
			o.UnitsCharged, o.PullCalls, o.QPSExceeded, o.Pulls, o.Unfinished)
	}
	if ready := o.ReadyAt[9]; ready != 7*rtt {
		t.Errorf("parallel: the ten that were accepted are ready at %v, want with the pull at %v", ready, 7*rtt)
	}
}

// TestMirrorStampede is pulls that come fifty a second to a mirror which waits 0.4 s
// for a manifest: all that come until it has it ask the registry too, 1 + 50*0.4,
// unless it lets only one through.
func TestMirrorStampede(t *testing.T) {
	t.Parallel()
	rtt := 400 * time.Millisecond
	for single, want := range map[bool]int64{false: 21, true: 1} {
		s := spec(func(s *scenario.Spec) {
			apart(200, bucket(1000, 1000))(s)
			s.Registries[0].RTT.Constant = &rtt
			s.Mirrors = []scenario.Mirror{{Name: "zot", For: []string{"hub"}, SingleFlight: single, Egress: "nat"}}
			s.Workloads[0].Replicas, s.Workloads[0].Cold = 0, false
			s.Cluster = scenario.Cluster{CreateQPS: 50, CreateBurst: 1}
			s.Timeline = []scenario.Entry{{Scale: &scenario.Scale{Workload: "web", Replicas: 200}}}
		})
		o := play(t, s, nil)
		if o.UnitsCharged != want || o.Pulls != 200 || o.Unfinished != 0 {
			t.Errorf("single flight %v: %d units for %d pulls, %d unfinished; want %d for 200", single, o.UnitsCharged, o.Pulls, o.Unfinished, want)
		}
		if o.Due[0].Units[0] != 1 {
			t.Errorf("single flight %v: %d units were due, want the one of a mirror that asks once", single, o.Due[0].Units[0])
		}
	}
}

// TestPriceOfNewNodes is 500 nodes that each pull three DaemonSets' images and two
// applications': 2,500 units, or ten by two mirrors with single flight.
func TestPriceOfNewNodes(t *testing.T) {
	t.Parallel()
	price := func(edit func(s *scenario.Spec)) *Outcome {
		return play(t, spec(func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(100_000, 100_000)}
			s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = 0, 2
			s.NodePools[0].DaemonSets = []string{"cni", "logs", "metrics"}
			for _, name := range []string{"cni", "logs", "metrics", "api"} {
				s.Images = append(s.Images, scenario.Image{Name: name, Registry: "hub", MultiArch: true, Layers: []scenario.Layer{{Digest: name, Size: 1}}})
			}
			s.Workloads[0].Replicas = 500
			s.Workloads = append(s.Workloads, scenario.Workload{Name: "api", Kind: scenario.Deployment, Image: "api", Replicas: 500, Cold: true})
			s.Timeline = []scenario.Entry{{At: time.Minute, AddNodes: &scenario.AddNodes{Pool: "general", Count: 500}}}
			edit(s)
		}), nil)
	}
	// the nodes come one by one and each takes a pod of either workload
	o := price(func(*scenario.Spec) {})
	if o.UnitsCharged != 2500 || o.Due[0].Units[0] != 2500 || o.Unfinished != 0 {
		t.Errorf("%d units were charged and %d due, %d unfinished; want 2,500", o.UnitsCharged, o.Due[0].Units[0], o.Unfinished)
	}
	o = price(func(s *scenario.Spec) {
		s.Mirrors = []scenario.Mirror{{Name: "a", For: []string{"hub"}, SingleFlight: true, Egress: "nat"}, {Name: "b", For: []string{"hub"}, SingleFlight: true, Egress: "nat"}}
	})
	if o.UnitsCharged != 10 || o.Unfinished != 0 {
		t.Errorf("by two mirrors %d units were charged, %d unfinished; want 10", o.UnitsCharged, o.Unfinished)
	}
	o = price(func(s *scenario.Spec) { s.NodePools[0].Nodes, s.NodePools[0].Cold, s.Timeline = 500, true, nil })
	if o.UnitsCharged != 2500 {
		t.Errorf("with the nodes there, cold, %d units were charged, want 2,500", o.UnitsCharged)
	}
}
