package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

func makeClaim(name string, edit ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{},
		"status": map[string]any{"allocatable": map[string]any{"cpu": "4", "memory": "16Gi", "pods": "10"}}}}
	u.SetGroupVersionKind(NodeClaimKind())
	u.SetName(name)
	u.SetUID(types.UID(name))
	u.SetLabels(map[string]string{LabelNodePool: "general", corev1.LabelTopologyZone: "b"})
	u.SetCreationTimestamp(metav1.NewTime(start))
	for _, e := range edit {
		e(u)
	}
	return u
}

func withField(value any, path ...string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, value, path...) }
}

// joining is a node that registers as the test begins.
func joining(n *corev1.Node) {
	n.UID, n.CreationTimestamp = types.UID(n.Name), metav1.NewTime(start)
	n.Labels[LabelNodePool] = "general"
	n.Spec.ProviderID = "fake://" + n.Name
	n.Spec.Taints = []corev1.Taint{noSchedule(corev1.TaintNodeNotReady)}
}

// sums says in a word each what events tell.
func sums(events []engine.Event) []string {
	var out []string
	for _, ev := range events {
		switch {
		case ev.Node != nil && ev.Node.Coming:
			out = append(out, "coming "+string(ev.Node.ID))
		case ev.Node != nil:
			out = append(out, "node "+string(ev.Node.ID))
		case ev.NodeGone != "":
			out = append(out, "gone "+string(ev.NodeGone))
		case ev.Pod != nil:
			out = append(out, string(ev.Pod.Phase)+" "+string(ev.Pod.ID))
		case ev.PodGone != "":
			out = append(out, "left "+string(ev.PodGone))
		}
	}
	slices.Sort(out)
	return out
}

// TestAClaimIsDemandUntilItsNodeIsThere follows a NodeClaim to its node: what is set
// aside for the one is handed on to the other in one go, so that nothing is set aside
// twice and at no time nothing is.
func TestAClaimIsDemandUntilItsNodeIsThere(t *testing.T) {
	t.Parallel()
	named := withField("n7", "status", "nodeName")
	provided := withField("fake://n7", "status", "providerID")
	cases := map[string]struct {
		steps func(*Tracker) []engine.Event
		want  []string
	}{
		"asked for": {func(tr *Tracker) []engine.Event { return tr.NodeClaim(start, makeClaim("c")) },
			[]string{"Bound /claim/c", "coming claim/c"}},
		"seen again": {func(tr *Tracker) []engine.Event {
			tr.NodeClaim(start, makeClaim("c"))
			return tr.NodeClaim(start, makeClaim("c", provided))
		}, nil},
		"its node registers, known by its machine": {func(tr *Tracker) []engine.Event {
			tr.NodeClaim(start, makeClaim("c", provided))
			return tr.Node(start, makeNode("n7", joining))
		}, []string{"Bound /n7/n7", "gone claim/c", "left /claim/c", "node n7"}},
		"its node is there before the claim knows": {func(tr *Tracker) []engine.Event {
			tr.NodeClaim(start, makeClaim("c"))
			tr.Node(start, makeNode("n7", joining))
			return tr.NodeClaim(start, makeClaim("c", named))
		}, []string{"gone claim/c", "left /claim/c"}},
		"it was never seen without its node": {func(tr *Tracker) []engine.Event {
			tr.Node(start, makeNode("n7", joining))
			return tr.NodeClaim(start, makeClaim("c", named, provided))
		}, nil},
		"it comes to nothing": {func(tr *Tracker) []engine.Event {
			tr.NodeClaim(start, makeClaim("c"))
			return tr.NodeClaimGone("c")
		}, []string{"gone claim/c", "left /claim/c"}},
		"it is being taken back": {func(tr *Tracker) []engine.Event {
			tr.NodeClaim(start, makeClaim("c"))
			return tr.NodeClaim(start, makeClaim("c", func(u *unstructured.Unstructured) { u.SetDeletionTimestamp(&metav1.Time{Time: start}) }))
		}, []string{"gone claim/c", "left /claim/c"}},
		"its node will be held": {func(tr *Tracker) []engine.Event {
			tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default", func(p *v1alpha1.PacePolicy) { p.Spec.Nodes = &v1alpha1.Nodes{Hold: true} })))
			tr.NodesHoldable(start, true)
			return tr.NodeClaim(start, makeClaim("c", withField([]any{map[string]any{"key": v1alpha1.Taint, "effect": "NoSchedule"}}, "spec", "startupTaints")))
		}, []string{"Bound /claim/c", "coming claim/c"}},
		"nothing of it is paced": {func(tr *Tracker) []engine.Event {
			tr.DaemonSetGone(start, "kube-system", "agent")
			return tr.NodeClaim(start, makeClaim("c"))
		}, []string{"coming claim/c"}},
		"a DaemonSet comes up meanwhile": {func(tr *Tracker) []engine.Event {
			tr.DaemonSetGone(start, "kube-system", "agent")
			tr.NodeClaim(start, makeClaim("c"))
			return tr.DaemonSet(start, makeDaemonSet("agent"))
		}, []string{"Bound /claim/c"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.DaemonSet(start, makeDaemonSet("agent"))
			if diff := cmp.Diff(tc.want, sums(tc.steps(tr))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if len(tr.claims) == 0 {
				for id, g := range tr.bundles {
					if len(g.coming) > 0 || len(g.nodes) == 0 {
						t.Errorf("group %s is left with claims %v and nodes %v", id, g.coming, g.nodes)
					}
				}
			}
		})
	}
}

// TestANodesPullsAreThoseOfItsDaemonSets compares what is set aside for a node with what
// is set aside for the pods that come to it: the same images of the same accounts.
func TestANodesPullsAreThoseOfItsDaemonSets(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Rules(mustRules(t, []v1alpha1.PullBudget{
		makeBudget("login", "docker.io", func(b *v1alpha1.PullBudget) {
			b.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: []string{"robot"}}
		}), makeBudget("hub", "docker.io")}))
	tr.DaemonSet(start, makeDaemonSet("agent"))
	of := func(name, node string) *corev1.Pod {
		return makePod("v1", 1, func(p *corev1.Pod) {
			p.Namespace, p.Name, p.UID = "kube-system", name, types.UID(name)
			p.Labels, p.OwnerReferences = nil, []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", Controller: new(true)}}
			p.Spec.Containers[0].Image = "acme/agent:1"
			p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "robot"}} // admission adds those of the ServiceAccount
			bound(node)(p)
		})
	}
	tr.Pod(start, of("agent-1", "n1"))
	groups := groupsOf(tr.Node(start, makeNode("n7", joining)))
	if len(groups) != 1 {
		t.Fatalf("groups %v, want that of the node", groups)
	}
	pods := groupsOf(tr.World().Events)
	i := slices.IndexFunc(pods, func(g engine.Group) bool { return g.Workload == "DaemonSet/kube-system/agent" })
	if diff := cmp.Diff(pods[i].Images, groups[0].Images); diff != "" {
		t.Errorf("images of the node (-of the pods +got):\n%s", diff)
	}
	if g := groups[0]; !g.Pinned || g.Class != core.ClassNodeCritical || g.Workload != "Node//general" {
		t.Errorf("group %+v, want pinned, node-critical, of the pool", g)
	}
	// A pod of it starts: the node needs no more.
	started := of("agent-7", "n7")
	started.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ImageID: "sha256:1"}}
	if got := sums(tr.Pod(start, started)); !slices.Contains(got, "Pulled /n7/n7") {
		t.Errorf("events %v, want that the node needs no more pulls", got)
	}
}

// TestAnArrivalEnds takes a node away, or lets time pass.
func TestAnArrivalEnds(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*Tracker) []engine.Event{
		"the node is gone": func(tr *Tracker) []engine.Event { return tr.NodeGone("n7") },
		"it is being ended": func(tr *Tracker) []engine.Event {
			return tr.Node(start, makeNode("n7", joining, func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: start} }))
		},
		"it never got ready": func(tr *Tracker) []engine.Event { return tr.Advance(start.Add(settleFor)) },
		"another of its name": func(tr *Tracker) []engine.Event {
			return tr.Node(start, makeNode("n7", joining, func(n *corev1.Node) { n.UID = "other" }))
		},
	}
	for name, step := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.DaemonSet(start, makeDaemonSet("agent"))
			tr.Node(start, makeNode("n7", joining))
			if got := sums(step(tr)); !slices.Contains(got, "left /n7/n7") {
				t.Errorf("events %v, want that it left", got)
			}
			if n := tr.nodes["n7"]; n != nil && n.arrival == nil && len(tr.bundles)+len(tr.arrivals) > 0 {
				t.Errorf("left behind: bundles %v, arrivals %v", tr.bundles, tr.arrivals)
			}
		})
	}
}

// TestANodeWaitsForNoImageThatNeverComes has the pull of the agent fail on a node that
// was let go: its pod tells whether that can be charged, and the node keeps nobody back.
func TestANodeWaitsForNoImageThatNeverComes(t *testing.T) {
	t.Parallel()
	of := func(edit ...func(*corev1.Pod)) *corev1.Pod {
		return makePod("v1", 1, append([]func(*corev1.Pod){func(p *corev1.Pod) {
			p.Namespace, p.Name, p.UID = "kube-system", "agent-7", "agent-7"
			p.Labels, p.OwnerReferences = nil, []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", Controller: new(true)}}
			p.Spec.Containers[0].Image = "acme/agent:1"
			bound("n7")(p)
		}}, edit...)...)
	}
	cases := map[string]struct {
		steps func(*Tracker) []engine.Event
		left  bool
	}{
		"it is pulled": {func(tr *Tracker) []engine.Event { return tr.Pod(start, of()) }, false},
		"its pull fails": {func(tr *Tracker) []engine.Event {
			return tr.Pod(start, of(waiting("ErrImagePull", "acme/agent:1: not found")))
		}, true},
		"its pull fails, and another pod is still to come": {func(tr *Tracker) []engine.Event {
			tr.DaemonSet(start, makeDaemonSet("logs"))
			return tr.Pod(start, of(waiting("ErrImagePull", "acme/agent:1: not found")))
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.DaemonSet(start, makeDaemonSet("agent"))
			tr.Node(start, makeNode("n7", joining))
			if got := slices.Contains(sums(tc.steps(tr)), "left /n7/n7"); got != tc.left {
				t.Errorf("the node left: %v, want %v", got, tc.left)
			}
			tr.Node(start.Add(time.Second), makeNode("n7", joining))
			if got := tr.nodes["n7"].arrival == nil; got != tc.left {
				t.Errorf("the node is gone after another sight of it: %v, want %v", got, tc.left)
			}
		})
	}
}

func allocatable(cpu, memory, pods string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse(pods)}
	}
}

func asking(cpu, memory string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
}

// TestRoom counts how many pods of 1 CPU and 1 GiB fit.
func TestRoom(t *testing.T) {
	t.Parallel()
	other := func(i int, node string, size func(*corev1.Pod)) *corev1.Pod {
		return makePod("v0", i, size, running(node))
	}
	cases := map[string]struct {
		steps func(*Tracker)
		want  *engine.Room
	}{
		"no autoscaler": {func(tr *Tracker) { tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10"))) }, nil},
		"by CPU": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("3500m", "8Gi", "10")))
		}, &engine.Room{Pods: 3, Nodes: 1}},
		"by memory": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("8", "2Gi", "10")))
		}, &engine.Room{Pods: 2, Nodes: 1}},
		"by pods": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("8", "8Gi", "1")))
		}, &engine.Room{Pods: 1, Nodes: 1}},
		"less what others take": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10")))
			tr.Pod(start, other(1, "n1", asking("2500m", "1Gi")))
		}, &engine.Room{Pods: 1, Nodes: 1}},
		"again when they are gone": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10")))
			tr.Pod(start, other(1, "n1", asking("2500m", "1Gi")))
			tr.Advance(start)
			tr.PodGone(PodID(other(1, "n1", asking("2500m", "1Gi"))))
		}, &engine.Room{Pods: 4, Nodes: 1}},
		"on two nodes": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10")))
			tr.Node(start, makeNode("n2", allocatable("2", "8Gi", "10")))
		}, &engine.Room{Pods: 6, Nodes: 2}},
		"none that it may not use": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10"), func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{noSchedule("dedicated")} }))
		}, &engine.Room{}},
		"none that is not ready any more": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n1", allocatable("4", "8Gi", "10"), func(n *corev1.Node) { n.Status.Conditions = nil }))
		}, &engine.Room{}},
		"one that is coming": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("general", nil))
			tr.DaemonSetGone(start, "kube-system", "agent")
			tr.NodeClaim(start, makeClaim("c"))
		}, &engine.Room{Pods: 4, Nodes: 1}},
		"one that is coming, less what its DaemonSets take": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("general", nil))
			tr.NodeClaim(start, makeClaim("c"))
		}, &engine.Room{Pods: 3, Nodes: 1}},
		"one that starts": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("general", nil))
			tr.Node(start, makeNode("n7", allocatable("2", "8Gi", "10"), joining))
		}, &engine.Room{Pods: 1, Nodes: 1}},
		"one that starts, on which a DaemonSet's pod is already": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("general", nil))
			tr.Node(start, makeNode("n7", allocatable("2", "8Gi", "10"), joining))
			tr.Pod(start, makePod("v0", 7, asking("1", "0"), running("n7"), func(p *corev1.Pod) {
				p.Namespace, p.OwnerReferences = "kube-system", []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", Controller: new(true)}}
			}))
		}, &engine.Room{Pods: 1, Nodes: 1}},
		"one that starts, of which a DaemonSet takes all": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("general", nil))
			tr.Node(start, makeNode("n7", allocatable("1", "8Gi", "10"), joining))
		}, &engine.Room{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.DaemonSet(start, makeDaemonSet("agent", func(d *appsv1.DaemonSet) {
				d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
			}))
			tr.Pod(start, makePod("v1", 1, asking("1", "1Gi")))
			tc.steps(tr)
			tr.Advance(start.Add(time.Second))
			groups := groupsOf(tr.World().Events)
			i := slices.IndexFunc(groups, func(g engine.Group) bool { return g.Revision == "v1" })
			if diff := cmp.Diff(tc.want, groups[i].Room); diff != "" {
				t.Errorf("room (-want +got):\n%s", diff)
			}
			if want := (engine.Size{MilliCPU: 1000, Memory: 1 << 30}); groups[i].Size != want {
				t.Errorf("size %+v, want %+v", groups[i].Size, want)
			}
		})
	}
}

// Pods for which there is no node yet wait for their units: that of an autoscaler whose
// objects are seen later brings one.
func TestPodsWithoutANodeWaitForTheirUnits(t *testing.T) {
	t.Parallel()
	tr, e := makeTracker(t), engine.New(engine.Config{})
	tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Limit = &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: 3, Window: &metav1.Duration{Duration: time.Hour}}
	})}, makePolicy("default")))
	for i := range 5 {
		tr.Pod(start, makePod("v1", i, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"kind": "x"} }))
	}
	tr.Advance(start)
	e.Replace(start, tr.World())
	if d := e.Decide(start); len(d.Releases) != 1 || d.Releases[0].Reason != core.Budget || d.Releases[0].Count >= 5 {
		t.Errorf("released %+v, want some of 5 pods, as 3 pulls an hour allow", d.Releases)
	}
}

// TestGrowth says what an autoscaler adds for pods that need a label.
func TestGrowth(t *testing.T) {
	t.Parallel()
	labelled := func(value string) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{"kind": value}}}
	}
	bundle := []engine.ImageUse{{Image: "docker.io/acme/agent:1", Accounts: []core.AccountID{"docker.io/anonymous"}}}
	cases := map[string]struct {
		steps func(*Tracker)
		want  *engine.Growth
	}{
		"no node, and who adds one is not known": {func(*Tracker) {}, &engine.Growth{}},
		"a node, and nobody adds another":        {func(tr *Tracker) { tr.Node(start, makeNode("n7", func(n *corev1.Node) { n.Labels["kind"] = "x" })) }, nil},
		"a node that is gone": {func(tr *Tracker) {
			tr.Node(start, makeNode("n7", func(n *corev1.Node) { n.Labels["kind"] = "x" }))
			tr.NodeGone("n7")
		}, &engine.Growth{}},
		"a NodePool that fits":     {func(tr *Tracker) { tr.NodePool(start, makeNodePool("a", labelled("x"))) }, &engine.Growth{Bundle: bundle}},
		"a NodePool of other kind": {func(tr *Tracker) { tr.NodePool(start, makeNodePool("a", labelled("y"))) }, &engine.Growth{}},
		"one that is gone": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("a", labelled("x")))
			tr.NodePoolGone(start, "a")
		}, &engine.Growth{}},
		"cluster-autoscaler, by a node that is there": {func(tr *Tracker) {
			tr.ClusterAutoscaler(start, true)
			tr.Node(start, makeNode("n7", func(n *corev1.Node) { n.Labels["kind"] = "x" }))
		}, &engine.Growth{Bundle: bundle}},
		"without DaemonSets": {func(tr *Tracker) {
			tr.NodePool(start, makeNodePool("a", labelled("x")))
			tr.DaemonSetGone(start, "kube-system", "agent")
		}, &engine.Growth{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.DaemonSet(start, makeDaemonSet("agent", func(*appsv1.DaemonSet) {}))
			tr.Pod(start, makePod("v1", 1, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"kind": "x"} }))
			tc.steps(tr)
			var got *engine.Growth
			for _, p := range tr.pools {
				got = p.growth
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("growth (-want +got):\n%s", diff)
			}
		})
	}
}
