package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// listener is an engine that keeps its releases.
type listener struct {
	*engine.Engine
	releases []engine.Release
	at       []time.Duration
}

func (l *listener) Decide(now time.Time) engine.Decision {
	d := l.Engine.Decide(now)
	for _, r := range d.Releases {
		l.releases, l.at = append(l.releases, r), append(l.at, since(now))
	}
	return d
}

// listen runs the policy pace of a scenario and returns what the engine let go.
func listen(t *testing.T, spec *scenario.Spec) (*model.Outcome, *listener, *host) {
	t.Helper()
	pacer, err := New(spec, spec.Policies[len(spec.Policies)-1])
	if err != nil {
		t.Fatal(err)
	}
	h, heard := pacer.(*host), &listener{}
	h.make = func(seed uint64) decider {
		heard.Engine = engine.New(engine.Config{Seed: seed})
		return heard
	}
	return model.Run(spec, 0, h), heard, h
}

// cluster decodes a scenario of 20 nodes in two zones behind one address with a limit
// of 100 pulls in six hours, with other lines of the spec.
func cluster(t *testing.T, pace, lines string) *scenario.Spec {
	t.Helper()
	file := fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  horizon: 24h
  cluster: {createQPS: 0, bindQPS: 0}
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 100, window: 6h}]}
  images:
  - {name: v1, registry: hub, layers: [{digest: a, size: 1kB}]}
  - {name: v2, registry: hub, layers: [{digest: b, size: 1kB}]}
  - {name: logs, registry: hub, layers: [{digest: c, size: 1kB}]}
  policies:
  - {name: unpaced, unpaced: {}}
  - {name: pace, pace: {%s}}
%s`, pace, lines)
	s, err := scenario.Decode([]byte(file))
	if err != nil {
		t.Fatalf("%v in\n%s", err, file)
	}
	return &s.Spec
}

const twentyNodes = "  nodePools: [{name: general, nodes: 20, podsPerNode: 2, zones: [a, b]}]\n"

// TestARestartForgetsNothingThatWasLetGo: whenever the controller is away, be it
// while pods that it let go pull, no pull is refused.
func TestARestartForgetsNothingThatWasLetGo(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"60ms", "1s", "30m", "6h"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			spec := world{pods: 150, limiter: rolling, more: "  faults: [{at: " + at + ", for: 40s, controllerRestart: {}}]"}.decode(t)
			within(t, play(t, spec, "pace"), 150, bound(spec, 150, 5)*105/100+30*time.Second)
		})
	}
}

// TestDaemonSetsCountAgainstTheBudget: 60 nodes that come pull 60 images that nobody
// held; of 60 held pods that need another pull each the budget has room for 35.
func TestDaemonSetsCountAgainstTheBudget(t *testing.T) {
	t.Parallel()
	lines := `  nodePools: [{name: general, nodes: 0, podsPerNode: 1, daemonSets: [logs]}]
  workloads: [{name: web, image: v1, replicas: 60, cold: true}]
  timeline: [{at: 0s, addNodes: {pool: general, count: 60}}]
`
	out, heard, _ := listen(t, cluster(t, "", lines))
	if out.Throttled != 0 || out.Unfinished != 0 {
		t.Errorf("%d answers of 429 and %d pods not ready, want none", out.Throttled, out.Unfinished)
	}
	early := 0
	for i, r := range heard.releases {
		if heard.at[i] < time.Hour {
			early += r.Count
		}
	}
	if early != 35 { // 100 less 60 less a reserve of 5
		t.Errorf("%d pods were let go in the first hour, want 35", early)
	}
}

// reasons are the groups that were let go and why, in order, each once.
func (l *listener) reasons() []string {
	var out []string
	for _, r := range l.releases {
		line := fmt.Sprintf("%s: %s", r.Group, r.Reason)
		if len(out) == 0 || out[len(out)-1] != line {
			out = append(out, line)
		}
	}
	return out
}

// TestWhatPodsAreFor: going back and replacing what was lost come before the budget.
func TestWhatPodsAreFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines string
		want  []string
	}{
		"a rollout, and back": {
			lines: `  workloads: [{name: web, image: v1, replicas: 20, strategy: {maxSurge: 100%, maxUnavailable: 0}, startup: {constant: 10m}}]
  timeline: [{at: 1m, setImage: {workload: web, image: v2}}, {at: 5m, rollback: {workload: web}}]
`,
			want: []string{"Deployment/default/web/1: Budget"},
		},
		"back, with some pods lost": {
			lines: `  workloads: [{name: web, image: v1, replicas: 20, strategy: {maxSurge: 50%, maxUnavailable: 0}, startup: {constant: 1m}}]
  timeline: [{at: 1m, setImage: {workload: web, image: v2}}, {at: 2m30s, rollback: {workload: web}}]
`,
			want: []string{"Deployment/default/web/1: Budget", "Deployment/default/web/0Rollback: Rollback"},
		},
		"nodes that go": {
			lines: `  workloads: [{name: web, image: v1, replicas: 20}]
  timeline: [{at: 1m, removeNodes: {pool: general, count: 2}}]
`,
			want: []string{"Deployment/default/web/0Repair: Repair"},
		},
		"more of what runs everywhere": {
			lines: `  workloads: [{name: web, image: v1, replicas: 20}]
  timeline: [{at: 1m, scale: {workload: web, replicas: 30}}]
`,
			want: []string{"Deployment/default/web/0: Warm"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, heard, _ := listen(t, cluster(t, "", twentyNodes+tc.lines))
			if diff := cmp.Diff(tc.want, heard.reasons()); diff != "" {
				t.Errorf("what was let go (-want +got):\n%s", diff)
			}
			if out.Throttled != 0 {
				t.Errorf("%d answers of 429, want none", out.Throttled)
			}
		})
	}
}

// TestClassesGoInTheirOrder: what serves goes first, though it came with the rest, and
// leaves nothing over; batch leaves 15 of 100.
func TestClassesGoInTheirOrder(t *testing.T) {
	t.Parallel()
	lines := `  nodePools: [{name: general, nodes: 120, podsPerNode: 1}]
  workloads:
  - {name: nightly, image: v1, replicas: 60, cold: true, class: batch, namespace: a}
  - {name: shop, image: v2, replicas: 60, cold: true, class: serving, namespace: b}
`
	out, heard, _ := listen(t, cluster(t, "", lines))
	type let struct {
		Group core.GroupID
		Count int
	}
	var got []let
	for i, r := range heard.releases {
		if heard.at[i] < time.Hour {
			got = append(got, let{r.Group, r.Count})
		}
	}
	want := []let{{"Deployment/b/shop/0", 60}, {"Deployment/a/nightly/0", 25}}
	if diff := cmp.Diff(want, got); diff != "" || out.Throttled != 0 {
		t.Errorf("%d answers of 429; let go in the first hour (-want +got):\n%s", out.Throttled, diff)
	}
}

// TestACanaryGoesFirst: three pods of a rollout are past their pulls before others go.
func TestACanaryGoesFirst(t *testing.T) {
	t.Parallel()
	lines := twentyNodes + `  workloads: [{name: web, image: v1, replicas: 20, strategy: {maxSurge: 100%, maxUnavailable: 0}}]
  timeline: [{at: 1m, setImage: {workload: web, image: v2}}]
`
	_, heard, _ := listen(t, cluster(t, "policy: {waves: {canary: 3}}", lines))
	if len(heard.releases) < 2 || heard.releases[0].Count != 3 || heard.releases[1].Count != 17 {
		t.Errorf("let go: %+v, want 3 pods and then 17", heard.releases)
	}
}

// TestEachAddressHasItsBudget: of two egress groups each has 100 pulls, and 95 pods
// of each go at once.
func TestEachAddressHasItsBudget(t *testing.T) {
	t.Parallel()
	lines := `  egress: [{name: east}, {name: west}]
  nodePools:
  - {name: a, nodes: 100, podsPerNode: 1, egress: east}
  - {name: b, nodes: 100, podsPerNode: 1, egress: west}
  workloads:
  - {name: one, image: v1, replicas: 100, cold: true, nodePools: [a]}
  - {name: two, image: v1, replicas: 100, cold: true, nodePools: [b]}
`
	out, heard, h := listen(t, cluster(t, "", lines))
	first := map[core.GroupID]int{}
	for i, r := range heard.releases {
		if heard.at[i] < time.Hour {
			first[r.Group] += r.Count
		}
	}
	want := map[core.GroupID]int{"Deployment/default/one/0": 100, "Deployment/default/two/0": 100}
	if diff := cmp.Diff(want, first); diff != "" || out.Throttled != 0 || len(h.accounts) != 2 {
		t.Errorf("%d accounts, %d answers of 429; let go in the first hour (-want +got):\n%s", len(h.accounts), out.Throttled, diff)
	}
}

// TestNotesSayWhatWasNotHeld: 20 pods of which the policy lets 5 be held.
func TestNotesSayWhatWasNotHeld(t *testing.T) {
	t.Parallel()
	_, _, h := listen(t, cluster(t, "policy: {maxGatedPerNamespace: 5}", twentyNodes+"  workloads: [{name: web, image: v1, replicas: 20, cold: true}]\n"))
	if got := strings.Join(h.Notes(), "\n"); !strings.HasPrefix(got, "15 pods were not held because maxGatedPerNamespace (5)") {
		t.Errorf("notes: %q", got)
	}
}

// TestAllAreHeldUnlessTheScenarioCapsIt: of 600 pods a cluster would hold 500 by
// default; a scenario that says nothing of it is shown what pacing makes of all.
func TestAllAreHeldUnlessTheScenarioCapsIt(t *testing.T) {
	t.Parallel()
	lines := "  nodePools: [{name: general, nodes: 600, podsPerNode: 1, zones: [a]}]\n  workloads: [{name: web, image: v1, replicas: 600, cold: true}]\n"
	out, _, h := listen(t, cluster(t, "", lines))
	notes := strings.Join(h.Notes(), "\n")
	if out.Throttled > 0 || !strings.Contains(notes, "600 pods of a namespace were held at once") || !strings.Contains(notes, "sets maxGatedPerNamespace to 600") {
		t.Errorf("%d answers of 429, notes %q", out.Throttled, notes)
	}
}

func TestNewRefusesWhatAScenarioCannotShow(t *testing.T) {
	t.Parallel()
	for name, pace := range map[string]string{
		"pods by label":       "policy: {podSelector: {matchLabels: {a: b}}}",
		"nodes by label":      "budgets: {hub: {egress: {perNode: true}}}",
		"pauses of a rollout": "policy: {deleteFirst: Pause}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := cluster(t, pace, twentyNodes+"  workloads: [{name: web, image: v1, replicas: 1}]\n")
			if _, err := New(spec, spec.Policies[1]); err == nil {
				t.Errorf("%s was accepted", pace)
			}
		})
	}
}
