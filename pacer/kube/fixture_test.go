package kube

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/gate"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func makeNode(name string, edit ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelTopologyZone: "a"}}}
	n.Status.NodeInfo.BootID = "boot-" + name
	n.Status.NodeInfo.ContainerRuntimeVersion = "containerd://2.1.4"
	for _, e := range edit {
		e(n)
	}
	return n
}

func makeNamespace(name string, edit ...func(*corev1.Namespace)) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
		Labels: map[string]string{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled, corev1.LabelMetadataName: name}}}
	for _, e := range edit {
		e(n)
	}
	return n
}

func makeBudget(name, registry string, edit ...func(*v1alpha1.PullBudget)) v1alpha1.PullBudget {
	b := v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(start)}}
	b.Spec.Registry = registry
	for _, e := range edit {
		e(&b)
	}
	return b
}

func makePolicy(name string, edit ...func(*v1alpha1.PacePolicy)) v1alpha1.PacePolicy {
	p := v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(start)}}
	for _, e := range edit {
		e(&p)
	}
	return p
}

func mustRules(t *testing.T, budgets []v1alpha1.PullBudget, policies ...v1alpha1.PacePolicy) *Rules {
	t.Helper()
	r, err := NewRules(budgets, policies)
	if err != nil {
		t.Fatalf("NewRules: %v", err)
	}
	return r
}

// makePod is pod number i of revision hash of Deployment shop/web, held.
func makePod(hash string, i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	name := fmt.Sprintf("web-%s-%d", hash, i)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
		Labels:            map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash},
		CreationTimestamp: metav1.NewTime(start.Add(time.Duration(i) * time.Second)),
		OwnerReferences:   []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-" + hash, Controller: new(true)}},
	}}
	p.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:" + hash, ImagePullPolicy: corev1.PullIfNotPresent}}
	gate.Hold(p, start, time.Hour)
	for _, e := range edit {
		e(p)
	}
	return p
}

func ungated(p *corev1.Pod) { gate.Release(p, gate.Letting{}) }

func bound(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		ungated(p)
		p.Spec.NodeName = node
	}
}

func running(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		bound(node)(p)
		p.Status.Phase = corev1.PodRunning
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ImageID: "sha256:1",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func makeSet(hash string, revision, replicas, ready int, created time.Duration) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web-" + hash, CreationTimestamp: metav1.NewTime(start.Add(created)),
		Annotations:     map[string]string{revisionAnnotation: fmt.Sprint(revision)},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", Controller: new(true)}},
	}}
	rs.Spec.Replicas = new(int32(replicas))
	rs.Status.ReadyReplicas = int32(ready)
	return rs
}

func makeDeployment(replicas int, complete bool, edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	d.Spec.Replicas = new(int32(replicas))
	reason := "ReplicaSetUpdated"
	if complete {
		reason = "NewReplicaSetAvailable"
	}
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reason}}
	for _, e := range edit {
		e(d)
	}
	return d
}

// makeTracker knows three nodes, namespace shop and an anonymous Docker Hub.
func makeTracker(t *testing.T) *Tracker {
	t.Helper()
	tr := NewTracker()
	tr.Namespace(makeNamespace("shop"))
	tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default")))
	for _, name := range []string{"n1", "n2", "n3"} {
		tr.Node(start, makeNode(name))
	}
	return tr
}

// podsOf, groupsOf and throttledOf pick events of one kind.
func podsOf(events []engine.Event) []engine.Pod {
	var out []engine.Pod
	for _, ev := range events {
		if ev.Pod != nil {
			out = append(out, *ev.Pod)
		}
	}
	return out
}

func groupsOf(events []engine.Event) []engine.Group {
	var out []engine.Group
	for _, ev := range events {
		if ev.Group != nil {
			out = append(out, *ev.Group)
		}
	}
	return out
}

func throttledOf(events []engine.Event) []engine.PullFailed {
	var out []engine.PullFailed
	for _, ev := range events {
		if ev.Failed != nil && ev.Failed.Class == feedback.Throttled {
			out = append(out, *ev.Failed)
		}
	}
	return out
}
