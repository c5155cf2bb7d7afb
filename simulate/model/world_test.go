package model

import (
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/scenario"
)

// spec is a scenario as decoding leaves it, with nothing that takes time but what
// a test sets: one registry, one egress address, no paces.
func spec(edit func(s *scenario.Spec)) *scenario.Spec {
	s := &scenario.Spec{
		Seed: 42, Replications: 1, Horizon: 24 * time.Hour,
		Registries: []scenario.Registry{{Name: "hub", Host: "docker.io"}},
		Egress:     []scenario.Egress{{Name: "nat", IPs: 1}},
		NodePools: []scenario.NodePool{{
			Name: "general", Nodes: 1, Egress: "nat", Zones: []string{"a"}, PodsPerNode: 30,
			Kubelet: scenario.Kubelet{SerializeImagePulls: true, RegistryPullQPS: 5, RegistryBurst: 10},
			Runtime: scenario.Runtime{Type: scenario.Containerd, AttemptsOn429: 5, MaxConcurrentDownloads: 3},
		}},
		Images:    []scenario.Image{{Name: "app", Registry: "hub", MultiArch: true, Layers: []scenario.Layer{{Digest: "app", Size: 1}}}},
		Workloads: []scenario.Workload{{Name: "web", Kind: scenario.Deployment, Image: "app", Replicas: 1, Cold: true, Namespace: "shop"}},
	}
	edit(s)
	return s
}

func bucket(perSecond, burst int64) scenario.Limiter {
	return scenario.Limiter{Type: scenario.TokenBucket, Per: scenario.PerEgressIP, Counts: scenario.CountPull, Rate: scenario.Rate{Units: perSecond, Every: time.Second}, Burst: burst}
}

// TestStormOnABucketOfSeconds is a thousand nodes that each pull once at the same
// time from a registry that grants 10 a second: kubelets alone need 661 s and 18.9
// thousand refusals, as an independent prototype of their back-off found, where 99 s
// are possible. In one seed of fourteen a pod is refused on the last rung of the
// ladder as well and waits for the next, at 966 s; in these it is not.
func TestStormOnABucketOfSeconds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		o := play(t, spec(func(s *scenario.Spec) {
			s.Seed = seed
			s.Registries[0].Limiters = []scenario.Limiter{bucket(10, 10)}
			s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = 1000, 1
			s.Workloads[0].Replicas = 1000
		}), nil)
		if o.LastPullStart < 646*time.Second || o.LastPullStart > 676*time.Second {
			t.Errorf("seed %d: the last pull started at %v, want 661 s within 15 s", seed, o.LastPullStart)
		}
		if o.Throttled < 17986 || o.Throttled > 19879 {
			t.Errorf("seed %d: %d requests were refused, want 18,932 within 5 %%", seed, o.Throttled)
		}
		if o.Pulls != 1000 || o.UnitsCharged != 1000 || o.Unfinished != 0 || len(o.ReadyAt) != 1000 || o.Due[0].Units[0] != 1000 {
			t.Errorf("seed %d: %d pulls, %d units, %d unfinished, %d ready, %d due; want 1000, and none unfinished",
				seed, o.Pulls, o.UnitsCharged, o.Unfinished, len(o.ReadyAt), o.Due[0].Units[0])
		}
		if 5*o.ThrottledAttempts != o.Throttled {
			t.Errorf("seed %d: %d attempts failed with %d refusals, want five each", seed, o.ThrottledAttempts, o.Throttled)
		}
	}
}

// play is Run with all that must hold checked.
func play(t *testing.T, s *scenario.Spec, pacer Pacer) *Outcome {
	t.Helper()
	o, err := RunChecked(s, 0, pacer)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestAbsurdNumbersDoNotOverflow: what a file may say and nobody means ends as a
// run in which nothing comes to an end.
func TestAbsurdNumbersDoNotOverflow(t *testing.T) {
	t.Parallel()
	rtt := 1000 * time.Hour
	tests := map[string]func(s *scenario.Spec){
		"a client that creates once in an age": func(s *scenario.Spec) {
			s.Cluster = scenario.Cluster{CreateQPS: 1e-15, CreateBurst: 1 << 30, BindQPS: 1e-15, BindBurst: 1}
		},
		"a registry slower than time": func(s *scenario.Spec) {
			s.Registries[0].RTT.Constant = &rtt
			s.Faults = []scenario.Fault{{Outage: &scenario.Outage{Registry: "hub", Mode: scenario.OutageSlow, Factor: 1e18}}}
		},
		"a layer that no disk holds": func(s *scenario.Spec) {
			s.Images[0].Layers[0].Size = 1 << 62
			s.NodePools[0].NIC, s.NodePools[0].Runtime.Unpack = 1, 1
		},
		"others who hardly ask": func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{hourly(0)}
			s.Egress[0].Foreign = scenario.Foreign{Per: 1, Every: 1 << 62}
		},
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := play(t, spec(func(s *scenario.Spec) {
				s.Workloads[0].Replicas = 3
				edit(s)
			}), nil)
			if o.Unfinished == 0 {
				t.Errorf("all pods are ready, by %v", o.End)
			}
		})
	}
}
