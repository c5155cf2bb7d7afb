package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// fleet is nodes that a workload's pods fill, all of them held at the start.
func fleet(b *testing.B, nodes, podsPerNode int, limiter, budget string) *scenario.Spec {
	b.Helper()
	s, err := scenario.Decode(fmt.Appendf(nil, `apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: bench}
spec:
  horizon: 24h
  cluster: {createQPS: 0, bindQPS: 0}
  registries:
  - {name: hub, host: docker.io, limiters: [%s]}
  nodePools:
  - {name: general, nodes: %d, podsPerNode: %d, zones: [a, b, c]}
  images:
  - {name: app, registry: hub, layers: [{digest: app, size: 1kB}]}
  workloads:
  - {name: web, image: app, replicas: %d, cold: true}
  policies:
  - {name: unpaced, unpaced: {}}
  - {name: pace, pace: {policy: {maxGatedPerNamespace: 100000000}, budgets: {hub: {%s}}}}
`, limiter, nodes, podsPerNode, nodes*podsPerNode, budget))
	if err != nil {
		b.Fatal(err)
	}
	return &s.Spec
}

// BenchmarkRun is whole runs, paced and not.
func BenchmarkRun(b *testing.B) {
	const declared = "limit: {source: Fixed, rate: %d, burst: %d}"
	cases := []struct {
		name string
		spec *scenario.Spec
	}{
		{"1k nodes 10k pods", fleet(b, 1000, 10, "{type: TokenBucket, rate: 10/s, burst: 10}", fmt.Sprintf(declared, 10, 10))},
		{"5k nodes 150k pods 24h", fleet(b, 5000, 30, "{type: RollingLog, limit: 1000, window: 6h}", "")},
		{"100k nodes 1M pods", fleet(b, 100_000, 10, "{type: TokenBucket, rate: 1000/s, burst: 1000}", fmt.Sprintf(declared, 1000, 1000))},
	}
	for _, c := range cases {
		for i, name := range []string{"unpaced", "paced"} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				events := int64(0)
				for b.Loop() {
					pacer, err := New(c.spec, c.spec.Policies[i])
					if err != nil {
						b.Fatal(err)
					}
					o := model.Run(c.spec, 0, pacer)
					events += o.Events
					if i == 1 && o.Throttled > 0 {
						b.Fatalf("%d answers of 429", o.Throttled)
					}
				}
				b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
				if i == 1 {
					b.ReportMetric(100*share(b, c.spec), "%engine")
				}
			})
		}
	}
}

// share is the part of a run's time that goes by in the engine.
func share(b *testing.B, spec *scenario.Spec) float64 {
	pacer, err := New(spec, spec.Policies[1])
	if err != nil {
		b.Fatal(err)
	}
	watched := &stopwatch{}
	pacer.(*host).make = func(seed uint64) decider {
		watched.Engine = engine.New(engine.Config{Seed: seed})
		return watched
	}
	began := time.Now()
	model.Run(spec, 0, pacer)
	return watched.in.Seconds() / time.Since(began).Seconds()
}

// stopwatch is an engine that notes how long it is at work.
type stopwatch struct {
	*engine.Engine
	in time.Duration
}

func (s *stopwatch) Observe(now time.Time, ev engine.Event) {
	began := time.Now()
	s.Engine.Observe(now, ev)
	s.in += time.Since(began)
}

func (s *stopwatch) Decide(now time.Time) engine.Decision {
	began := time.Now()
	d := s.Engine.Decide(now)
	s.in += time.Since(began)
	return d
}
