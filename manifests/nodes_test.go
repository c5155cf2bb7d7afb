package manifests_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	apiservercel "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// kustomized builds a folder of integrations, with what is written over it.
func kustomized(t *testing.T, folder string, over map[string]string) []*unstructured.Unstructured {
	t.Helper()
	disk := filesys.MakeFsInMemory()
	root := filepath.Join("integrations", folder)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return disk.WriteFile("/"+path, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	build := "/" + root
	for name, text := range over {
		build = "/" + filepath.Dir(root)
		if err := disk.WriteFile(filepath.Join(build, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, build)
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	var out []*unstructured.Unstructured
	for _, r := range built.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		out = append(out, obj)
	}
	return out
}

// as reads an object strictly as what it says it is.
func as[T any](t *testing.T, obj *unstructured.Unstructured) T {
	t.Helper()
	text, err := yaml.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := yaml.UnmarshalStrict(text, &out); err != nil {
		t.Fatalf("%s %s: %v", obj.GetKind(), obj.GetName(), err)
	}
	return out
}

func declares(t *testing.T, pool *unstructured.Unstructured) bool {
	t.Helper()
	template, err := kube.NodePoolTemplate(pool)
	if err != nil {
		t.Fatal(err)
	}
	return template.DeclaresHold()
}

func TestNodePoolDeclaresTheTaint(t *testing.T) {
	t.Parallel()
	built := kustomized(t, "karpenter", nil)
	if len(built) != 1 || built[0].GetKind() != "NodePool" || !declares(t, built[0]) {
		t.Errorf("built %v, want a NodePool that declares %s", built, v1alpha1.Taint)
	}
}

// The component adds to the taints and budgets that are there.
func TestStartupTaintOfNodePools(t *testing.T) {
	t.Parallel()
	built := kustomized(t, "karpenter/startup-taint", map[string]string{
		"kustomization.yaml": "resources: [pool.yaml]\ncomponents: [startup-taint]\n",
		"pool.yaml": `{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: general}, spec: {disruption: {budgets: [{nodes: 10%}]},
  template: {spec: {startupTaints: [{key: example.com/cni, effect: NoExecute}], requirements: []}}}}`,
	})
	if len(built) != 1 || !declares(t, built[0]) {
		t.Fatalf("built %v, want the NodePool to declare %s", built, v1alpha1.Taint)
	}
	budgets, _, _ := unstructured.NestedSlice(built[0].Object, "spec", "disruption", "budgets")
	want := []any{map[string]any{"nodes": "10%"}, map[string]any{"nodes": "0", "reasons": []any{"Drifted"}}}
	if diff := cmp.Diff(want, budgets); diff != "" {
		t.Errorf("budgets (-want +got)\n%s", diff)
	}
	if taints, _, _ := unstructured.NestedSlice(built[0].Object, "spec", "template", "spec", "startupTaints"); len(taints) != 2 {
		t.Errorf("startup taints %v, want that of the CNI too", taints)
	}
}

// A field that freeze.yaml does not name stays whoever's it was.
func TestFreezeOwnsOneField(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]any{
		"freeze.yaml": {"limits": map[string]any{"nodes": "0"}}, "thaw.yaml": nil,
	} {
		text, err := os.ReadFile(filepath.Join("integrations/karpenter", name))
		if err != nil {
			t.Fatal(err)
		}
		obj := map[string]any{}
		if err := yaml.UnmarshalStrict(text, &obj); err != nil {
			t.Fatal(err)
		}
		spec, _ := obj["spec"].(map[string]any)
		if diff := cmp.Diff(want, spec); diff != "" || obj["kind"] != "NodePool" {
			t.Errorf("%s: spec (-want +got)\n%s", name, diff)
		}
	}
}

func TestFlagsOfClusterAutoscaler(t *testing.T) {
	t.Parallel()
	built := kustomized(t, "cluster-autoscaler/startup-taint", map[string]string{
		"kustomization.yaml": "resources: [ca.yaml]\ncomponents: [startup-taint]\n",
		"ca.yaml":            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cluster-autoscaler, namespace: kube-system}, spec: {template: {spec: {containers: [{name: ca, command: [./cluster-autoscaler]}]}}}}",
	})
	command := as[appsv1.Deployment](t, built[0]).Spec.Template.Spec.Containers[0].Command
	if want := "--startup-taint=" + v1alpha1.Taint; !slices.Contains(command, want) {
		t.Errorf("command %v, want %s", command, want)
	}
	quota := as[struct {
		APIVersion, Kind string
		Metadata         metav1.ObjectMeta
		Spec             struct {
			Limits struct{ Resources corev1.ResourceList }
		}
	}](t, kustomized(t, "cluster-autoscaler", nil)[0])
	if nodes := quota.Spec.Limits.Resources["nodes"]; quota.APIVersion != "autoscaling.x-k8s.io/v1alpha1" || quota.Kind != "CapacityQuota" || nodes.Value() <= 0 {
		t.Errorf("quota %+v, want one of nodes", quota)
	}
}

func TestRuleOfNodeReadiness(t *testing.T) {
	t.Parallel()
	// Its prefix is one that node-readiness-controller demands. Source: v0.5.0,
	// api/v1alpha1/nodereadinessrule_types.go.
	rule := as[struct {
		APIVersion, Kind string
		Metadata         metav1.ObjectMeta
		Spec             struct {
			Conditions []struct {
				Type           string
				RequiredStatus corev1.ConditionStatus
			}
			Taint           corev1.Taint
			EnforcementMode string
			NodeSelector    metav1.LabelSelector
		}
	}](t, kustomized(t, "node-readiness", nil)[0])
	if c := rule.Spec.Conditions; len(c) != 1 || c[0].Type != v1alpha1.ConditionPullBudgetGranted || c[0].RequiredStatus != corev1.ConditionTrue {
		t.Errorf("conditions %+v, want %s", c, v1alpha1.ConditionPullBudgetGranted)
	}
	if rule.Spec.EnforcementMode != "bootstrap-only" || !strings.HasPrefix(rule.Spec.Taint.Key, "readiness.k8s.io/") || rule.Spec.Taint.Effect != corev1.TaintEffectNoSchedule {
		t.Errorf("rule %+v, want one that acts once, by a taint of its own prefix", rule.Spec)
	}
}

// What leaves nodes to nobody when Pace is gone says so where it is read.
func TestSamplesThatFailClosedSaySo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"karpenter/nodepool.yaml", "node-readiness/rule.yaml", "node-admission/policy.yaml", "node-admission/kustomization.yaml", "node-readiness/kustomization.yaml"} {
		text, err := os.ReadFile(filepath.Join("integrations", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "Fails closed") {
			t.Errorf("%s does not say that it fails closed", name)
		}
	}
}

// The policy is compiled and run by the API server's own code.
func TestAdmissionOfNodes(t *testing.T) {
	t.Parallel()
	var policy admissionv1.MutatingAdmissionPolicy
	for _, obj := range kustomized(t, "node-admission", nil) {
		switch obj.GetKind() {
		case "MutatingAdmissionPolicy":
			policy = as[admissionv1.MutatingAdmissionPolicy](t, obj)
		case "MutatingAdmissionPolicyBinding":
			if b := as[admissionv1.MutatingAdmissionPolicyBinding](t, obj); b.Spec.PolicyName != "pullpace-hold-nodes" {
				t.Errorf("the binding is of %q", b.Spec.PolicyName)
			}
		}
	}
	if *policy.Spec.FailurePolicy != admissionv1.Ignore || policy.Spec.MatchConstraints.ObjectSelector == nil {
		t.Errorf("failurePolicy %v, selector %v", *policy.Spec.FailurePolicy, policy.Spec.MatchConstraints.ObjectSelector)
	}
	ours, unready := corev1.Taint{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	for name, tc := range map[string]struct {
		labels     map[string]string
		have, want []corev1.Taint
	}{
		"a node":             {nil, []corev1.Taint{unready}, []corev1.Taint{unready, ours}},
		"one without taints": {nil, nil, []corev1.Taint{ours}},
		"one that has it":    {nil, []corev1.Taint{ours, unready}, []corev1.Taint{ours, unready}},
		"the control plane":  {map[string]string{"node-role.kubernetes.io/control-plane": ""}, []corev1.Taint{unready}, []corev1.Taint{unready}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: tc.labels}, Spec: corev1.NodeSpec{Taints: tc.have}}
			if diff := cmp.Diff(tc.want, admitted(t, &policy, n).Spec.Taints); diff != "" {
				t.Errorf("taints (-want +got)\n%s", diff)
			}
		})
	}
}

// admitted is a node as the API server stores it under a policy.
func admitted(t *testing.T, policy *admissionv1.MutatingAdmissionPolicy, n *corev1.Node) *corev1.Node {
	t.Helper()
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	options := plugincel.OptionalVariableDeclarations{HasAuthorizer: true}
	conditions := make([]plugincel.ExpressionAccessor, len(policy.Spec.MatchConditions))
	for i := range policy.Spec.MatchConditions {
		conditions[i] = (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[i])
	}
	matcher := matchconditions.NewMatcher(compiler.CompileCondition(conditions, options, environment.StoredExpressions), policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	resource := corev1.SchemeGroupVersion.WithResource("nodes")
	kind := corev1.SchemeGroupVersion.WithKind("Node")
	objects := admission.NewObjectInterfacesFromScheme(scheme)
	attributes, err := admission.NewVersionedAttributes(
		admission.NewAttributesRecord(n, nil, kind, "", n.Name, resource, "", admission.Create, &metav1.CreateOptions{}, false, nil), kind, objects)
	if err != nil {
		t.Fatal(err)
	}
	switch match := matcher.Match(t.Context(), attributes, nil, nil); {
	case match.Error != nil:
		t.Fatal(match.Error)
	case !match.Matches:
		return n
	}
	options.HasPatchTypes = true
	for _, m := range policy.Spec.Mutations {
		evaluator := compiler.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, options, environment.StoredExpressions)
		out, err := patch.NewJSONPatcher(evaluator).Patch(t.Context(), patch.Request{
			MatchedResource: resource, VersionedAttributes: attributes, ObjectInterfaces: objects,
		}, apiservercel.RuntimeCELCostBudget)
		if err != nil {
			t.Fatal(err)
		}
		n = out.(*corev1.Node)
	}
	return n
}
