package model

import (
	"testing"
	"time"

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
		{"5k nodes 150k pods 24h", fleet(5000, 30, func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{{Type: scenario.RollingLog, Per: scenario.PerEgressIP, Counts: scenario.CountPull, Limit: 1000, Window: 6 * time.Hour}}
		})},
		{"100k nodes 1M pods", fleet(100_000, 10, func(s *scenario.Spec) {
			s.Registries[0].Limiters = []scenario.Limiter{bucket(1000, 1000)}
		})},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
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
