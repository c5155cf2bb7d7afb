package capture_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/simulate/scenario"
)

// TestRolloutsAreWrittenWithTheirSteps, as far as a scenario has such steps; what it has
// not is said.
func TestRolloutsAreWrittenWithTheirSteps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ strategy, fields, left string }{
		"gated": {`canary: {steps: [{analysis: {templates: [{templateName: pull-budget, clusterScope: true}]}}, {setWeight: 10}, {pause: {duration: 10m}}, {pause: {duration: 30}}, {pause: {duration: "45"}}]}`,
			"steps: [{gate: {}}, {setWeight: 10}, {pause: {duration: 10m0s}}, {pause: {duration: 30s}}, {pause: {duration: 45s}}]", ""},
		"routed": {`canary: {maxSurge: 25%, maxUnavailable: 0, trafficRouting: {maxTrafficWeight: 1000}, steps: [{setCanaryScale: {replicas: 3}}, {setCanaryScale: {weight: 20}}, {setWeight: 500}, {setCanaryScale: {matchTrafficWeight: true}}]}`,
			`trafficRouting: {}, steps: [{setCanaryScale: {replicas: 3}}, {setCanaryScale: {weight: 20}}, {setWeight: 50}, {setCanaryScale: {matchTrafficWeight: true}}], strategy: {maxSurge: "25%", maxUnavailable: 0}`, ""},
		"what a scenario has not": {`canary: {steps: [{analysis: {templates: [{templateName: smoke}]}}, {setWeight: 5}, {pause: {}}, {experiment: {}}, {setCanaryScale: {replicas: 1}}, {pause: {duration: soon}}, {pause: {duration: -1}}]}`,
			"steps: [{setWeight: 5}]", "   # Left out: an analysis, a pause that a person ends, a step of another kind, a scale that counts with a router alone, a pause that was not understood, a pause that was not understood."},
		"no steps":   {`canary: {}`, "steps: []", ""},
		"blue-green": {`blueGreen: {activeService: a}`, `strategy: {maxSurge: "100%", maxUnavailable: 0}`, "   # Left out: what makes it blue-green: it replaces all pods at once here."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := canaries(t, tc.strategy)
			text := capture.Scenario(c, "monday", capture.Plain())
			line := ""
			for l := range strings.Lines(string(text)) {
				if strings.Contains(l, "kind: Rollout") {
					line = strings.TrimSuffix(l, "\n")
				}
			}
			want := "  - {name: shop/api/rollout, kind: Rollout, " + tc.fields + `, image: "docker.io/acme/shop:v7", replicas: 2, namespace: shop}` + tc.left
			if diff := cmp.Diff(want, line); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			s := decoded(t, text)
			if w := s.Spec.Workloads[0]; w.Kind != scenario.Rollout {
				t.Errorf("the workload is a %s, want a Rollout", w.Kind)
			}
			hidden := capture.Scenario(c, "monday", capture.Anonymous([]byte("salt")))
			if decoded(t, hidden); strings.Contains(string(hidden), "smoke") {
				t.Errorf("an anonymous file names an analysis:\n%s", hidden)
			}
		})
	}
}

// TestARolloutThatWasNotRead is one whose steps nobody knows.
func TestARolloutThatWasNotRead(t *testing.T) {
	t.Parallel()
	c := canaries(t, "canary: {}")
	c.Rollouts = nil
	text := string(capture.Scenario(c, "monday", capture.Plain()))
	if !strings.Contains(text, "kind: Rollout, image:") || !strings.Contains(text, "# Left out: its steps, which were not readable.") {
		t.Errorf("the Rollout is written as\n%s", text)
	}
	decoded(t, []byte(text))
}

// canaries is a cluster with two pods of a Rollout of a strategy.
func canaries(t *testing.T, strategy string) capture.Cluster {
	t.Helper()
	c := capture.Cluster{}
	for _, on := range []string{"node-1", "node-2"} {
		c.Nodes = append(c.Nodes, node(on, "general", "a"))
		p := pod("shop", "api-"+on, on, metav1.OwnerReference{Kind: "ReplicaSet", Name: "api-abc"}, "acme/shop:v7")
		p.Labels = map[string]string{"rollouts-pod-template-hash": "abc"}
		c.Pods = append(c.Pods, p)
	}
	u := unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("metadata: {namespace: shop, name: api}\nspec: {strategy: {"+strategy+"}}\n"), &u.Object); err != nil {
		t.Fatal(err)
	}
	c.Rollouts = []unstructured.Unstructured{u}
	return c
}
