package gate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDisruptionIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tenth, none := map[string]any{"nodes": "10%"}, map[string]any{"nodes": "0"}
	drifted := map[string]any{"nodes": "0", "reasons": []any{"Drifted"}}
	pool := func(budgets ...any) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "general"}, "spec": map[string]any{}}}
		if budgets != nil {
			u.Object["spec"].(map[string]any)["disruption"] = map[string]any{"budgets": budgets}
		}
		return u
	}
	budgetsOf := func(u *unstructured.Unstructured) []any {
		list, _, err := unstructured.NestedSlice(u.Object, "spec", "disruption", "budgets")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	cases := map[string]struct {
		before []any
		// meanwhile is what somebody else makes of the list while it is paused.
		meanwhile   []any
		paused, end []any
	}{
		"the default":            {before: []any{tenth}, paused: []any{tenth, none}, end: []any{tenth}},
		"one like ours":          {before: []any{none}, paused: []any{none, none}, end: []any{none}},
		"one almost like ours":   {before: []any{drifted}, paused: []any{drifted, none}, end: []any{drifted}},
		"no list":                {paused: []any{none}, end: nil},
		"somebody wrote it anew": {before: []any{tenth}, paused: []any{tenth, none}, meanwhile: []any{drifted}, end: []any{drifted}},
		"somebody added one":     {before: []any{tenth}, paused: []any{tenth, none}, meanwhile: []any{tenth, none, drifted}, end: []any{tenth, drifted}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := pool(tc.before...)
			if !PauseDisruption(u, now) || PauseDisruption(u, now) {
				t.Error("want it paused once")
			}
			if diff := cmp.Diff(tc.paused, budgetsOf(u)); diff != "" {
				t.Errorf("budgets while paused (-want +got):\n%s", diff)
			}
			if tc.meanwhile != nil {
				_ = unstructured.SetNestedSlice(u.Object, tc.meanwhile, "spec", "disruption", "budgets")
			}
			if !ResumeDisruption(u) || ResumeDisruption(u) {
				t.Error("want it resumed once")
			}
			if diff := cmp.Diff(tc.end, budgetsOf(u)); diff != "" {
				t.Errorf("budgets at the end (-want +got):\n%s", diff)
			}
			if len(u.GetAnnotations()) > 0 {
				t.Errorf("annotations %v are left", u.GetAnnotations())
			}
		})
	}
	if junk := pool(); unstructured.SetNestedField(junk.Object, "junk", "spec", "disruption", "budgets") != nil || PauseDisruption(junk, now) || DisruptionPaused(junk) {
		t.Error("budgets that cannot be read were changed")
	}
}
