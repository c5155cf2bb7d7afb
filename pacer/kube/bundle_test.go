package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// makeDaemonSet is DaemonSet kube-system/NAME that runs acme/NAME:1 everywhere.
func makeDaemonSet(name string, edit ...func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "agent", Image: "acme/" + name + ":1"}}
	for _, e := range edit {
		e(d)
	}
	return d
}

func spec(edit func(*corev1.PodSpec)) func(*appsv1.DaemonSet) {
	return func(d *appsv1.DaemonSet) { edit(&d.Spec.Template.Spec) }
}

func tolerating(tolerations ...corev1.Toleration) func(*appsv1.DaemonSet) {
	return spec(func(s *corev1.PodSpec) { s.Tolerations = tolerations })
}

// everything tolerates any taint of any effect.
var everything = corev1.Toleration{Operator: corev1.TolerationOpExists}

func noSchedule(key string) corev1.Taint {
	return corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule}
}

// TestRunsOn follows the DaemonSet controller, which asks of a pod made for the node
// whether selector, affinity and taints admit it.
func TestRunsOn(t *testing.T) {
	t.Parallel()
	labelled := func(labels map[string]string) NodeTemplate { return NodeTemplate{Name: "n1", Labels: labels} }
	tainted := func(taints ...corev1.Taint) NodeTemplate { return NodeTemplate{Name: "n1", Taints: taints} }
	affinity := func(terms ...corev1.NodeSelectorTerm) func(*appsv1.DaemonSet) {
		return spec(func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
		})
	}
	expressed := func(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	cases := map[string]struct {
		set  func(*appsv1.DaemonSet)
		node NodeTemplate
		want bool
	}{
		"anywhere":                         {nil, tainted(), true},
		"selected":                         {spec(func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"gpu": "yes"} }), labelled(map[string]string{"gpu": "yes"}), true},
		"not selected":                     {spec(func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"gpu": "yes"} }), labelled(nil), false},
		"of another platform":              {spec(func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{corev1.LabelArchStable: "arm64"} }), labelled(map[string]string{corev1.LabelArchStable: "amd64"}), false},
		"one of its terms":                 {affinity(expressed("a", corev1.NodeSelectorOpExists), expressed("b", corev1.NodeSelectorOpIn, "1")), labelled(map[string]string{"b": "1"}), true},
		"kept off by affinity":             {affinity(expressed("virtual", corev1.NodeSelectorOpDoesNotExist)), labelled(map[string]string{"virtual": ""}), false},
		"made for another node":            {spec(func(s *corev1.PodSpec) { s.NodeName = "n2" }), tainted(), false},
		"kept off by a taint":              {nil, tainted(noSchedule("dedicated")), false},
		"a wish of the node":               {nil, tainted(corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffectPreferNoSchedule}), true},
		"tolerates the taint":              {tolerating(corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists}), tainted(noSchedule("dedicated")), true},
		"tolerates another effect":         {tolerating(corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}), tainted(noSchedule("dedicated")), false},
		"tolerates everything":             {tolerating(everything), tainted(noSchedule("dedicated"), corev1.Taint{Key: "x", Effect: corev1.TaintEffectNoExecute}), true},
		"cordoned":                         {nil, tainted(noSchedule(corev1.TaintNodeUnschedulable)), true},
		"under pressure":                   {nil, tainted(noSchedule(corev1.TaintNodeDiskPressure), noSchedule(corev1.TaintNodeMemoryPressure), noSchedule(corev1.TaintNodePIDPressure)), true},
		"not ready yet":                    {nil, tainted(noSchedule(corev1.TaintNodeNotReady)), true},
		"without a network yet":            {nil, tainted(noSchedule(corev1.TaintNodeNetworkUnavailable)), true},
		"held":                             {nil, tainted(noSchedule(v1alpha1.Taint)), true},
		"not registered with Karpenter":    {nil, tainted(corev1.Taint{Key: taintUnregistered, Effect: corev1.TaintEffectNoExecute}), true},
		"waiting for a readiness rule":     {nil, tainted(noSchedule("readiness.k8s.io/network")), true},
		"starting for cluster-autoscaler":  {nil, tainted(noSchedule("startup-taint.cluster-autoscaler.kubernetes.io/x")), true},
		"a status for cluster-autoscaler":  {nil, tainted(noSchedule("status-taint.cluster-autoscaler.kubernetes.io/x")), false},
		"a taint that goes when it is up":  {nil, NodeTemplate{StartupTaints: []corev1.Taint{noSchedule("agent")}, Taints: []corev1.Taint{noSchedule("agent")}}, true},
		"a taint that stays beside one":    {nil, NodeTemplate{StartupTaints: []corev1.Taint{noSchedule("agent")}, Taints: []corev1.Taint{noSchedule("dedicated")}}, false},
		"being deleted":                    {func(d *appsv1.DaemonSet) { d.DeletionTimestamp = &metav1.Time{Time: start} }, tainted(), false},
		"an affinity that names no node":   {affinity(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n2"}}}}), tainted(), false},
		"an affinity that names this node": {affinity(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}}}), tainted(), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := makeDaemonSet("agent")
			if tc.set != nil {
				tc.set(set)
			}
			if got := len(BundleOf(ToBundle{Node: tc.node, DaemonSets: []*appsv1.DaemonSet{set}}).DaemonSets) == 1; got != tc.want {
				t.Errorf("runs there %v, want %v", got, tc.want)
			}
		})
	}
}

func TestBundleImages(t *testing.T) {
	t.Parallel()
	owner := func(name string) Owner { return Owner{Kind: "DaemonSet", Namespace: "kube-system", Name: name} }
	const hub = core.AccountID("docker.io/anonymous")
	paced := func(image core.Image, of ...Owner) BundleImage {
		return BundleImage{Pull: Pull{Image: image, Host: "docker.io"}, Accounts: []core.AccountID{hub}, Account: hub, Budget: "hub", For: of}
	}
	present := func(i BundleImage) BundleImage { i.Present = true; return i }
	always := func(i BundleImage) BundleImage { i.Always = true; return i }
	withInit := spec(func(s *corev1.PodSpec) { s.InitContainers = []corev1.Container{{Name: "setup", Image: "acme/setup:1"}} })
	asks := spec(func(s *corev1.PodSpec) { s.Containers[0].ImagePullPolicy = corev1.PullAlways })
	cases := map[string]struct {
		sets    []*appsv1.DaemonSet
		node    NodeTemplate
		sandbox string
		want    []BundleImage
	}{
		"nothing runs": {},
		"by name, init containers first": {sets: []*appsv1.DaemonSet{makeDaemonSet("logs"), makeDaemonSet("cni", withInit)},
			want: []BundleImage{paced("docker.io/acme/setup:1", owner("cni")), paced("docker.io/acme/cni:1", owner("cni")), paced("docker.io/acme/logs:1", owner("logs"))}},
		"one image of two": {sets: []*appsv1.DaemonSet{makeDaemonSet("a", withInit), makeDaemonSet("b", withInit)},
			want: []BundleImage{paced("docker.io/acme/setup:1", owner("a"), owner("b")), paced("docker.io/acme/a:1", owner("a")), paced("docker.io/acme/b:1", owner("b"))}},
		"baked into the node": {sets: []*appsv1.DaemonSet{makeDaemonSet("cni")}, node: NodeTemplate{Images: []core.Image{"docker.io/acme/cni:1"}},
			want: []BundleImage{present(paced("docker.io/acme/cni:1", owner("cni")))}},
		"there, asked for always": {sets: []*appsv1.DaemonSet{makeDaemonSet("cni", asks)}, node: NodeTemplate{Images: []core.Image{"docker.io/acme/cni:1"}},
			want: []BundleImage{always(present(paced("docker.io/acme/cni:1", owner("cni"))))}},
		"there, asked for always by CRI-O": {sets: []*appsv1.DaemonSet{makeDaemonSet("cni", asks)}, node: NodeTemplate{Images: []core.Image{"docker.io/acme/cni:1"}, AlwaysCosts: true},
			want: []BundleImage{always(paced("docker.io/acme/cni:1", owner("cni")))}},
		"of a registry that nothing paces": {sets: []*appsv1.DaemonSet{makeDaemonSet("cni", spec(func(s *corev1.PodSpec) { s.Containers[0].Image = "ghcr.io/a/b:1" }))},
			want: []BundleImage{{Pull: Pull{Image: "ghcr.io/a/b:1", Host: "ghcr.io"}, For: []Owner{owner("cni")}}}},
		"the sandbox where it is known": {sandbox: "docker.io/library/pause:3.10", want: []BundleImage{paced("docker.io/library/pause:3.10")}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")})
			got := BundleOf(ToBundle{Node: tc.node, DaemonSets: tc.sets, Rules: rules, Sandbox: tc.sandbox})
			if diff := cmp.Diff(tc.want, got.Images); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBundleDrawsOnTheNodesAccount gives nodes of two networks a budget each.
func TestBundleDrawsOnTheNodesAccount(t *testing.T) {
	t.Parallel()
	of := func(zone string) func(*v1alpha1.PullBudget) {
		return func(b *v1alpha1.PullBudget) {
			b.Spec.Egress = &v1alpha1.Egress{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"zone": zone}}}
		}
	}
	rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("a", "docker.io", of("a")), makeBudget("b", "docker.io", of("b"))})
	bundle := BundleOf(ToBundle{Node: NodeTemplate{Labels: map[string]string{"zone": "b"}}, DaemonSets: []*appsv1.DaemonSet{makeDaemonSet("cni")}, Rules: rules})
	if got := bundle.Images[0]; got.Account != "docker.io/anonymous@b" || got.Budget != "b" {
		t.Errorf("draws on %q of %q, want docker.io/anonymous@b of b", got.Account, got.Budget)
	}
	if len(bundle.Cold()) != 1 {
		t.Errorf("cold %v, want one image", bundle.Cold())
	}
}

func TestBundleLeaks(t *testing.T) {
	t.Parallel()
	exists := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	cases := map[string]struct {
		toleration corev1.Toleration
		want       bool
	}{
		"everything":               {everything, true},
		"everything NoSchedule":    {exists("", corev1.TaintEffectNoSchedule), true},
		"everything NoExecute":     {exists("", corev1.TaintEffectNoExecute), false},
		"our taint":                {exists(v1alpha1.Taint, ""), true},
		"our taint by its value":   {corev1.Toleration{Key: v1alpha1.Taint, Operator: corev1.TolerationOpEqual}, true},
		"our taint, another value": {corev1.Toleration{Key: v1alpha1.Taint, Value: "x"}, false},
		"a node that is not ready": {exists(corev1.TaintNodeNotReady, ""), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sets := []*appsv1.DaemonSet{makeDaemonSet("proxy", tolerating(tc.toleration)), makeDaemonSet("logs")}
			var want []Owner
			if tc.want {
				want = []Owner{{Kind: "DaemonSet", Namespace: "kube-system", Name: "proxy"}}
			}
			if diff := cmp.Diff(want, BundleOf(ToBundle{DaemonSets: sets}).Leaks); diff != "" {
				t.Errorf("leaks (-want +got):\n%s", diff)
			}
		})
	}
}

func makeNodePool(name string, template map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": template}}}
	u.SetGroupVersionKind(NodePoolKind())
	u.SetName(name)
	return u
}

func TestNodePoolTemplate(t *testing.T) {
	t.Parallel()
	taint := func(key string) any { return map[string]any{"key": key, "effect": "NoSchedule"} }
	requirement := func(key, operator string, values ...any) any {
		return map[string]any{"key": key, "operator": operator, "values": values}
	}
	cases := map[string]struct {
		template map[string]any
		want     NodeTemplate
		declares bool
		wantErr  bool
	}{
		"nothing said": {nil, NodeTemplate{Labels: map[string]string{LabelNodePool: "general", corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}}, false, false},
		"labels, requirements and taints": {map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"team": "a"}},
			"spec": map[string]any{
				"requirements": []any{requirement(corev1.LabelArchStable, "In", "arm64"), requirement("zone", "In", "a", "b"), requirement("gpu", "Exists")},
				"taints":       []any{taint("dedicated")}, "startupTaints": []any{taint("agent"), taint(v1alpha1.Taint)},
			}},
			NodeTemplate{
				Labels: map[string]string{LabelNodePool: "general", corev1.LabelOSStable: "linux", corev1.LabelArchStable: "arm64", "team": "a"},
				Taints: []corev1.Taint{noSchedule("dedicated")}, StartupTaints: []corev1.Taint{noSchedule("agent"), noSchedule(v1alpha1.Taint)},
			}, true, false},
		"junk": {map[string]any{"spec": "junk"}, NodeTemplate{}, false, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := NodePoolTemplate(makeNodePool("general", tc.template))
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.wantErr {
				t.Errorf("template (-want +got):\n%serror: %v", diff, err)
			}
			if got.DeclaresHold() != tc.declares {
				t.Errorf("declares the taint: %v, want %v", got.DeclaresHold(), tc.declares)
			}
		})
	}
}

func TestNodeClaimTemplate(t *testing.T) {
	t.Parallel()
	u := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "general-x7", "labels": map[string]any{LabelNodePool: "general"}},
		"spec":     map[string]any{"startupTaints": []any{map[string]any{"key": v1alpha1.Taint, "effect": "NoSchedule"}}},
		"status":   map[string]any{"nodeName": "n7"},
	}}
	got, err := NodeClaimTemplate(u)
	want := NodeTemplate{Name: "n7", StartupTaints: []corev1.Taint{noSchedule(v1alpha1.Taint)},
		Labels: map[string]string{LabelNodePool: "general", corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("template (-want +got):\n%serror: %v", diff, err)
	}
}

func TestTemplateOfNode(t *testing.T) {
	t.Parallel()
	n := makeNode("n1", lists("acme/cni:1"), crio, func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{noSchedule(corev1.TaintNodeNotReady), noSchedule("dedicated")}
	})
	want := NodeTemplate{Name: "n1", Labels: n.Labels, Taints: []corev1.Taint{noSchedule("dedicated")},
		StartupTaints: []corev1.Taint{noSchedule(corev1.TaintNodeNotReady)}, Images: []core.Image{"docker.io/acme/cni:1"}, AlwaysCosts: true}
	if diff := cmp.Diff(want, TemplateOfNode(n)); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
}
