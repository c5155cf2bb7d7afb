package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// agentOf is a DaemonSet of one image; further ones are of init containers.
func agentOf(name string, images ...string) *appsv1.DaemonSet {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: name}}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "agent", Image: images[0]}}
	for i, image := range images[1:] {
		set.Spec.Template.Spec.InitContainers = append(set.Spec.Template.Spec.InitContainers, corev1.Container{Name: fmt.Sprint("init-", i), Image: image})
	}
	return set
}

// roomless is a pod that no node has room for.
func roomless(i int) corev1.Pod {
	p := makePod("1", i, ungated)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	return *p
}

// nodeBudget is a PullBudget of Docker Hub of 100 an hour, of which so much is free to
// new nodes, where pulls of an index were found to cost one unit.
func nodeBudget(free int64, edit ...func(*v1alpha1.AccountStatus)) v1alpha1.PullBudget {
	return readBudget(free, append([]func(*v1alpha1.AccountStatus){func(a *v1alpha1.AccountStatus) {
		a.Available = append(a.Available, v1alpha1.ClassUnits{Class: "node-critical", Units: free})
		a.ChargePerPull = []v1alpha1.ChargePerPull{{Host: "docker.io", Manifests: 2, Mean: "1", Samples: 9, Batches: 3, Most: 1}}
	}}, edit...)...)
}

// A node that is there and lacks the images tells that nodes are not born with them.
func TestQuoteNodes(t *testing.T) {
	t.Parallel()
	hub := []v1alpha1.PullBudget{nodeBudget(30)}
	two := []*appsv1.DaemonSet{agentOf("logs", "acme/logs:1", "acme/init:1"), agentOf("net", "acme/net:1")}
	bare := *makeNode("old", lists("registry.k8s.io/pause:3.10"))
	type answer struct {
		Verdict string
		Needs   v1alpha1.Range
		Allowed int
		Binds   core.AccountID
		Waiting int
	}
	cases := map[string]struct {
		edit func(*ToQuoteNodes)
		want answer
	}{
		"three images each, enough": {func(in *ToQuoteNodes) { in.Count = 10 }, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 30, Max: 30}, Allowed: 10}},
		"one node too many":         {func(in *ToQuoteNodes) { in.Count = 11 }, answer{"hold", v1alpha1.Range{Min: 33, Max: 33}, 10, "docker.io/anonymous", 0}},
		"three times the budget":    {func(in *ToQuoteNodes) { in.Count = 30 }, answer{"hold", v1alpha1.Range{Min: 90, Max: 90}, 10, "docker.io/anonymous", 0}},
		"pods wait for them, two of one image": {func(in *ToQuoteNodes) { in.Count, in.Pods = 9, []corev1.Pod{roomless(1), roomless(2)} },
			answer{"allow", v1alpha1.Range{Min: 28, Max: 29}, 9, "", 2}},
		"pods that do not fit them": {func(in *ToQuoteNodes) {
			in.Count, in.Pods = 10, []corev1.Pod{roomless(1)}
			in.Pods[0].Spec.NodeSelector = map[string]string{"gpu": "yes"}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 30, Max: 30}, Allowed: 10}},
		"pods that Pace holds": {func(in *ToQuoteNodes) { in.Count, in.Pods = 10, []corev1.Pod{*makePod("1", 1)} },
			answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 30, Max: 30}, Allowed: 10}},
		"a DaemonSet of other nodes": {func(in *ToQuoteNodes) {
			in.Count = 15
			in.DaemonSets[1].Spec.Template.Spec.NodeSelector = map[string]string{"gpu": "yes"}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 30, Max: 30}, Allowed: 15}},
		"a taint that one tolerates": {func(in *ToQuoteNodes) {
			in.Count, in.Node.Taints = 10, []corev1.Taint{{Key: "team", Value: "a", Effect: corev1.TaintEffectNoSchedule}}
			in.DaemonSets[1].Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 10, Max: 10}, Allowed: 10}},
		"no node of the pool is there": {func(in *ToQuoteNodes) { in.Count, in.Present = 10, nil },
			answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 0, Max: 30}, Allowed: 10}},
		"a pool of another platform tells nothing": {func(in *ToQuoteNodes) {
			in.Count, in.Node.Labels = 10, map[string]string{corev1.LabelArchStable: "arm64"}
			in.Present[0].Labels[corev1.LabelArchStable] = "amd64"
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 0, Max: 30}, Allowed: 10}},
		"its list is cut": {func(in *ToQuoteNodes) {
			in.Count = 10
			fifty(&in.Present[0])
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 0, Max: 30}, Allowed: 10}},
		"a young node has two that nothing started": {func(in *ToQuoteNodes) {
			in.Count = 30
			young := makeNode("young", lists("acme/logs:1", "acme/init:1", "acme/net:1"))
			young.CreationTimestamp = metav1.NewTime(start.Add(-time.Minute))
			in.Present = []corev1.Node{*young}
			in.Pods = []corev1.Pod{*makePod("1", 1, running("young"), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "acme/net:1" })}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 0, Max: 30}, Allowed: 30}},
		"an old node has them, which tells nothing": {func(in *ToQuoteNodes) {
			in.Count = 10
			in.Present = []corev1.Node{*makeNode("old", lists("acme/logs:1", "acme/init:1", "acme/net:1"))}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 0, Max: 30}, Allowed: 10}},
		"nothing is paced": {func(in *ToQuoteNodes) { in.Count, in.Budgets, in.Rules = 99, nil, nil }, answer{Verdict: "allow", Allowed: 99}},
		"no limit is known": {func(in *ToQuoteNodes) {
			in.Count = 99
			in.Budgets[0].Status.Accounts = []v1alpha1.AccountStatus{{Account: "docker.io/anonymous", Unlimited: true}}
		}, answer{Verdict: "allow", Needs: v1alpha1.Range{Min: 297, Max: 594}, Allowed: 99}},
		"not read yet": {func(in *ToQuoteNodes) { in.Count, in.Budgets[0].Status.Accounts = 1, nil },
			answer{"hold", v1alpha1.Range{Min: 3, Max: 6}, 0, "docker.io/anonymous", 0}},
		"nobody takes turns": {func(in *ToQuoteNodes) { in.Count, in.Turning = 1, false }, answer{Verdict: "unknown", Needs: v1alpha1.Range{Min: 3, Max: 3}, Allowed: -1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := ToQuoteNodes{Budgets: []v1alpha1.PullBudget{*hub[0].DeepCopy()}, Now: start, Turning: true, Present: []corev1.Node{*bare.DeepCopy()}}
			in.Rules = mustRules(t, in.Budgets)
			for _, set := range two {
				in.DaemonSets = append(in.DaemonSets, set.DeepCopy())
			}
			tc.edit(&in)
			q := QuoteNodes(in)
			got := answer{Verdict: q.Verdict, Needs: q.Needs, Allowed: -1, Binds: q.Binds, Waiting: q.Waiting}
			if q.Allowed != nil {
				got.Allowed = *q.Allowed
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("quote (-want +got):\n%s\n%+v", diff, q.Images)
			}
			if len(q.Workloads) != len(q.Images) {
				t.Errorf("%d images, what wants %d is told", len(q.Images), len(q.Workloads))
			}
		})
	}
}

// Where each node has an account, new nodes do not share one.
func TestQuoteNodesOfAccountsOfTheirOwn(t *testing.T) {
	t.Parallel()
	budget := nodeBudget(0)
	budget.Spec.Egress = &v1alpha1.Egress{PerNode: true}
	budgets := []v1alpha1.PullBudget{budget}
	q := QuoteNodes(ToQuoteNodes{Count: 500, DaemonSets: []*appsv1.DaemonSet{agentOf("logs", "acme/logs:1")}, Rules: mustRules(t, budgets), Budgets: budgets, Now: start, Turning: true})
	if q.Verdict != v1alpha1.QuoteAllow || *q.Allowed != 500 || q.Images[0].Why != WhyOwnAccount {
		t.Errorf("%s, %d allowed: %+v", q.Verdict, *q.Allowed, q.Images)
	}
}

// Of a budget of some nodes, the labels of the new ones decide.
func TestQuoteNodesByEgress(t *testing.T) {
	t.Parallel()
	behind := nodeBudget(2)
	behind.Name, behind.Spec.Egress = "nat-b", &v1alpha1.Egress{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"nat": "b"}}}
	behind.Status.Accounts[0].Account = "docker.io/anonymous@nat-b"
	budgets := []v1alpha1.PullBudget{behind, nodeBudget(100)}
	for nat, want := range map[string]core.AccountID{"a": "", "b": "docker.io/anonymous@nat-b"} {
		q := QuoteNodes(ToQuoteNodes{Node: NodeTemplate{Labels: map[string]string{"nat": nat}}, Count: 3, DaemonSets: []*appsv1.DaemonSet{agentOf("logs", "acme/logs:1")},
			Rules: mustRules(t, budgets), Budgets: budgets, Now: start, Turning: true})
		if q.Binds != want {
			t.Errorf("behind %s it binds %q, want %q", nat, q.Binds, want)
		}
	}
}

// The rest comes when windows have brought it back; pods that wait do not go before.
func TestQuoteNodesSaysWhenTheRestComes(t *testing.T) {
	t.Parallel()
	budgets := []v1alpha1.PullBudget{nodeBudget(50, func(a *v1alpha1.AccountStatus) { a.Demand = 1000 })}
	q := QuoteNodes(ToQuoteNodes{Count: 151, DaemonSets: []*appsv1.DaemonSet{agentOf("logs", "acme/logs:1")}, Rules: mustRules(t, budgets), Budgets: budgets, Now: start, Turning: true})
	// 151 units less the 50 that are free are 101: two windows of 100.
	if want := start.Add(2 * time.Hour); !q.Finish.To.Time.Equal(want) {
		t.Errorf("the last by %s, want %s", q.Finish.To, want)
	}
}
