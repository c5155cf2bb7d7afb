package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/gate"
)

// TestResumeIsWhatTheControllerDoes runs the edit that people are given on NodePools that
// Pace has paused: it leaves what the controller itself would leave.
func TestResumeIsWhatTheControllerDoes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ budgets, after []any }{
		"no budget of others":       {},
		"one of others":             {budgets: []any{map[string]any{"nodes": "10%"}}},
		"somebody added one":        {after: []any{map[string]any{"nodes": "5"}}},
		"somebody took ours away":   {budgets: []any{map[string]any{"nodes": "10%"}}, after: []any{nil}},
		"another of the same words": {budgets: []any{map[string]any{"nodes": "0"}, map[string]any{"nodes": "10%"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": map[string]any{"name": "general"}, "spec": map[string]any{"disruption": map[string]any{"consolidateAfter": "Never"}}}}
			set := func(budgets []any) {
				if err := unstructured.SetNestedSlice(pool.Object, budgets, "spec", "disruption", "budgets"); err != nil {
					t.Fatal(err)
				}
			}
			if tc.budgets != nil {
				set(tc.budgets)
			}
			gate.PauseDisruption(pool, time.Unix(0, 0))
			switch paused, _, _ := unstructured.NestedSlice(pool.Object, "spec", "disruption", "budgets"); {
			case len(tc.after) == 1 && tc.after[0] == nil:
				set(paused[:len(paused)-1])
			case tc.after != nil:
				set(append(paused, tc.after...))
			}
			read, err := readPool(pool)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(read.Resume(), "'")
			patch, err := jsonpatch.DecodePatch([]byte(strings.TrimSuffix(text, "'")))
			if err != nil {
				t.Fatal(err)
			}
			before, err := pool.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			after, err := patch.Apply(before)
			if err != nil {
				t.Fatalf("%s: %v", read.Resume(), err)
			}
			got := &unstructured.Unstructured{}
			if err := got.UnmarshalJSON(after); err != nil {
				t.Fatal(err)
			}
			gate.ResumeDisruption(pool)
			if diff := cmp.Diff(pool.Object["spec"], got.Object["spec"]); diff != "" || gate.DisruptionPaused(got) {
				t.Errorf("annotations %v, spec (-the controller's +the edit's):\n%s", got.GetAnnotations(), diff)
			}
		})
	}
}
