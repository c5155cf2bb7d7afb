package capture_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/scenario"
)

var update = flag.Bool("update", false, "rewrite the file")

func node(name, pool, zone string, taints ...corev1.Taint) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"karpenter.sh/nodepool": pool, corev1.LabelInstanceTypeStable: "m6i.large", corev1.LabelTopologyZone: zone, "net": pool,
		}},
		Spec: corev1.NodeSpec{Taints: taints},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("29")},
			NodeInfo:    corev1.NodeSystemInfo{ContainerRuntimeVersion: "containerd://2.1.4"},
			Images: []corev1.ContainerImage{
				{Names: []string{"docker.io/acme/shop@sha256:" + strings.Repeat("ab", 32), "docker.io/acme/shop:v7"}, SizeBytes: 91234567},
				{Names: []string{"ghcr.io/acme/agent:3"}, SizeBytes: 20 << 20},
			},
		},
	}
}

func pod(namespace, name, on string, owner metav1.OwnerReference, images ...string) corev1.Pod {
	owner.Controller = new(true)
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"pod-template-hash": "abc"}, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec:       corev1.PodSpec{NodeName: on},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: image})
	}
	return p
}

func replicaSet(name string) metav1.OwnerReference {
	return metav1.OwnerReference{Kind: "ReplicaSet", Name: name + "-abc"}
}

// cluster is one of everything.
func cluster() capture.Cluster {
	c := capture.Cluster{Now: time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC), Kubelets: map[string]capture.Kubelet{
		"node-1": {SerializeImagePulls: new(false), MaxParallelImagePulls: new(int32(4)), RegistryPullQPS: new(int32(0)), RegistryBurst: new(int32(10))},
	}}
	for i, zone := range []string{"eu-1a", "eu-1b", "eu-1a"} {
		c.Nodes = append(c.Nodes, node(fmt.Sprint("node-", i+1), "general", zone))
	}
	c.Nodes = append(c.Nodes, node("gpu-1", "gpu", "eu-1a"), node("master-1", "", "eu-1a", corev1.Taint{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}))
	for i, on := range []string{"node-1", "node-2", "node-3", "gpu-1", "master-1"} {
		c.Pods = append(c.Pods, pod("kube-system", fmt.Sprint("agent-", i), on, metav1.OwnerReference{Kind: "DaemonSet", Name: "agent"}, "ghcr.io/acme/agent:3"))
		c.Pods = append(c.Pods, pod("shop", fmt.Sprint("web-", i), on, replicaSet("web"), "acme/shop:v7", "ghcr.io/acme/proxy:1"))
	}
	db := pod("shop", "web-0", "node-2", metav1.OwnerReference{Kind: "StatefulSet", Name: "web"}, "quay.io/acme/db:15")
	db.Spec.PriorityClassName = "high"
	gpu := pod("ml", "train-1", "gpu-1", metav1.OwnerReference{Kind: "Job", Name: "train"}, "registry.corp:5000/ml/train:latest")
	gpu.Spec.NodeSelector = map[string]string{"karpenter.sh/nodepool": "gpu"}
	gpu.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
	waits := pod("shop", "web-9", "", replicaSet("web"), "acme/shop:v7")
	done := pod("ml", "train-0", "gpu-1", metav1.OwnerReference{Kind: "Job", Name: "train"}, "old:1")
	done.Status.Phase = corev1.PodSucceeded
	static := pod("kube-system", "etcd", "node-1", metav1.OwnerReference{Kind: "Node", Name: "node-1"}, "registry.k8s.io/etcd:3")
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	c.Pods = append(c.Pods, db, gpu, waits, done, static)
	c.Deployments = []appsv1.Deployment{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: appsv1.DeploymentSpec{Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: new(intstr.FromString("50%")), MaxUnavailable: new(intstr.FromInt32(0)),
		}}},
	}}
	c.Budgets = []v1alpha1.PullBudget{
		{ObjectMeta: metav1.ObjectMeta{Name: "hub"}, Spec: v1alpha1.PullBudgetSpec{Registry: "index.docker.io", Mirrors: []string{"mirror.corp"}},
			Status: v1alpha1.PullBudgetStatus{Accounts: []v1alpha1.AccountStatus{{Account: "docker.io/anonymous", Limit: 100, Remaining: 58, Window: metav1.Duration{Duration: time.Hour}}}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "hub-team"}, Spec: v1alpha1.PullBudgetSpec{Registry: "docker.io", Match: &v1alpha1.BudgetMatch{ServiceAccounts: []string{"secretive"}}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "corp"}, Spec: v1alpha1.PullBudgetSpec{Registry: "registry.corp:5000", Identity: v1alpha1.Credentials,
			Credentials: &v1alpha1.BudgetCredentials{SecretName: "corp-login"}, Limit: &v1alpha1.Limit{Source: v1alpha1.Fixed, Rate: new(resource.MustParse("0.5")), Burst: 10}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "quay"}, Spec: v1alpha1.PullBudgetSpec{Registry: "quay.io",
			Egress: &v1alpha1.Egress{Name: "nat-gpu", NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"net": "gpu"}}}}},
	}
	c.Policies = []v1alpha1.PacePolicy{{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.PacePolicySpec{
		Mode: v1alpha1.Shadow, DeleteFirst: v1alpha1.PauseRollout, MaxHold: &metav1.Duration{Duration: time.Hour},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}},
		Classes:           []v1alpha1.ClassMapping{{PriorityClass: "high", Class: "serving"}},
		Weights:           []v1alpha1.NamespaceWeight{{Namespace: "shop", Weight: 3}},
	}}}
	return c
}

// TestScenario holds the whole file, which is also what to look at.
func TestScenario(t *testing.T) {
	t.Parallel()
	got := capture.Scenario(cluster(), "monday", capture.Plain())
	if *update {
		if err := os.WriteFile("testdata/monday.yaml", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/monday.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func decoded(t *testing.T, text []byte) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

// TestScenarioRuns: what was written is read strictly, and can be run.
func TestScenarioRuns(t *testing.T) {
	t.Parallel()
	for name, names := range map[string]capture.Names{"plain": capture.Plain(), "anonymous": capture.Anonymous([]byte("salt"))} {
		s := decoded(t, capture.Scenario(cluster(), "monday", names))
		result, err := simulate.Run(t.Context(), s, simulate.Options{Workers: 1})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(result.Policies) != 2 || len(result.Goals) != 1 {
			t.Errorf("%s: %d policies and %d goals, want 2 and 1", name, len(result.Policies), len(result.Goals))
		}
	}
}

// TestAnonymousNamesNothing looks for every word that the cluster uses.
func TestAnonymousNamesNothing(t *testing.T) {
	t.Parallel()
	text := string(capture.Scenario(cluster(), "monday", capture.Anonymous([]byte("salt"))))
	for _, word := range []string{
		"shop", "web", "acme", "proxy", "train", "agent", "docker", "ghcr", "quay", "corp", "general", "gpu", "m6i", "eu-1", "nat-", "node-1",
		"corp-login", "secretive", "team", "high", "kube-system", "ml/", "etcd", "mirror.",
	} {
		if strings.Contains(text, word) {
			t.Errorf("the file says %q:\n%s", word, text)
		}
	}
	if other := string(capture.Scenario(cluster(), "monday", capture.Anonymous([]byte("pepper")))); other == text {
		t.Error("another salt names things alike")
	}
}

// TestAnonymousKeepsStructureAndSizes compares what is left without names.
func TestAnonymousKeepsStructureAndSizes(t *testing.T) {
	t.Parallel()
	plain, hidden := decoded(t, capture.Scenario(cluster(), "monday", capture.Plain())), decoded(t, capture.Scenario(cluster(), "monday", capture.Anonymous([]byte("salt"))))
	if diff := cmp.Diff(shape(plain), shape(hidden)); diff != "" {
		t.Errorf("(-plain +anonymous)\n%s", diff)
	}
}

// shape is what a scenario says without its names, sorted.
func shape(s *scenario.Scenario) []string {
	uses := map[string]int{}
	var out []string
	for _, p := range s.Spec.NodePools {
		out = append(out, fmt.Sprintf("pool %d nodes, room %d, %d zones, %+v %+v %d daemons", p.Nodes, p.PodsPerNode, len(p.Zones), p.Kubelet, p.Runtime.Type, len(p.DaemonSets)))
		for _, d := range p.DaemonSets {
			uses[d]++
		}
	}
	for _, w := range s.Spec.Workloads {
		out = append(out, fmt.Sprintf("%s %d %s %d images %v %+v %d pools", w.Kind, w.Replicas, w.Class, len(w.Images), w.ImagePullPolicy, w.Strategy, len(w.NodePools)))
		for _, i := range append(w.Images, w.Image) {
			uses[i]++
		}
	}
	limits := map[string]int{}
	for _, r := range s.Spec.Registries {
		limits[r.Name] = len(r.Limiters)
		for _, l := range r.Limiters {
			out = append(out, fmt.Sprintf("limiter %+v", l))
		}
	}
	for _, i := range s.Spec.Images {
		out = append(out, fmt.Sprintf("image of %d bytes, used %d times, registry with %d limiters", i.Layers[0].Size, uses[i.Name], limits[i.Registry]))
	}
	out = append(out, fmt.Sprint(len(s.Spec.Egress), " ways out"))
	slices.Sort(out)
	return out
}

// An empty cluster, and one where nothing has a label, still make a text that says
// what is missing.
func TestPoorClusters(t *testing.T) {
	t.Parallel()
	if _, err := scenario.Decode(capture.Scenario(capture.Cluster{}, "empty", capture.Plain())); err == nil || !strings.Contains(err.Error(), "there is nothing to simulate") {
		t.Errorf("an empty cluster: %v, want that there is nothing to simulate", err)
	}
	bare := capture.Cluster{
		Nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}},
		Pods:  []corev1.Pod{pod("x", "p", "a", metav1.OwnerReference{Kind: "ReplicaSet", Name: "r"}, "busybox")},
	}
	s := decoded(t, capture.Scenario(bare, "bare", capture.Plain()))
	if got := s.Spec.NodePools[0]; got.Name != "nodes" || got.PodsPerNode != 1 {
		t.Errorf("pool is %+v, want one of nodes with the room of what runs", got)
	}
}
