package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// apart are two clusters that share nothing: each has a registry and an address.
const apart = `apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: apart}
spec:
  horizon: 12h
  clusters: [east, west]
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 20, window: 1h}], rtt: {lognormal: {p50: 80ms, p99: 400ms}}}
  - {name: quay, host: quay.io, limiters: [{type: RollingLog, limit: 30, window: 1h}], rtt: {lognormal: {p50: 80ms, p99: 400ms}}}
  egress: [{name: e}, {name: w}]
  images:
  - {name: app, registry: hub, layers: [{digest: a, size: 1MB}]}
  - {name: api, registry: quay, layers: [{digest: b, size: 1MB}]}
  - {name: agent, registry: hub, layers: [{digest: c, size: 1MB}]}
  nodePools:
  - {name: e, cluster: east, nodes: 60, egress: e, podsPerNode: 1, daemonSets: [agent]}
  - {name: w, cluster: west, nodes: 80, egress: w, podsPerNode: 1}
  workloads:
  - {name: app, cluster: east, image: app, replicas: 10}
  - {name: api, cluster: west, image: api, replicas: 60, cold: true}
  timeline:
  - {at: 10m, scale: {workload: app, replicas: 50}}
  policies:
  - {name: none, unpaced: {}}
  - {name: five, fixedParallelism: {nodes: 5}}
  - {name: slow, staticRate: {rate: 10/h}}
  - {name: pace, pace: {}}
`

// alone is the scenario without the cluster west.
func alone() string {
	var kept []string
	for _, line := range strings.Split(apart, "\n") {
		if !strings.Contains(line, "west") || strings.Contains(line, "clusters:") {
			kept = append(kept, strings.Replace(line, "[east, west]", "[east]", 1))
		}
	}
	return strings.Join(kept, "\n")
}

func scenarioOf(t *testing.T, text string) *scenario.Spec {
	t.Helper()
	s, err := scenario.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &s.Spec
}

func played(t *testing.T, spec *scenario.Spec, policy int) *model.Outcome {
	t.Helper()
	pacer, err := New(spec, spec.Policies[policy])
	if err != nil {
		t.Fatal(err)
	}
	out, err := model.RunChecked(spec, 0, pacer)
	if err != nil {
		t.Fatalf("%s: %v", spec.Policies[policy].Name, err)
	}
	return out
}

// TestAClusterDoesAsItWouldAlone: what another cluster does, or that there is one, makes
// no difference to one that shares neither registry nor address with it, whatever paces
// them.
func TestAClusterDoesAsItWouldAlone(t *testing.T) {
	t.Parallel()
	both, east := scenarioOf(t, apart), scenarioOf(t, alone())
	for i, p := range both.Policies {
		got, want := played(t, both, i), played(t, east, i)
		if diff := cmp.Diff(want.Clusters[0], got.Clusters[0]); diff != "" {
			t.Errorf("%s: cluster east (-alone +beside another)\n%s", p.Name, diff)
		}
		if got.Clusters[1].Pulls == 0 || got.Clusters[0].Pulls == 0 {
			t.Errorf("%s: nothing was pulled in one of the clusters: %+v", p.Name, got.Clusters)
		}
		var pulls int
		var units, throttled int64
		for _, c := range got.Clusters {
			pulls, units, throttled = pulls+c.Pulls, units+c.UnitsCharged, throttled+c.Throttled
		}
		if pulls != got.Pulls || units != got.UnitsCharged || throttled != got.Throttled {
			t.Errorf("%s: the clusters have %d pulls, %d units and %d refusals in all, want those of the whole: %d, %d, %d",
				p.Name, pulls, units, throttled, got.Pulls, got.UnitsCharged, got.Throttled)
		}
	}
}

// A name says nothing: one cluster with a name runs as one without does, to the bit.
func TestOneNamedClusterIsAsOneWithout(t *testing.T) {
	t.Parallel()
	named := alone()
	plain := strings.NewReplacer("  clusters: [east]\n", "", " cluster: east,", "").Replace(named)
	for i, p := range scenarioOf(t, named).Policies {
		got, want := played(t, scenarioOf(t, named), i), played(t, scenarioOf(t, plain), i)
		if got.Digest != want.Digest {
			t.Errorf("%s: another run with a name for the cluster", p.Name)
		}
		if want.Clusters != nil {
			t.Errorf("%s: figures by cluster where none has a name: %+v", p.Name, want.Clusters)
		}
	}
}

// All controllers are away for a while in the middle of it; each comes back to its own
// cluster.
func TestControllersOfClustersRestart(t *testing.T) {
	t.Parallel()
	spec := scenarioOf(t, strings.Replace(apart, "  policies:", "  faults: [{at: 30m, for: 10m, controllerRestart: {}}]\n  policies:", 1))
	out := played(t, spec, 3)
	// Pods that are created while nobody holds them go at once, and none are created then.
	if out.Throttled > 0 || out.Unfinished > 0 || out.End > 8*time.Hour {
		t.Errorf("%d refused, %d unfinished at %v; want none", out.Throttled, out.Unfinished, out.End)
	}
}
