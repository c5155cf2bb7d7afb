package policy

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/memory"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// fleet is nodes that a workload's pods fill, all of them held at the start.
func fleet(nodes, podsPerNode int, limiter, budget string) string {
	return fmt.Sprintf(`
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
`, limiter, nodes, podsPerNode, nodes*podsPerNode, budget)
}

// wired is a fleet whose pulls take the time that pulls take: answers, layers, shared
// bandwidth and unpacking.
func wired(nodes, podsPerNode int, limiter, budget string) string {
	return strings.NewReplacer(
		"host: docker.io,", "host: docker.io, rtt: {constant: 100ms},",
		"nodePools:", "egress: [{name: nat, bandwidth: 10Gbps}]\n  nodePools:",
		"zones: [a, b, c]", "zones: [a, b, c], egress: nat, nic: 10Gbps, runtime: {unpack: 800MBps}",
		"[{digest: app, size: 1kB}]", "[{digest: a, size: 30MB}, {digest: b, size: 60MB}, {digest: c, size: 5MB}]",
	).Replace(fleet(nodes, podsPerNode, limiter, budget))
}

// day is nodes that run ten workloads and roll one of them to another image every two
// hours, which a window of the quota feeds: three rollouts of a pull a node.
func day(nodes, podsPerNode int) string {
	const workloads = 10
	var images, running, rollouts strings.Builder
	for i := range workloads {
		name := string(rune('a' + i))
		for _, version := range []string{"1", "2"} {
			fmt.Fprintf(&images, "  - {name: %s, registry: hub, multiArch: true, layers: [{digest: %[1]s, size: 1kB}]}\n", name+version)
		}
		fmt.Fprintf(&running, "  - {name: %s, image: %[1]s1, replicas: %d, strategy: {maxSurge: 25%%}}\n", name, nodes*podsPerNode/workloads)
		fmt.Fprintf(&rollouts, "  - {at: %dh, setImage: {workload: %s, image: %[2]s2}}\n", 2*i, name)
	}
	return fmt.Sprintf(`
  horizon: 24h
  cluster: {createQPS: 500, bindQPS: 500}
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, counts: Pull, limit: %d, window: 6h}]}
  nodePools:
  - {name: general, nodes: %d, podsPerNode: %d, zones: [a, b, c]}
  images:
%s  workloads:
%s  timeline:
%s  policies:
  - {name: unpaced, unpaced: {}}
  - {name: pace, pace: {policy: {maxGatedPerNamespace: 100000000}}}
`, 4*nodes, nodes, podsPerNode*5/4, images.String(), running.String(), rollouts.String())
}

// BenchmarkRun is whole runs, paced and not. Garbage is collected as the command does. A
// starved day is one storm of answers of 429 for whoever does not wait.
func BenchmarkRun(b *testing.B) {
	const declared = "limit: {source: Fixed, rate: %d, burst: %d}"
	cases := []struct{ name, spec string }{
		{"1k nodes 10k pods", fleet(1000, 10, "{type: TokenBucket, rate: 10/s, burst: 10}", fmt.Sprintf(declared, 10, 10))},
		{"1k nodes 10k pods with rtt, layers and bandwidth", wired(1000, 10, "{type: TokenBucket, rate: 10/s, burst: 10}", fmt.Sprintf(declared, 10, 10))},
		{"5k nodes 150k pods 24h", day(5000, 30)},
		{"5k nodes 150k pods 24h starved", fleet(5000, 30, "{type: RollingLog, limit: 1000, window: 6h}", "")},
		{"100k nodes 1M pods", fleet(100_000, 10, "{type: TokenBucket, rate: 1000/s, burst: 1000}", fmt.Sprintf(declared, 1000, 1000))},
	}
	for _, c := range cases {
		s, err := scenario.Decode([]byte("apiVersion: pullpace.dev/v1alpha1\nkind: Scenario\nmetadata: {name: bench}\nspec:" + c.spec))
		if err != nil {
			b.Fatal(err)
		}
		for i, name := range []string{"unpaced", "paced"} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				defer memory.Settle(&s.Spec, 1)()
				b.ReportAllocs()
				resetPeak()
				events := int64(0)
				for b.Loop() {
					pacer, err := New(&s.Spec, s.Spec.Policies[i])
					if err != nil {
						b.Fatal(err)
					}
					o := model.Run(&s.Spec, 0, pacer)
					events += o.Events
					if i == 1 && o.Throttled > 0 {
						b.Fatalf("%d answers of 429", o.Throttled)
					}
				}
				b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
				if peak := peakMB(); peak > 0 {
					b.ReportMetric(peak, "peak-MB")
				}
				if i == 1 {
					b.ReportMetric(100*share(b, &s.Spec), "%engine")
				}
			})
		}
	}
}

// resetPeak makes the peak of the process's memory what it is now, where the system
// keeps one.
func resetPeak() {
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) //nolint:errcheck // then there is no figure
}

// peakMB is the most memory that the process had since, program and all; 0 where the
// system does not say.
func peakMB() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kB := 0.0
	fmt.Sscan(after, &kB)
	return kB * 1024 / 1e6
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
