package gate

import (
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// noDisruption is the budget that we add to those of a NodePool: of several the least
// counts.
func noDisruption() any { return map[string]any{"nodes": "0"} }

// DisruptionPaused reports whether we keep Karpenter from replacing nodes of a NodePool.
func DisruptionPaused(pool *unstructured.Unstructured) bool {
	return pool.GetAnnotations()[v1alpha1.AnnotationDisruption] != ""
}

// PauseDisruption keeps Karpenter from replacing nodes of a NodePool: one more budget
// comes, and the mark by which it is found again. Those that are there stay. It reports
// false, and changes nothing, where the mark is there or the budgets cannot be read.
func PauseDisruption(pool *unstructured.Unstructured, now time.Time) bool {
	budgets, _, err := unstructured.NestedSlice(pool.Object, "spec", "disruption", "budgets")
	if err != nil || DisruptionPaused(pool) {
		return false
	}
	if unstructured.SetNestedSlice(pool.Object, append(budgets, noDisruption()), "spec", "disruption", "budgets") != nil {
		return false
	}
	pool.SetAnnotations(with(pool.GetAnnotations(), v1alpha1.AnnotationDisruption, stamp(now)))
	return true
}

// PausedBudget is which of the disruption budgets of a NodePool is ours, of how many; -1:
// none is, or they cannot be read.
func PausedBudget(pool *unstructured.Unstructured) (index, of int) {
	budgets, _, err := unstructured.NestedSlice(pool.Object, "spec", "disruption", "budgets")
	if err != nil || !DisruptionPaused(pool) {
		return -1, 0
	}
	return ourBudget(budgets), len(budgets)
}

// ourBudget is the last of those that are as ours; -1: none is.
func ourBudget(budgets []any) int {
	for i, b := range slices.Backward(budgets) {
		if reflect.DeepEqual(b, noDisruption()) {
			return i
		}
	}
	return -1
}

// ResumeDisruption takes our budget and our mark off a NodePool. A list that somebody
// else has written since is theirs, and stays as it is. It reports false where the mark
// is not there.
func ResumeDisruption(pool *unstructured.Unstructured) bool {
	if !DisruptionPaused(pool) {
		return false
	}
	marks := pool.GetAnnotations()
	delete(marks, v1alpha1.AnnotationDisruption)
	pool.SetAnnotations(marks)
	budgets, _, err := unstructured.NestedSlice(pool.Object, "spec", "disruption", "budgets")
	if err != nil {
		return true
	}
	if i := ourBudget(budgets); i >= 0 {
		budgets = slices.Delete(budgets, i, i+1)
	}
	if len(budgets) == 0 {
		// An empty list would allow everything; none stands for the default.
		unstructured.RemoveNestedField(pool.Object, "spec", "disruption", "budgets")
		return true
	}
	// What was read of the object can be written to it.
	_ = unstructured.SetNestedSlice(pool.Object, budgets, "spec", "disruption", "budgets")
	return true
}
