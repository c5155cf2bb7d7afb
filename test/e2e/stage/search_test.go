//go:build linux

package stage

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestTracesFindWhatIsLeft(t *testing.T) {
	t.Parallel()
	object := func(kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: fields}
		o.SetKind(kind)
		o.SetNamespace(namespace)
		o.SetName(name)
		return o
	}
	label := func(key string) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{key: "enabled"}}}
	}
	written := object("Pod", "shop", "api", map[string]any{})
	fields := metav1.NewFieldsV1(`{"f:pullpace.dev/seen":{}}`)
	written.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "x", FieldsV1: fields}})
	tests := map[string]struct {
		obj  *unstructured.Unstructured
		want bool
	}{
		"a plain pod":              {obj: object("Pod", "shop", "api", map[string]any{})},
		"history of a field":       {obj: written},
		"an annotation":            {obj: object("ReplicaSet", "shop", "api", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"pullpace.dev/paused": "{}"}}}), want: true},
		"an opted-in namespace":    {obj: object("Namespace", "", "shop", label("pullpace.dev/pace"))},
		"another label there":      {obj: object("Namespace", "", "shop", label("pullpace.dev/held")), want: true},
		"our namespace":            {obj: object("Namespace", "", "pullpace-system", map[string]any{}), want: true},
		"a lease of ours":          {obj: object("Lease", "pullpace-system", "x", map[string]any{}), want: true},
		"a role that was summed":   {obj: object("ClusterRole", "", "view", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"pullpace.dev"}}}}), want: true},
		"an image that a node has": {obj: object("Node", "", "node-1", map[string]any{"status": map[string]any{"images": []any{"infra.test/pullpace/pacer:dev"}}})},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := traces(tc.obj); (got != "") != tc.want {
				t.Errorf("traces %q, want some: %t", got, tc.want)
			}
		})
	}
}
