package gate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
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
		wantTook  Taken
	}{
		"nothing of ours": {
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: notes("a", "b", "pullpace.dev.example/x", "y")}},
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: notes("a", "b", "pullpace.dev.example/x", "y")}},
			Taken{},
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
			Taken{Gates: 1, Marks: 2},
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
			Taken{Marks: 1},
		},
		"replica set of a paused deployment": {
			&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationPaused, "{}")}},
			&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}},
			Taken{Marks: 1},
		},
		"held node": {
			&corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: v1alpha1.Taint}, {Key: "other"}}}},
			&corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "other"}}}},
			Taken{Taints: 1},
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
			Taken{Restored: 1, Marks: 1},
		},
		"junk in saved": {
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationSaved, "[")}},
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}},
			Taken{Marks: 1},
		},
		"suspended job": {
			&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: notes(v1alpha1.AnnotationSaved, `{"suspend":false}`)}, Spec: batchv1.JobSpec{Suspend: &yes}},
			&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: notes()}, Spec: batchv1.JobSpec{Suspend: new(bool)}},
			Taken{Restored: 1, Marks: 1},
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
