package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// labelled says who opted a namespace in, and how long after start.
func labelled(after time.Duration, manager string) func(*corev1.Namespace) {
	return func(n *corev1.Namespace) {
		n.ManagedFields = append(n.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: new(metav1.NewTime(start.Add(after))),
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:pullpace.dev/pace":{}}}}`),
		})
	}
}

// unmarked is a pod that the webhook never saw, created so long after start.
func unmarked(after time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		ungated(p)
		p.Annotations = nil
		p.Spec.NodeName = "n1"
		p.CreationTimestamp = metav1.NewTime(start.Add(after))
	}
}

func TestPodsThatSlippedByAreCounted(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	cases := map[string]struct {
		pod        func(*corev1.Pod)
		namespace  []func(*corev1.Namespace)
		own        time.Duration
		policy     func(*v1alpha1.PacePolicy)
		budget     func(*v1alpha1.PullBudget)
		deployment func(*appsv1.Deployment)
		set        func(*appsv1.ReplicaSet)
		want       int
	}{
		"never seen":            {pod: func(*corev1.Pod) {}, want: 1},
		"seen":                  {pod: func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationSeen: "true"} }},
		"let go":                {pod: func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationRelease: "{}"} }},
		"being deleted":         {pod: func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(start)) }},
		"finished":              {pod: func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }},
		"pending":               {pod: func(p *corev1.Pod) { p.Spec.NodeName = "" }, want: 1},
		"gated by its template": {pod: func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}} }},
		"of a DaemonSet":        {pod: func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }},
		"of nobody, who may have chosen the node": {pod: func(p *corev1.Pod) { p.OwnerReferences = nil }},
		"system-critical":                         {pod: func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-node-critical" }},
		"Kueue's":                                 {pod: func(p *corev1.Pod) { p.Labels["kueue.x-k8s.io/queue-name"] = "team" }},
		"image of no budget":                      {pod: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "ghcr.io/a/b" }},
		"created before the label":                {namespace: []func(*corev1.Namespace){labelled(11*minute, "kim")}},
		"created with the label":                  {namespace: []func(*corev1.Namespace){labelled(10*minute-slipMargin, "kim")}},
		"label of two, first early":               {namespace: []func(*corev1.Namespace){labelled(minute, "argocd"), labelled(11*minute, "kim")}, want: 1},
		"nobody knows since when":                 {namespace: []func(*corev1.Namespace){func(*corev1.Namespace) {}}},
		"not opted in": {namespace: []func(*corev1.Namespace){labelled(0, "kim"), func(n *corev1.Namespace) {
			n.Labels[v1alpha1.LabelPace] = "later"
		}}},
		"switched off": {namespace: []func(*corev1.Namespace){labelled(0, "kim"), func(n *corev1.Namespace) {
			n.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
		}}},
		"before Pace was installed":      {own: 11 * minute},
		"before the policy":              {policy: func(p *v1alpha1.PacePolicy) { p.CreationTimestamp = metav1.NewTime(start.Add(11 * minute)) }},
		"before the budget":              {budget: func(b *v1alpha1.PullBudget) { b.CreationTimestamp = metav1.NewTime(start.Add(11 * minute)) }},
		"while only watched":             {policy: func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow }},
		"recreated":                      {deployment: func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }},
		"the owner chose the node":       {set: func(rs *appsv1.ReplicaSet) { rs.Spec.Template.Spec.NodeName = "n1" }},
		"more than may be gated at once": {policy: func(p *v1alpha1.PacePolicy) { p.Spec.MaxGatedPerNamespace = new(int32(1)) }, want: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := NewTracker()
			if tc.namespace == nil {
				tc.namespace = []func(*corev1.Namespace){labelled(0, "kim")}
			}
			tracker.Namespace(makeNamespace("shop", tc.namespace...))
			tracker.Namespace(makeNamespace(v1alpha1.Namespace, func(n *corev1.Namespace) {
				n.CreationTimestamp = metav1.NewTime(start.Add(tc.own))
			}))
			budget, policy := makeBudget("hub", "docker.io"), makePolicy("default")
			if tc.budget != nil {
				tc.budget(&budget)
			}
			if tc.policy != nil {
				tc.policy(&policy)
			}
			tracker.Rules(mustRules(t, []v1alpha1.PullBudget{budget}, policy))
			set := makeSet("v1", 1, 1, 0, 0)
			if tc.set != nil {
				tc.set(set)
			}
			tracker.ReplicaSet(set)
			if tc.pod == nil {
				tc.pod = func(*corev1.Pod) {}
			}
			pod := makePod("v1", 1, unmarked(10*time.Minute), tc.pod)
			tracker.Pod(start, pod)
			// Last, as the watches of pods and Deployments are two.
			d := makeDeployment(1, true)
			if tc.deployment != nil {
				tc.deployment(d)
			}
			tracker.Deployment(d)
			if got := tracker.SlippedPods(); got != tc.want || tracker.Slipped()["default"] != tc.want {
				t.Errorf("%d slipped by, of the policy %v; want %d", got, tracker.Slipped(), tc.want)
			}
			tracker.PodGone(PodID(pod))
			if got := tracker.SlippedPods(); got != 0 {
				t.Errorf("%d slipped by of pods that are gone", got)
			}
		})
	}
}

func TestSlippedPodsFollowTheRules(t *testing.T) {
	t.Parallel()
	tracker := NewTracker()
	tracker.Namespace(makeNamespace("shop", labelled(0, "kim")))
	budgets := []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}
	tracker.Rules(mustRules(t, budgets, makePolicy("default")))
	for i := range 7 {
		tracker.Pod(start, makePod("v1", i, unmarked(time.Duration(i+1)*time.Minute)))
	}
	if diff := cmp.Diff([]string{"shop/web-v1-6", "shop/web-v1-5", "shop/web-v1-4", "shop/web-v1-3", "shop/web-v1-2"}, tracker.NewestSlipped("default")); diff != "" {
		t.Errorf("newest (-want +got):\n%s", diff)
	}
	tracker.Rules(mustRules(t, budgets, makePolicy("default", func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Off })))
	if got := tracker.SlippedPods(); got != 0 {
		t.Errorf("%d slipped by although nothing is held", got)
	}
	tracker.Rules(mustRules(t, budgets, makePolicy("default")))
	if got := tracker.SlippedPods(); got != 7 {
		t.Errorf("%d slipped by, want 7", got)
	}
	tracker.Namespace(makeNamespace("shop", labelled(4*time.Minute, "kim")))
	if got := tracker.SlippedPods(); got != 3 {
		t.Errorf("%d slipped by of a namespace that was opted in after minute 4, want 3", got)
	}
}

func TestANamespaceKeepsWhoOptedItIn(t *testing.T) {
	t.Parallel()
	n := makeNamespace("shop", labelled(time.Minute, "kim"), func(n *corev1.Namespace) {
		for _, fields := range []string{`{"f:metadata":{"f:labels":{"f:team":{}}}}`, `{"f:status":{}}`, `junk`, ``} {
			n.ManagedFields = append(n.ManagedFields, metav1.ManagedFieldsEntry{Time: new(metav1.NewTime(start)), FieldsV1: metav1.NewFieldsV1(fields)})
		}
		n.ManagedFields = append(n.ManagedFields, metav1.ManagedFieldsEntry{Time: new(metav1.NewTime(start))})
	})
	if got, want := optedInAt(n), start.Add(time.Minute); !got.Equal(want) {
		t.Errorf("opted in at %s, want %s", got, want)
	}
	object, err := TrimNamespace(n)
	if trimmed := object.(*corev1.Namespace); err != nil || len(trimmed.ManagedFields) != 1 || !optedInAt(trimmed).Equal(start.Add(time.Minute)) {
		t.Errorf("kept %v, %v", trimmed.ManagedFields, err)
	}
	if _, err := TrimNamespace("not a namespace"); err != nil {
		t.Error(err)
	}
}
