package policy

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// TestGatesLetNoMoreThroughThanTheBudget puts Rollouts together at random, each with a
// gate before every burst, on an account that holds what the largest of their bursts may
// take, and little more. Whatever they are, and though the controller may be away for a
// while, no pull is refused, and all are done in the end.
func TestGatesLetNoMoreThroughThanTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		spec := anyRollouts(t)
		pacer, err := New(spec, spec.Policies[0])
		if err != nil {
			t.Fatal(err)
		}
		out, err := model.RunChecked(spec, 0, pacer)
		if err != nil {
			t.Fatal(err)
		}
		if out.Throttled != 0 || out.Unfinished != 0 {
			t.Fatalf("%d answers of 429 and %d pods unfinished, by %v: %+v", out.Throttled, out.Unfinished, out.End, out.Steps)
		}
	})
}

func anyRollouts(t *rapid.T) *scenario.Spec {
	nodes, window := rapid.IntRange(1, 12).Draw(t, "nodes"), rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute}).Draw(t, "window")
	kind := rapid.SampledFrom([]scenario.LimiterType{scenario.RollingLog, scenario.FixedWindow}).Draw(t, "limiter")
	// what no class may spend is a tenth, rounded down twice
	limit := nodes*10/8 + 2 + rapid.IntRange(0, 5).Draw(t, "more")
	text := fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  horizon: 48h
  registries: [{name: hub, host: docker.io, limiters: [{type: %s, limit: %d, window: %v}]}]
  images:
  - {name: v1, registry: hub, layers: [{digest: a, size: 1kB}]}
  - {name: v2, registry: hub, layers: [{digest: b, size: 1kB}]}
  - {name: v3, registry: hub, multiArch: %v, layers: [{digest: c, size: 1kB}]}
  nodePools: [{name: general, nodes: %d, podsPerNode: 30}]
  policies: [{name: pace, pace: {}}]
`, kind, limit, window, rapid.Bool().Draw(t, "index"), nodes)
	if rapid.Bool().Draw(t, "restart") {
		text += fmt.Sprintf("  faults: [{at: %ds, for: 45s, controllerRestart: {}}]\n", rapid.IntRange(50, 400).Draw(t, "restart at"))
	}
	workloads, timeline := "  workloads:\n", "  timeline:\n"
	for i := range rapid.IntRange(1, 3).Draw(t, "rollouts") {
		steps, weight := "", 0
		for weight < 100 {
			weight += rapid.IntRange(1, 99).Draw(t, "weight")
			if weight < 100 {
				steps += fmt.Sprintf("{gate: {interval: %ds}}, {setWeight: %d}, ", rapid.IntRange(1, 30).Draw(t, "interval"), weight)
			}
			if rapid.Bool().Draw(t, "paused") {
				steps += fmt.Sprintf("{pause: {duration: %ds}}, ", rapid.IntRange(0, 200).Draw(t, "pause"))
			}
		}
		workloads += fmt.Sprintf("  - {name: w%d, kind: Rollout, image: v1, replicas: %d, startup: {constant: %ds}, steps: [%s{gate: {}}], strategy: {maxSurge: %d%%, maxUnavailable: %d}}\n",
			i, rapid.IntRange(0, min(3*nodes, 20)).Draw(t, "replicas"), rapid.IntRange(0, 40).Draw(t, "startup"), steps,
			rapid.IntRange(0, 100).Draw(t, "surge"), rapid.IntRange(1, 100).Draw(t, "unavailable"))
		timeline += fmt.Sprintf("  - {at: %ds, setImage: {workload: w%d, image: %s}}\n", rapid.IntRange(60, 300).Draw(t, "at"), i, rapid.SampledFrom([]string{"v2", "v3"}).Draw(t, "image"))
	}
	s, err := scenario.Decode([]byte(text + workloads + timeline))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text+workloads+timeline)
	}
	return &s.Spec
}
