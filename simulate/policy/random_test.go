package policy

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// drawWorld is a small cluster to which a few things happen, in the form of a file.
func drawWorld(t *rapid.T) string {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	var b strings.Builder
	limiter := pick("limiter", "{type: RollingLog, limit: 12, window: 10m}", "{type: TokenBucket, burst: 8, rate: 8/5m}", "{type: FixedWindow, per: Account, limit: 10, window: 7m}", "{type: RollingLog, limit: 5, window: 10m, headers: false}")
	foreign := pick("foreign", "perWindow: 0", "perWindow: 3")
	if strings.Contains(limiter, "Bucket") {
		foreign = pick("foreign of a bucket", "perWindow: 0", "per: 1, every: 4m")
	}
	fmt.Fprintf(&b, `apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: random}
spec:
  seed: %d
  horizon: 3h
  cluster: {createQPS: %s, bindQPS: %s}
  registries:
  - {name: hub, host: docker.io, limiters: [%s], rtt: {constant: %s}}
  egress: [{name: east, ips: %s, foreign: {%s}}, {name: west}]
  nodePools:
  - {name: a, nodes: 6, podsPerNode: 2, egress: east, zones: [x, y], daemonSets: [logs], cold: %s, autoscaler: {type: Karpenter, max: 9, boot: {constant: 30s}}}
  - {name: b, nodes: 3, podsPerNode: 3, egress: %s}
  images:
  - {name: v1, registry: hub, layers: [{digest: a, size: 1kB}]}
  - {name: v2, registry: hub, multiArch: true, layers: [{digest: a, size: 1kB}, {digest: b, size: 1MB}]}
  - {name: logs, registry: hub, layers: [{digest: c, size: 1kB}]}
  workloads:
  - {name: web, image: v1, replicas: %d, cold: %s, strategy: {maxSurge: %s, maxUnavailable: %s}}
  - {name: roll, kind: Rollout, image: v1, replicas: %d, cold: %s, namespace: other, steps: [{gate: {}}, {setWeight: 30}, {pause: {duration: 30s}}, {gate: {interval: 5s}}, {setWeight: 60}, {gate: {}}]%s}
  - {name: two, images: [v1, v2], replicas: 4, class: %s, namespace: other, imagePullPolicy: %s}
  policies:
  - {name: parallel, fixedParallelism: {nodes: 2}}
  - {name: rate, staticRate: {rate: 5/m, burst: 2}}
  - {name: pace, pace: {policy: {maxGatedPerNamespace: %s, waves: {canary: %s}, nodes: {hold: %s, size: %s, maxHold: %s}}}}
  timeline:
  - {at: 10s, setImage: {workload: web, image: v2}}
  - {at: 20s, setImage: {workload: roll, image: v2}}
`, rapid.IntRange(1, 9).Draw(t, "seed"), pick("create", "0", "2"), pick("bind", "0", "5"),
		limiter,
		pick("rtt", "0s", "200ms"), pick("ips", "1", "2"), foreign, pick("cold pool", "true", "false"), pick("egress", "east", "west"),
		rapid.IntRange(0, 14).Draw(t, "replicas"), pick("cold", "true", "false"), pick("surge", "25%", "100%"), pick("unavailable", "0", "25%"),
		rapid.IntRange(0, 6).Draw(t, "rolled"), pick("cold rollout", "true", "false"), pick("routed", "", ", trafficRouting: {}"),
		pick("class", "rollout", "serving", "batch", "ci"), pick("pull", "Always", "IfNotPresent"), pick("gated", "2", "500"), pick("canary", "0", "2"),
		pick("hold nodes", "true", "false"), pick("nodes at a time", "0", "1"), pick("node hold", "10m", "1m"))
	events := []string{"scale: {workload: web, replicas: 18}", "scale: {workload: web, replicas: 2}", "setImage: {workload: web, image: v2}", "rollback: {workload: web}",
		"addNodes: {pool: b, count: 3}", "addNodes: {pool: a, count: 4}", "removeNodes: {pool: a, count: 2}", "scale: {workload: two, replicas: 9}",
		"scale: {workload: roll, replicas: 5}", "rollback: {workload: roll}", "setImage: {workload: roll, image: v1}"}
	for range rapid.IntRange(0, 5).Draw(t, "events") {
		fmt.Fprintf(&b, "  - {at: %ds, %s}\n", rapid.IntRange(11, 3000).Draw(t, "at"), pick("event", events...))
	}
	faults := []string{"controllerRestart: {}", "quota: {registry: hub, limiter: 0, limit: 2}", "outage: {registry: hub, mode: Timeout}", "outage: {registry: hub, mode: HeadOnly429}",
		"natCollapse: {from: west, to: east}", "cachePurge: {pool: a, fraction: 0.5}", "headerLies: {registry: hub, mode: Missing}", "headerLies: {registry: hub, mode: Offset, by: 4}"}
	b.WriteString("  faults:\n")
	for range rapid.IntRange(0, 4).Draw(t, "faults") {
		fmt.Fprintf(&b, "  - {at: %ds, for: %ds, %s}\n", rapid.IntRange(0, 3000).Draw(t, "at"), rapid.IntRange(1, 900).Draw(t, "for"), pick("fault", faults...))
	}
	return b.String()
}

// TestAnyWorldCanBePaced runs every policy through random worlds, with the world's
// invariants counted anew at every event, twice: it never panics, breaks none of them
// and repeats itself.
func TestAnyWorldCanBePaced(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		file := drawWorld(t)
		s, err := scenario.Decode([]byte(file))
		if err != nil {
			return // a rollback without a rollout, or two of a fault at once
		}
		for _, p := range s.Spec.Policies {
			first, again := checked(t, &s.Spec, p), checked(t, &s.Spec, p)
			if first.Digest != again.Digest {
				t.Fatalf("%s: two runs differ:\n%s", p.Name, file)
			}
		}
	})
}

func checked(t *rapid.T, spec *scenario.Spec, p scenario.Policy) *model.Outcome {
	t.Helper()
	pacer, err := New(spec, p)
	if err != nil {
		t.Fatal(err)
	}
	out, err := model.RunChecked(spec, 0, pacer)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return out
}
