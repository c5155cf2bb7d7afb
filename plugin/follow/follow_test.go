package follow

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

var now = time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)

// world is a rollout of four pods from revision 1 to 2.
func world() World {
	replicas, quarter := int32(4), intstr.FromString("25%")
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", UID: "api", Generation: 2, Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter}},
			Template: template("docker.io/acme/api:2"),
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 5, ReadyReplicas: 4, UpdatedReplicas: 1},
	}
	return World{Deployment: d, Sets: []appsv1.ReplicaSet{set("api-old", "1", "docker.io/acme/api:1"), set("api-new", "2", "docker.io/acme/api:2")}}
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "api"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: image}}},
	}
}

func owned(kind, name string) []metav1.OwnerReference {
	controller := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(name), Controller: &controller}}
}

func set(name, revision, image string) appsv1.ReplicaSet {
	return appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "api"},
			Annotations: map[string]string{"deployment.kubernetes.io/revision": revision}, OwnerReferences: owned("Deployment", "api"),
		},
		Spec: appsv1.ReplicaSetSpec{Template: template(image)},
	}
}

// pods makes n pods of a ReplicaSet.
func pods(set string, n int, change func(*corev1.Pod)) []corev1.Pod {
	var list []corev1.Pod
	for i := range n {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprintf("%s-%d-%p", set, i, change), Labels: map[string]string{"app": "api"}, OwnerReferences: owned("ReplicaSet", set),
		}}
		change(&pod)
		list = append(list, pod)
	}
	return list
}

func isReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}

func isHeld(p *corev1.Pod) {
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
	p.Annotations = map[string]string{v1alpha1.AnnotationHoldUntil: now.Add(time.Hour).Format(time.RFC3339)}
	p.Status.Conditions = []corev1.PodCondition{{Type: v1alpha1.ConditionHeld, Status: corev1.ConditionTrue, Reason: "WaitingForBudget", Message: "needs 2, free 0"}}
}

func isThrottled(p *corev1.Pod) {
	p.Spec = template("docker.io/acme/api:2").Spec
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "api", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "ErrImagePull", Message: throttledWords,
	}}}}
}

const throttledWords = "toomanyrequests: You have reached your unauthenticated pull rate limit."

func isPulling(*corev1.Pod) {}

func isGoing(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now}; isReady(p) }

func TestState(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pods        [][]corev1.Pod
		change      func(*appsv1.Deployment)
		wantState   string
		wantNew     view.Progress
		wantOld     int32
		wantReason  string
		wantFailure view.Failures
	}{
		"nothing started":     {[][]corev1.Pod{pods("api-old", 4, isReady)}, nil, view.Progressing, view.Progress{ToCome: 4}, 4, "", view.Failures{}},
		"pulling":             {[][]corev1.Pod{pods("api-old", 4, isReady), pods("api-new", 1, isPulling)}, nil, view.Progressing, view.Progress{Pulling: 1, ToCome: 3}, 4, "", view.Failures{}},
		"held":                {[][]corev1.Pod{pods("api-old", 4, isReady), pods("api-new", 2, isHeld)}, nil, view.HeldState, view.Progress{Held: 2, ToCome: 2}, 4, "WaitingForBudget", view.Failures{}},
		"held beside pulling": {[][]corev1.Pod{pods("api-new", 1, isHeld), pods("api-new", 1, isPulling)}, nil, view.Progressing, view.Progress{Held: 1, Pulling: 1, ToCome: 2}, 0, "WaitingForBudget", view.Failures{}},
		"throttled":           {[][]corev1.Pod{pods("api-new", 2, isThrottled)}, nil, view.Progressing, view.Progress{Pulling: 2, ToCome: 2}, 0, "", view.Failures{Throttled: 2, Pull: 2, Words: throttledWords}},
		"going pods":          {[][]corev1.Pod{pods("api-old", 2, isGoing), pods("api-new", 4, isReady)}, nil, view.Progressing, view.Progress{Ready: 4}, 0, "", view.Failures{}},
		"not observed yet": {nil, func(d *appsv1.Deployment) {
			d.Generation = 3
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 4, UpdatedReplicas: 4, AvailableReplicas: 4}
		}, view.Progressing, view.Progress{ToCome: 4}, 0, "", view.Failures{}},
		"listed from before the change": {[][]corev1.Pod{pods("api-new", 4, isReady)}, func(d *appsv1.Deployment) {
			d.Generation = 1
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 4, UpdatedReplicas: 4, AvailableReplicas: 4}
		}, view.Progressing, view.Progress{ToCome: 4}, 4, "", view.Failures{}},
		"done": {[][]corev1.Pod{pods("api-new", 4, isReady)}, func(d *appsv1.Deployment) {
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 4, UpdatedReplicas: 4, AvailableReplicas: 4}
		}, view.Done, view.Progress{Ready: 4}, 0, "", view.Failures{}},
		"paused by a person": {nil, func(d *appsv1.Deployment) {
			d.Annotations[v1alpha1.AnnotationPaused] = `{"by":"kim","reason":"leaks"}`
		}, view.PausedState, view.Progress{ToCome: 4}, 0, "", view.Failures{}},
		"over its deadline": {nil, func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Message: "exceeded its progress deadline"}}
		}, view.Failed, view.Progress{ToCome: 4}, 0, "", view.Failures{}},
		"over its deadline while held": {[][]corev1.Pod{pods("api-new", 1, isHeld)}, func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse}}
		}, view.HeldState, view.Progress{Held: 1, ToCome: 3}, 0, "WaitingForBudget", view.Failures{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world()
			w.Generation = 2
			for _, list := range tc.pods {
				w.Pods = append(w.Pods, list...)
			}
			if tc.change != nil {
				tc.change(w.Deployment)
			}
			got := w.State(now)
			type outcome struct {
				State    string
				New      view.Progress
				Old      int32
				Reason   string
				Failures view.Failures
			}
			want := outcome{tc.wantState, tc.wantNew, tc.wantOld, tc.wantReason, tc.wantFailure}
			if diff := cmp.Diff(want, outcome{got.State, got.New, got.OldReady, got.Reason, got.Errors}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestStateNamesWhatChanges(t *testing.T) {
	t.Parallel()
	got := world().State(now)
	want := view.Rollout{From: "1", To: "2", Least: 3, Images: []view.ImageChange{{Container: "api", From: "docker.io/acme/api:1", To: "docker.io/acme/api:2"}}}
	if diff := cmp.Diff(want, view.Rollout{From: got.From, To: got.To, Least: got.Least, Images: got.Images}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWatch follows a pod that is let go, and ends when the Deployment is gone.
func TestWatch(t *testing.T) {
	t.Parallel()
	scheme, err := cluster.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	w := world()
	held := pods("api-new", 1, isHeld)[0]
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(w.Deployment, &w.Sets[0], &w.Sets[1], &held).
		WithIndex(&appsv1.Deployment{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).Build()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	watch, err := Start(ctx, c, w.Deployment)
	if err != nil {
		t.Fatal(err)
	}
	seen, ok := watch.World()
	if !ok || seen.State(now).New.Held != 1 {
		t.Fatalf("held %d, want 1", seen.State(now).New.Held)
	}
	// The client in memory forgets what happens between list and watch, so that
	// the change is written until the watch has it.
	for n := 0; ; n++ {
		if err := c.Get(ctx, client.ObjectKeyFromObject(&held), &held); err != nil {
			t.Fatal(err)
		}
		held.Spec.SchedulingGates = nil
		held.Labels["n"] = fmt.Sprint(n)
		if err := c.Update(ctx, &held); err != nil {
			t.Fatal(err)
		}
		select {
		case <-watch.Changed:
		case <-ctx.Done():
			t.Fatal("the watch did not see the release")
		default:
		}
		if seen, ok := watch.World(); ok && seen.State(now).New.Pulling == 1 {
			return
		}
	}
}
