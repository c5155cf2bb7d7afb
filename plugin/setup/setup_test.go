package setup

import (
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// base is a small kustomize base.
func base() Source {
	return Source{Base: "all", Image: "example/app", Files: fstest.MapFS{
		"all/kustomization.yaml": {Data: []byte("resources: [app.yaml]\nimages: [{name: example/app, newTag: v1}]\n")},
		"all/app.yaml": {Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: hook}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec: {replicas: 2, template: {spec: {containers: [{name: app, image: example/app}]}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ns}
`)},
	}}
}

func TestRender(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	tests := map[string]struct {
		override Override
		want     string
		wantErr  bool
	}{
		"as it is":         {Override{}, "example/app:v1", false},
		"tag":              {Override{Image: "r.example/app:v2"}, "r.example/app:v2", false},
		"port and tag":     {Override{Image: "r.example:5000/a/app:v2"}, "r.example:5000/a/app:v2", false},
		"digest":           {Override{Image: "r.example/app@" + digest}, "r.example/app@" + digest, false},
		"registry":         {Override{Registry: "r.example:5000/mirror/"}, "r.example:5000/mirror/app:v1", false},
		"bad image":        {Override{Image: "Bad Ref"}, "", true},
		"bad registry":     {Override{Registry: "Bad Ref"}, "", true},
		"both":             {Override{Image: "a/b", Registry: "c"}, "", true},
		"registry is text": {Override{Registry: "r.example\nimages: []"}, "", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := Render(base(), tc.override)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error %v, want one: %t", err, tc.wantErr)
			}
			if err != nil {
				return
			}
			if got := ImageOf(objects, "app"); got != tc.want {
				t.Errorf("image %s, want %s", got, tc.want)
			}
			if first, last := objects[0].GetKind(), objects[len(objects)-1].GetKind(); first != "Namespace" || last != "MutatingWebhookConfiguration" {
				t.Errorf("order: %s first, %s last", first, last)
			}
		})
	}
}

func TestStageOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind, name string
		want       Stage
	}{
		"webhook":    {"MutatingWebhookConfiguration", "pacer", StageWebhook},
		"controller": {"Deployment", "pacer", StageController},
		"failsafe":   {"Deployment", "pacer-failsafe", StageRest},
		"crd":        {"CustomResourceDefinition", "x", StageCRD},
		"namespace":  {"Namespace", "x", StageRest},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := &unstructured.Unstructured{Object: map[string]any{"kind": tc.kind, "metadata": map[string]any{"name": tc.name}}}
			if got := StageOf(obj); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
