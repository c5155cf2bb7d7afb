package simulate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/search"
)

// fleet is 500 cold nodes that each need three images of DaemonSets and two of
// applications: 2,500 pulls of one unit.
const fleet = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: fleet}
spec:
  horizon: %s
  cluster: {createQPS: 0, bindQPS: 0}
  registries: [{name: hub, host: docker.io, limiters: [%s]}]
  egress: [{name: nat}]
  mirrors: []
  nodePools: [{name: general, nodes: 500, egress: nat, podsPerNode: 2, cold: true, daemonSets: [cni, logs, metrics], kubelet: {registryPullQPS: 0}}]
  images:
  - {name: cni, registry: hub, layers: [{digest: cni, size: 1Mi}]}
  - {name: logs, registry: hub, layers: [{digest: logs, size: 1Mi}]}
  - {name: metrics, registry: hub, layers: [{digest: metrics, size: 1Mi}]}
  - {name: web, registry: hub, layers: [{digest: web, size: 1Mi}]}
  - {name: api, registry: hub, layers: [{digest: api, size: 1Mi}]}
  workloads:
  - {name: web, image: web, replicas: 500, cold: true}
  - {name: api, image: api, replicas: 500, cold: true}
  policies: [{name: none, unpaced: {}}, {name: pace, pace: {}}]
`

const (
	windowed = "{type: RollingLog, limit: 100, window: 6h}"
	bucketed = "{type: TokenBucket, rate: 1/s, burst: 100}"
)

// solve finds the smallest value of a field with which one policy meets a goal.
func solve(t *testing.T, text, path, within, policy, goal string, edits ...scenario.Edit) search.Solution {
	t.Helper()
	space, err := search.NewSpace(within, 0)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := search.Goal(goal)
	if err != nil {
		t.Fatal(err)
	}
	solution, err := search.Solve(t.Context(), space, func(ctx context.Context, value string) (search.Try, error) {
		s := decoded(t, text, append(edits, scenario.Edit{Path: path, Value: value})...)
		for i := range s.Spec.Policies {
			if s.Spec.Policies[i].Name == policy {
				s.Spec.Policies = s.Spec.Policies[i : i+1]
				break
			}
		}
		s.Spec.Goals = []scenario.Goal{{Policy: policy, Metric: wanted.Metric, Op: wanted.Op, Value: scenario.Value{Number: wanted.Value}}}
		r, err := simulate.Run(ctx, s, simulate.Options{})
		if err != nil {
			return search.Try{}, err
		}
		return search.Of(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	return solution
}

// TestQuotaForADeadline: 2,500 units within 20 minutes need a window of 2,500, which
// is longer than that, or a bucket of 100 at (2500-100)/1200 = 2 a second.
func TestQuotaForADeadline(t *testing.T) {
	t.Parallel()
	const limit, rate = "registries[hub].limiters[0].limit", "registries[hub].limiters[0].rate"
	for name, tc := range map[string]struct {
		limiter, horizon, path, within, policy, goal, want string
	}{
		// What is due is what a run pulls: for the bound it must be able to pull all.
		"a window, at the least":    {windowed, "13h", limit, "2000..3000", "none", "bound.seconds <= 20m", "2500"},
		"a bucket, at the least":    {bucketed, "13h", rate, "1/s..4/s", "none", "bound.seconds <= 20m", "2.00/s"},
		"a window, unpaced":         {windowed, "25m", limit, "1..10000", "none", "makespanSeconds <= 20m", "2500"},
		"a window, without any 429": {windowed, "25m", limit, "1..10000", "none", "throttled == 0", "2500"},
		"a window, paced":           {windowed, "25m", limit, "2000..3000", "pace", "makespanSeconds <= 20m", "2500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := solve(t, fmt.Sprintf(fleet, tc.horizon, tc.limiter), tc.path, tc.within, tc.policy, tc.goal)
			if got.Answer != tc.want || !got.Monotone {
				t.Errorf("answer %q, monotone %v %v, want %q; tried %+v", got.Answer, got.Monotone, got.Odd, tc.want, got.Tried)
			}
		})
	}
}

// TestMirrorsForAFleet: two mirrors with single flight ask once each for five
// images, whatever the number of nodes.
func TestMirrorsForAFleet(t *testing.T) {
	t.Parallel()
	s := decoded(t, fmt.Sprintf(fleet, "25m", windowed), scenario.Edit{Path: "mirrors", Value: "[{name: a, for: [hub], singleFlight: true}, {name: b, for: [hub], singleFlight: true}]"})
	for _, p := range run(t, s, simulate.Options{}).Policies {
		if p.UnitsCharged != 10 || p.Throttled != 0 || p.UnfinishedPods != 0 {
			t.Errorf("%s: %d units, %d answers of 429, %d pods unfinished, want 10, 0 and 0", p.Name, p.UnitsCharged, p.Throttled, p.UnfinishedPods)
		}
	}
}

// TestQuotaForNodesThatAreAsked is the same for 500 nodes that Karpenter adds, each with
// a pod of both applications: pods are let go as the nodes that they bring can be fed,
// which takes no unit more than those pull.
func TestQuotaForNodesThatAreAsked(t *testing.T) {
	t.Parallel()
	asked := []scenario.Edit{
		{Path: "nodePools[general].nodes", Value: "0"}, {Path: "nodePools[general].cold", Value: "false"}, {Path: "nodePools[general].podsPerNode", Value: "1"},
		{Path: "nodePools[general].autoscaler", Value: "{type: Karpenter, max: 500, boot: {constant: 45s}}"},
		{Path: "workloads", Value: "[{name: web, images: [web, api], replicas: 500, cold: true}]"},
		{Path: "policies[pace].pace", Value: "{policy: {nodes: {hold: true}, maxGatedPerNamespace: 1000}}"},
	}
	for name, tc := range map[string]struct{ limiter, horizon, path, within, goal, want string }{
		"a window":               {windowed, "25m", "registries[hub].limiters[0].limit", "2000..3000", "makespanSeconds <= 20m", "2500"},
		"a bucket, at the least": {bucketed, "13h", "registries[hub].limiters[0].rate", "1/s..4/s", "bound.seconds <= 20m", "2.00/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := solve(t, fmt.Sprintf(fleet, tc.horizon, tc.limiter), tc.path, tc.within, "pace", tc.goal, asked...)
			if got.Answer != tc.want || !got.Monotone {
				t.Errorf("answer %q, monotone %v %v, want %q; tried %+v", got.Answer, got.Monotone, got.Odd, tc.want, got.Tried)
			}
		})
	}
}
