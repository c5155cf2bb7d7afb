package simulate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/report"
)

// TestStepsAreTold: what each step of a Rollout is, when it started, for how long it
// waited and when the Rollout went on. Of ten pods one comes by scale, then five, and a
// pod takes ten seconds; the gate asks every 15 s and finds no leave within the run, for
// of five units the first five pods took all.
func TestStepsAreTold(t *testing.T) {
	t.Parallel()
	s := decoded(t, `apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: steps}
spec:
  horizon: 3m
  cluster: {createQPS: 0, bindQPS: 0}
  registries: [{name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 5, window: 1h}]}]
  images: [{name: v1, registry: hub}, {name: v2, registry: hub}]
  nodePools: [{name: general, nodes: 10, podsPerNode: 2}]
  workloads:
  - name: web
    kind: Rollout
    image: v1
    replicas: 10
    startup: {constant: 10s}
    trafficRouting: {}
    steps: [{setCanaryScale: {replicas: 1}}, {pause: {duration: 20s}}, {setCanaryScale: {weight: 50}}, {setWeight: 50}, {setCanaryScale: {matchTrafficWeight: true}}, {gate: {interval: 15s}}]
  timeline: [{at: 60s, setImage: {workload: web, image: v2}}]
  policies: [{name: pace, pace: {}}]
`)
	seconds := func(v float64) *float64 { return &v }
	r := run(t, s, simulate.Options{})
	step := func(n int, does string, from, to float64) report.Step {
		return report.Step{Workload: "web", Image: "v2", Step: n, Does: does, StartedSeconds: from, WaitedSeconds: seconds(to - from), WentOnSeconds: seconds(to)}
	}
	want := []report.Step{
		step(0, "setCanaryScale replicas 1", 60, 70), step(1, "pause 20s", 70, 90), step(2, "setCanaryScale weight 50", 90, 100),
		step(3, "setWeight 50", 100, 100), step(4, "setCanaryScale matchTrafficWeight", 100, 100),
		{Workload: "web", Image: "v2", Step: 5, Does: report.GateStep, StartedSeconds: 100, Opens: 10, Asked: 6, Held: "WaitingForBudget"},
	}
	if diff := cmp.Diff(want, r.Policies[0].Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if p := r.Policies[0]; p.UnfinishedPods != 5 || p.MakespanSeconds != nil || p.Throttled != 0 {
		t.Errorf("%d pods unfinished, done at %v, %d answers of 429; want five, never and none", p.UnfinishedPods, p.MakespanSeconds, p.Throttled)
	}
}
