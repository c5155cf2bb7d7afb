package model

import (
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/memory"
	"github.com/pullpace/pace/simulate/scenario"
)

// fleet is nodes that a workload's pods fill, cold, behind addresses with a limit
// that denies a part of them at first.
func fleet(nodes, podsPerNode int, edit func(s *scenario.Spec)) *scenario.Spec {
	return spec(func(s *scenario.Spec) {
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = nodes, podsPerNode
		s.NodePools[0].Zones = []string{"a", "b", "c"}
		s.Workloads[0].Replicas = nodes * podsPerNode
		edit(s)
	})
}

// day is a fleet that runs ten workloads and rolls each to another image in the
// course of a day, against a limit that takes a part of the rollouts into the next
// window.
func day(nodes, podsPerNode int) *scenario.Spec {
	return spec(func(s *scenario.Spec) {
		const workloads = 10
		s.Registries[0].Limiters = []scenario.Limiter{{Type: scenario.RollingLog, Per: scenario.PerEgressIP, Counts: scenario.CountPull,
			Limit: int64(2 * nodes), Window: 6 * time.Hour}}
		s.NodePools[0].Nodes, s.NodePools[0].PodsPerNode = nodes, podsPerNode*5/4
		s.NodePools[0].Zones = []string{"a", "b", "c"}
		s.Cluster = scenario.Cluster{CreateQPS: 500, CreateBurst: 500, BindQPS: 500, BindBurst: 500}
		s.Images, s.Workloads = nil, nil
		for i := range workloads {
			name := string(rune('a' + i))
			for _, version := range []string{"1", "2"} {
				s.Images = append(s.Images, scenario.Image{Name: name + version, Registry: "hub", MultiArch: true, Layers: []scenario.Layer{{Digest: name + version, Size: 1}}})
			}
			s.Workloads = append(s.Workloads, scenario.Workload{Name: name, Kind: scenario.Deployment, Image: name + "1", Replicas: nodes * podsPerNode / workloads,
				Strategy: scenario.Strategy{MaxSurge: scenario.Portion{Number: 25, Percent: true}}})
			s.Timeline = append(s.Timeline, scenario.Entry{At: time.Duration(i) * 2 * time.Hour, SetImage: &scenario.SetImage{Workload: name, Image: name + "2"}})
		}
	})
}

// BenchmarkRun is whole runs, unpaced: the time of one, and events a second.
func BenchmarkRun(b *testing.B) {
	rtt := 100 * time.Millisecond
	cases := []struct {
		name string
		spec *scenario.Spec
	}{
		{"1k nodes 10k pods", fleet(1000, 10, func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(10, 10)}
		})},
		{"1k nodes 10k pods with rtt, layers and bandwidth", fleet(1000, 10, func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(10, 10)}
			s.Registries[0].RTT.Constant = &rtt
			s.Egress[0].Bandwidth = 10e9
			s.NodePools[0].NIC = 10e9
			s.NodePools[0].Runtime.Unpack = 800e6
			s.Images[0].Layers = []scenario.Layer{{Digest: "a", Size: 30 << 20}, {Digest: "b", Size: 60 << 20}, {Digest: "c", Size: 5 << 20}}
		})},
		{"5k nodes 150k pods 24h", day(5000, 30)},
		{"100k nodes 1M pods", fleet(100_000, 10, func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(5000, 5000)}
		})},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			defer memory.Settle(c.spec, 1)()
			b.ReportAllocs()
			events := int64(0)
			for b.Loop() {
				o := Run(c.spec, 0, nil)
				events += o.Events
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(events)/float64(b.N), "events/op")
		})
	}
}
