package setup

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

func TestClean(t *testing.T) {
	t.Parallel()
	quarter, zero, yes := intstr.FromString("25%"), intstr.FromInt32(0), true
	notes := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	tests := map[string]struct {
		obj, want client.Object
		wantTook  view.Left
	}{
		"nothing of ours": {
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: notes("a", "b", "pullpace.dev.example/x", "y")}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: notes("a", "b", "pullpace.dev.example/x", "y")}},
			view.Left{},
		},
		"held pod": {
			&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Labels: notes(v1alpha1.LabelHeld, "true", "app", "x"), Annotations: notes(v1alpha1.AnnotationSeen, "1", "a", "b")},
				Spec:       corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}, {Name: "other"}}},
			},
			&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Labels: notes("app", "x"), Annotations: notes("a", "b")},
				Spec:       corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "other"}}},
			},
			view.Left{Gates: 1, Annotations: 2},
		},
		"pod that was held": {
			&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: notes()},
				Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady}, {Type: v1alpha1.ConditionHeld}}},
			},
			&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: notes()},
				Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady}}},
			},
			view.Left{Annotations: 1},
		},
		"replica set of a paused deployment": {
			&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationPaused, "{}")}},
			&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}},
			view.Left{Annotations: 1},
		},
		"held node": {
			&corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: v1alpha1.Taint}, {Key: "other"}}}},
			&corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "other"}}}},
			view.Left{Taints: 1},
		},
		"changed deployment": {
			&appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationSaved, `{"maxUnavailable":"25%","paused":false}`)},
				Spec:       appsv1.DeploymentSpec{Paused: true, Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &zero}}},
			},
			&appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Annotations: notes()},
				Spec:       appsv1.DeploymentSpec{Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter}}},
			},
			view.Left{Pauses: 1, Annotations: 1},
		},
		"junk in saved": {
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationSaved, "[")}},
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}},
			view.Left{Annotations: 1},
		},
		"suspended job": {
			&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationSaved, `{"suspend":false}`)}, Spec: batchv1.JobSpec{Suspend: &yes}},
			&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}, Spec: batchv1.JobSpec{Suspend: new(bool)}},
			view.Left{Pauses: 1, Annotations: 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			took := Clean(tc.obj)
			if diff := cmp.Diff(tc.want, tc.obj); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantTook, took); diff != "" {
				t.Errorf("took (-want +got)\n%s", diff)
			}
			if again := Clean(tc.obj); again.Total() != 0 {
				t.Errorf("a second cleaning took %+v", again)
			}
		})
	}
}

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
