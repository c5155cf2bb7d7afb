package doctor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// atNight is a cluster in which a password is refused, so that pulls go out as
// anonymous and meet that limit, while others fail for reasons of their own.
func atNight() builder {
	b := healthy()
	b.secret("billing", "hub", "named")
	for i := range 4 {
		message := noPassword
		if i > 1 {
			message = hubLimit
		}
		b.waits("billing", "billing", "docker.io/acme/billing:7", fmt.Sprint("node-", i+1), message).Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}}
	}
	b.waits("shop", "web", "hub.corp/acme/web:2.0", "node-2", brokenOff)
	return b
}

func TestOneWorkloadAtNight(t *testing.T) {
	t.Parallel()
	billing := Scope{Name: "deploy/billing", Namespace: "billing", Owner: kube.Owner{Kind: "Deployment", Namespace: "billing", Name: "billing"}}
	d := Diagnose(atNight().Snapshot, billing)
	if d.Verdict != NotRateLimiting {
		t.Errorf("verdict %s: %s, want that the password is refused", d.Verdict, d.Summary)
	}
	golden(t, "scope workload at night", d)
}

func TestScopes(t *testing.T) {
	t.Parallel()
	b := atNight()
	for name, tc := range map[string]struct {
		scope Scope
		want  []string
	}{
		"cluster":      {Scope{}, []string{"auth/docker.io", "throttled/docker.io", "unreachable/hub.corp", "silently-anonymous/docker.io"}},
		"deployment":   {Scope{Name: "deploy/web", Namespace: "shop", Owner: kube.Owner{Kind: "Deployment", Namespace: "shop", Name: "web"}}, []string{"unreachable/hub.corp"}},
		"another one":  {Scope{Name: "deploy/api", Namespace: "shop", Owner: kube.Owner{Kind: "Deployment", Namespace: "shop", Name: "api"}}, []string{}},
		"replica set":  {Scope{Name: "rs/web-two", Namespace: "shop", Owner: kube.Owner{Kind: "ReplicaSet", Namespace: "shop", Name: "web-two"}}, []string{"unreachable/hub.corp"}},
		"healthy node": {Scope{Name: "node/node-9", Node: "node-9"}, []string{}},
		"node":         {Scope{Name: "node/node-2", Node: "node-2"}, []string{"auth/docker.io", "unreachable/hub.corp"}},
		"pod":          {Scope{Name: "pod/" + b.Pods[len(b.Pods)-1].Name, Namespace: "shop", Pod: b.Pods[len(b.Pods)-1].Name}, []string{"unreachable/hub.corp"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Diagnose(b.Snapshot, tc.scope).Names()); diff != "" {
				t.Errorf("findings (-want +got)\n%s", diff)
			}
		})
	}
}

func TestMissingImagesBesideThrottlesMayBeThrottles(t *testing.T) {
	t.Parallel()
	b := healthy()
	b.waits("shop", "web", "docker.io/acme/web:2.0", "node-1", hubLimit)
	b.waits("shop", "api", "docker.io/acme/api:typo", "node-2", noTag)
	b.waits("shop", "agent", "hub.corp/acme/agent:typo", "node-3", noTag)
	d := Diagnose(b.Snapshot, Scope{})
	for _, f := range d.Findings {
		suspect := slices.ContainsFunc(f.Facts, func(x view.Fact) bool { return x.Name == "maybe throttled" })
		if want := f.Check == CheckBadTag && f.Registry == "docker.io"; suspect != want {
			t.Errorf("%s of %s: maybe throttled is %v, want %v", f.Check, f.Registry, suspect, want)
		}
	}
}

// A throttle that is over is told, and does not count as one of now.
func TestWhatIsOverIsTold(t *testing.T) {
	t.Parallel()
	b := healthy()
	b.event("Pod", "shop", b.Pods[0].Name, "Failed", `Failed to pull image "docker.io/acme/web:1.0": `+hubLimit, 40*time.Minute)
	b.event("Pod", "shop", b.Pods[0].Name, "Failed", `Failed to pull image "docker.io/acme/web:1.0": `+hubLimit, 20*time.Minute)
	d := Diagnose(b.Snapshot, Scope{})
	if d.Verdict != WasRateLimited || len(d.Findings) != 1 {
		t.Fatalf("verdict %s with %v, want a throttle that is over", d.Verdict, d.Names())
	}
	f := d.Findings[0]
	if f.Now || !f.From.Equal(now.Add(-40*time.Minute)) || !f.To.Equal(now.Add(-20*time.Minute)) {
		t.Errorf("now %v from %v to %v, want over, from 40 to 20 minutes ago", f.Now, f.From, f.To)
	}
}

// The order in which an API server lists things changes nothing, and nothing in the
// snapshot is changed.
func TestOrderOfListsChangesNothing(t *testing.T) {
	t.Parallel()
	want := asJSON(t, Diagnose(atNight().Snapshot, Scope{}))
	for seed := range uint64(20) {
		s := atNight().Snapshot
		draw := rand.New(rand.NewPCG(seed, 1))
		draw.Shuffle(len(s.Pods), func(i, j int) { s.Pods[i], s.Pods[j] = s.Pods[j], s.Pods[i] })
		draw.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
		draw.Shuffle(len(s.ReplicaSets), func(i, j int) { s.ReplicaSets[i], s.ReplicaSets[j] = s.ReplicaSets[j], s.ReplicaSets[i] })
		before := asJSON(t, s)
		got := asJSON(t, Diagnose(s, Scope{}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got)\n%s", seed, diff)
		}
		if asJSON(t, s) != before {
			t.Fatal("the snapshot was changed")
		}
	}
}

// What Pace holds is told by Reason, with what was found.
func TestHeldPodsAreCounted(t *testing.T) {
	t.Parallel()
	b := healthy()
	for i := range 3 {
		p := b.pod("shop", "web", "two", "docker.io/acme/web:2.0", "", time.Minute)
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
		if i > 0 {
			p.Status.Conditions = []corev1.PodCondition{{Type: v1alpha1.ConditionHeld, Status: corev1.ConditionTrue, Reason: "BreakerOpen"}}
		}
	}
	want := []view.Counted{{Name: "BreakerOpen", Count: 2}, {Name: "unknown", Count: 1}}
	if diff := cmp.Diff(want, Diagnose(b.Snapshot, Scope{}).Held); diff != "" {
		t.Errorf("held (-want +got)\n%s", diff)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// large is a cluster of 5,000 nodes and 60,000 pods in which one pod in ten is refused.
func large() builder {
	b := builder{&Snapshot{Now: now, Unread: map[Part]string{}, Cut: map[Part]string{}}}
	for i := range 5000 {
		b.node(fmt.Sprint("node-", i), "containerd://2.1.4", "amd64", 48*time.Hour)
	}
	for i := range 60000 {
		node, app := fmt.Sprint("node-", i%5000), fmt.Sprint("app-", i%300)
		if i%10 == 0 {
			b.waits("shop", app, "docker.io/acme/"+app+":2", node, hubLimit)
			continue
		}
		b.runs("shop", app, "docker.io/acme/"+app+":1", node)
	}
	return b
}

func BenchmarkDiagnose(b *testing.B) {
	s := large().Snapshot
	for name, scope := range map[string]Scope{"cluster": {}, "workload": {Name: "deploy/app-0", Namespace: "shop", Owner: kube.Owner{Kind: "Deployment", Namespace: "shop", Name: "app-0"}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Diagnose(s, scope)
			}
		})
	}
}
