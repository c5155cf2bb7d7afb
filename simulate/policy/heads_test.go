package policy

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// watcher is an engine that keeps what it last said of its account.
type watcher struct {
	*engine.Engine
	charged time.Time
	pairs   int
}

func (w *watcher) Decide(now time.Time) engine.Decision {
	d := w.Engine.Decide(now)
	for _, a := range d.Accounts {
		w.charged = a.HeadsCharged
	}
	for _, p := range d.Probes {
		if p.Twice {
			w.pairs++
		}
	}
	return d
}

// TestPairsOfHeadsFindWhoChargesThem: the simulated controller asks twice in a row where
// the engine wants to know what a HEAD costs, of a registry that counts every request,
// and of one that counts pulls.
func TestPairsOfHeadsFindWhoChargesThem(t *testing.T) {
	t.Parallel()
	for counts, want := range map[scenario.Counting]bool{scenario.CountRequest: true, scenario.CountPull: false} {
		spec := scenarioOf(t, `apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: heads}
spec:
  horizon: 6h
  registries: [{name: hub, host: docker.io, limiters: [{type: RollingLog, counts: `+string(counts)+`, limit: 400, window: 1h}]}]
  images: [{name: app, registry: hub, layers: [{digest: a, size: 1MB}]}]
  nodePools: [{name: general, nodes: 60, podsPerNode: 1}]
  workloads: [{name: app, image: app, replicas: 0, cold: true}]
  timeline:
  - {at: 10m, scale: {workload: app, replicas: 20}}
  - {at: 1h, scale: {workload: app, replicas: 40}}
  - {at: 2h, scale: {workload: app, replicas: 60}}
  policies: [{name: pace, pace: {}}]
`)
		pacer, err := New(spec, spec.Policies[0])
		if err != nil {
			t.Fatal(err)
		}
		w := &watcher{}
		pacer.(*host).make = func(seed uint64) decider {
			w.Engine = engine.New(engine.Config{Seed: seed})
			return w
		}
		model.Run(spec, 0, pacer)
		if found := !w.charged.IsZero(); found != want || want && w.pairs == 0 {
			t.Errorf("counts %s: found that HEADs are charged %t, by %d pairs; want %t", counts, found, w.pairs, want)
		}
	}
}
