package plugin

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/cluster"
)

// working makes what is applied work at once: CRDs are served, replicas are
// available.
func working() interceptor.Funcs {
	return interceptor.Funcs{Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
		if err := c.Apply(ctx, obj, opts...); err != nil {
			return err
		}
		var crds apiextensionsv1.CustomResourceDefinitionList
		if err := c.List(ctx, &crds); err != nil {
			return err
		}
		for _, crd := range crds.Items {
			crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: "Established", Status: "True"}}
			if err := c.Status().Update(ctx, &crd); err != nil {
				return err
			}
		}
		var deployments appsv1.DeploymentList
		if err := c.List(ctx, &deployments, client.InNamespace(v1alpha1.Namespace)); err != nil {
			return err
		}
		for _, d := range deployments.Items {
			n := cluster.Replicas(&d)
			d.Status = appsv1.DeploymentStatus{Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n, ObservedGeneration: d.Generation}
			if err := c.Status().Update(ctx, &d); err != nil {
				return err
			}
		}
		return nil
	}}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	h := newHarness(t, working())
	h.wants(h.run("install", "--image-registry", "registry.corp:5000/pace"), ExitOK, "Installed.", "created", "controller 2/2", "Shadow, 0 namespaces", "registry.corp:5000/pace/pacer:")
	controller := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: cluster.ControllerName}}
	image := read(h, controller).Spec.Template.Spec.Containers[0].Image
	if !strings.HasPrefix(image, "registry.corp:5000/pace/pacer:") {
		t.Errorf("image %s", image)
	}
	policy := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: defaultPolicy}}
	if got := read(h, policy).Spec.Mode; got != v1alpha1.Shadow {
		t.Errorf("mode %s, want Shadow", got)
	}
	policy.Spec.Mode = v1alpha1.Enforce
	if err := h.client.Update(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("install"), ExitOK, "kept", "Enforce")
	if got := read(h, policy).Spec.Mode; got != v1alpha1.Enforce {
		t.Errorf("a second install changed the mode to %s", got)
	}
	h.wants(h.run("install", "--shadow"), ExitOK, "Shadow")
	if got := read(h, policy).Spec.Mode; got != v1alpha1.Shadow {
		t.Errorf("--shadow left the mode at %s", got)
	}
}

// TestInstallEndsWhenTheGateIsProven has the API server answer the proof in the ways
// that keep an installation from being done.
func TestInstallEndsWhenTheGateIsProven(t *testing.T) {
	t.Parallel()
	h := newHarness(t, working())
	h.wants(h.run("install"), ExitOK, "dry-run pod through the API server: gate put on in", "(timeout 2 s, failurePolicy Ignore, port 10250)",
		"not on a registry that is paced")
	cases := map[string]struct {
		answer func(*corev1.Pod) error
		want   []string
	}{
		"not gated": {func(*corev1.Pod) error { return nil },
			[]string{"came back without the gate", "must reach port 10250", "kubectl logs -n pullpace-system"}},
		"the controller does not gate": {func(p *corev1.Pod) error {
			p.Annotations[v1alpha1.AnnotationProof] = "no turn was completed for 41s"
			return nil
		}, []string{"the webhook gates nothing: no turn was completed for 41s"}},
		"refused": {func(*corev1.Pod) error { return errText("admission webhook x denied it\x1b[2J") },
			[]string{"refused a dry-run pod: admission webhook x denied it?[2J"}},
		"forbidden": {func(*corev1.Pod) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errText("kim may not"))
		}, []string{"needs to create a pod in pullpace-system", "--wait=false"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, working())
			h.client = interceptor.NewClient(h.client, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if pod, ok := obj.(*corev1.Pod); ok {
					return tc.answer(pod)
				}
				return c.Create(ctx, obj, opts...)
			}})
			h.wants(h.run("install", "--timeout", "300ms"), ExitError, tc.want...)
			h.wants(h.run("install", "--wait=false"), ExitOK, "Installed.")
		})
	}
}

func TestInstallRefusesAnImageFromAnAccountThatItPaces(t *testing.T) {
	t.Parallel()
	matched := budget(5)
	matched.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: []string{"hub"}}
	upstream := budget(5)
	upstream.Spec.Registry, upstream.Spec.UpstreamOf = "mirror.corp", []string{"docker.io"}
	cases := map[string]struct {
		budget *v1alpha1.PullBudget
		image  string
		want   int
		says   []string
	}{
		"of the host":              {budget(5), "acme/pacer:1", ExitError, []string{"docker.io/acme/pacer:1", `PullBudget "hub"`, "--image-registry", "nothing was changed"}},
		"by another name":          {budget(5), "registry-1.docker.io/acme/pacer:1", ExitError, []string{`PullBudget "hub"`}},
		"through its upstream":     {upstream, "docker.io/acme/pacer:1", ExitError, []string{`PullBudget "hub"`}},
		"another host":             {budget(5), "registry.corp/acme/pacer:1", ExitOK, []string{"not on a registry that is paced"}},
		"another account of there": {matched, "acme/pacer:1", ExitOK, []string{"not on a registry that is paced"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, working(), tc.budget)
			h.wants(h.run("install", "--image", tc.image), tc.want, tc.says...)
			var all appsv1.DeploymentList
			if err := h.client.List(t.Context(), &all); err != nil || (len(all.Items) > 0) != (tc.want == ExitOK) {
				t.Errorf("%d Deployments, %v", len(all.Items), err)
			}
		})
	}
}

func TestInstallUsage(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{})
	h.wants(h.run("install", "--shadow", "--enforce"), ExitUsage, "exclude each other")
	h.wants(h.run("install", "--image", "a", "--image-registry", "b"), ExitError, "exclude each other")
	h.wants(h.run("install", "--image", "Not A Ref"), ExitError, "reading --image")
	h.wants(h.run("install", "--no-proxy", ".corp"), ExitUsage, "give both")
	h.wants(h.run("install", "--https-proxy", "http://a:b@proxy.corp"), ExitUsage, "must not need a password")
	h.wants(h.run("install", "--ca-bundle", "absent.pem"), ExitError, "reading --ca-bundle")
	h.wants(h.run("install", "--dry-run=client", "-o", "yaml", "--https-proxy", "http://proxy.corp:3128", "--no-proxy", ".corp"), ExitOK,
		"name: pacer-egress", "httpsProxy: http://proxy.corp:3128", "noProxy: .corp")
	h.wants(h.run("install", "--explain-rbac"), ExitOK, "secrets", "pullpace-system", "pods/status",
		"pacer-node-waves", "--node-waves")
	h.wants(h.run("install", "--explain-rbac", "--node-waves", "-o", "json"), ExitOK, `"who": "pacer-node-waves"`)
	if strings.Contains(h.out.String(), `"with"`) {
		t.Errorf("a right that is asked for is said to need a flag: %s", h.out.String())
	}
	h.wants(h.run("install", "--dry-run=client"), ExitOK)
	if strings.Contains(h.out.String(), "pacer-node-waves") {
		t.Error("nodes may be written to without --node-waves")
	}
	h.wants(h.run("install", "--dry-run=client", "--node-waves"), ExitOK, "clusterrole/pacer-node-waves", "clusterrolebinding/pacer-node-waves")
	h.wants(h.run("install", "--dry-run=client"), ExitOK, "nothing was changed", "would apply", "deployment/pacer")
	h.wants(h.run("install", "--dry-run=client", "-o", "yaml", "--image", "r.example/p@sha256:"+strings.Repeat("ab", 32)), ExitOK,
		"kind: CustomResourceDefinition", "kind: PacePolicy", "mode: Shadow", "image: r.example/p@sha256:abab")
	var list corev1.NamespaceList
	if err := h.client.List(t.Context(), &list); err != nil || len(list.Items) > 0 {
		t.Errorf("something was made: %v %v", list.Items, err)
	}
}

// installed are the objects of an installation with held pods and a held node;
// no controller works.
func installed(t *testing.T) *harness {
	t.Helper()
	saved := deployment("web")
	saved.Annotations[v1alpha1.AnnotationSaved] = `{"maxUnavailable":"25%","progressDeadlineSeconds":600}`
	saved.Annotations[v1alpha1.AnnotationPaused] = `{"by":"kim","reason":"leaks"}`
	h := newHarness(t, working(), deployment("api"), saved, heldPod("api-1", "api"), heldPod("api-2", "api"), taintedNode(), budget(1))
	h.wants(h.run("install"), ExitOK)
	return h
}

func TestUninstallLeavesNothing(t *testing.T) {
	t.Parallel()
	h := installed(t)
	h.wants(h.run("uninstall", "--now"), ExitOK, "2 pods let go", "1 node freed",
		"left behind  0 gates, 0 taints, 0 pauses, 0 annotations, 0 webhooks, 0 roles   (searched 1 nodes, 2 pods, 3 workloads)",
		"kept         2 CRDs, 1 PullBudget, 1 PacePolicy")
	pod := read(h, heldPod("api-1", "api"))
	if len(pod.Spec.SchedulingGates) != 1 || pod.Annotations["kept"] != "yes" || len(pod.Annotations) != 1 {
		t.Errorf("gates %v, annotations %v", pod.Spec.SchedulingGates, pod.Annotations)
	}
	web := read(h, deployment("web"))
	if web.Spec.Strategy.RollingUpdate == nil || web.Spec.Strategy.RollingUpdate.MaxUnavailable.String() != "25%" || web.Spec.ProgressDeadlineSeconds == nil || *web.Spec.ProgressDeadlineSeconds != 600 {
		t.Errorf("not restored: %+v", web.Spec.Strategy)
	}
	if worker := read(h, taintedNode()); len(worker.Spec.Taints) != 1 || len(worker.Status.Conditions) != 1 {
		t.Errorf("taints %v, conditions %v, want one of others each", worker.Spec.Taints, worker.Status.Conditions)
	}
	read(h, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "pullbudgets.pullpace.dev"}})
	h.wants(h.run("uninstall", "--now", "--crds"), ExitOK, "customresourcedefinition/pullbudgets.pullpace.dev")
}

// What people added from the manifests goes too: roles and templates of Argo's by their
// label, and the budget on NodePools; what others have on them stays.
func TestUninstallTakesWhatWasAdded(t *testing.T) {
	t.Parallel()
	h := installed(t)
	label := map[string]string{"app.kubernetes.io/part-of": "pullpace"}
	for _, obj := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "pacer-disruption", Labels: label}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "pacer-disruption", Labels: label}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "of-others"}},
	} {
		if err := h.client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	pool := karpenterPool("general", func(spec map[string]any) {
		spec["disruption"] = map[string]any{"budgets": []any{map[string]any{"nodes": "10%"}}}
	})
	gate.PauseDisruption(&pool, now)
	if err := h.client.Create(t.Context(), &pool); err != nil {
		t.Fatal(err)
	}
	for name, labels := range map[string]map[string]string{"pull-budget": label, "success-rate": nil} {
		template := unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterAnalysisTemplate"}}
		template.SetName(name)
		template.SetLabels(labels)
		if err := h.client.Create(t.Context(), &template); err != nil {
			t.Fatal(err)
		}
	}
	h.wants(h.run("uninstall", "--dry-run"), ExitOK, "clusterrole/pacer-disruption", "clusteranalysistemplate/pull-budget")
	h.wants(h.run("uninstall", "--now"), ExitOK, "clusteranalysistemplate/pull-budget", "clusterrole/pacer-disruption", "clusterrolebinding/pacer-disruption", "resumed      1 NodePool of Karpenter", "0 roles")
	read(h, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "of-others"}})
	other := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterAnalysisTemplate"}}
	other.SetName("success-rate")
	read(h, other)
	got := read(h, pool.DeepCopy())
	if budgets, _, _ := unstructured.NestedSlice(got.Object, "spec", "disruption", "budgets"); len(budgets) != 1 || gate.DisruptionPaused(got) {
		t.Errorf("budgets %v, annotations %v", budgets, got.GetAnnotations())
	}
}

// The page that people keep is the page that is printed, whatever the cluster does.
func TestUninstallPrintsThePageOfTheDocs(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{})
	h.env.Connect = func(*genericclioptions.ConfigFlags, cluster.Options) (*cluster.Cluster, error) {
		return nil, errText("no cluster")
	}
	h.wants(h.run("uninstall", "--print"), ExitOK)
	page, err := os.ReadFile("../docs/removal.md")
	if err != nil {
		t.Fatal(err)
	}
	if text := h.out.String(); len(text) == 0 || !strings.Contains(string(page), "```bash\n"+text+"```\n") {
		t.Errorf("docs/removal.md does not have what is printed:\n%s", text)
	}
}

func TestUninstallDryRun(t *testing.T) {
	t.Parallel()
	h := installed(t)
	h.wants(h.run("uninstall", "--dry-run"), ExitOK, "nothing was changed", "2 pods would be let go", "would delete", "deployment/pacer")
	read(h, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: cluster.ControllerName}})
	if len(read(h, heldPod("api-1", "api")).Spec.SchedulingGates) != 2 {
		t.Error("a dry run released a pod")
	}
}

// TestUninstallDrips lets one pod go at once, since one unit is free, and the
// next when the limit refills.
func TestUninstallDrips(t *testing.T) {
	t.Parallel()
	h := installed(t)
	ticks := make(chan time.Time, 1)
	var every time.Duration
	h.env.Tick = func(d time.Duration) (<-chan time.Time, func()) {
		every = d
		ticks <- now
		return ticks, func() {}
	}
	h.wants(h.run("uninstall"), ExitOK, "letting 2 pods go: 1 now, then one per 36s", "2 pods let go", "0 gates")
	if every != 36*time.Second {
		t.Errorf("one per %s, want 36s", every)
	}
}

// What starts nodes with our taint, or waits for our condition, blocks the removal; the
// edits are printed in the order in which they do no harm.
func TestUninstallBlocked(t *testing.T) {
	t.Parallel()
	object := func(kind, version, name string, spec map[string]any) unstructured.Unstructured {
		return unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}}
	}
	registered := pooled("fresh", "agentpool", "pool1")
	registered.Spec.Taints = []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}}
	tests := map[string]struct {
		objects []unstructured.Unstructured
		nodes   []client.Object
		configz string
		words   []string
	}{
		"a NodePool": {[]unstructured.Unstructured{karpenterPool("general", startupTaint)}, []client.Object{pooled("a", "karpenter.sh/nodepool", "general")}, "", []string{
			"BLOCKED", "NodePool general declares pullpace.dev/held: without Pace", "drifts the 1 nodes",
			`1            kubectl patch nodepool general --type json -p '[{"op":"add","path":"/spec/disruption/budgets/-","value":{"nodes":"0","reasons":["Drifted"]}}]'`,
			`2            kubectl patch nodepool general --type json -p '[{"op":"test","path":"/spec/template/spec/startupTaints/1/key","value":"pullpace.dev/held"},{"op":"remove","path":"/spec/template/spec/startupTaints/1"}]'`,
			"3            kubectl pace uninstall", "later        NodePool general: take the budget out again",
		}},
		"an admission policy": {[]unstructured.Unstructured{object("MutatingAdmissionPolicy", "admissionregistration.k8s.io/v1", "hold-nodes", map[string]any{"mutations": []any{"add pullpace.dev/held"}})}, nil, "",
			[]string{"MutatingAdmissionPolicy hold-nodes puts pullpace.dev/held on every new node", "kubectl delete mutatingadmissionpolicy hold-nodes"}},
		"a readiness rule": {[]unstructured.Unstructured{object("NodeReadinessRule", "readiness.node.x-k8s.io/v1alpha1", "pull-budget", map[string]any{"conditions": []any{map[string]any{"type": v1alpha1.ConditionPullBudgetGranted}}})}, nil, "",
			[]string{"NodeReadinessRule pull-budget waits for the condition pullpace.dev/PullBudgetGranted", "kubectl delete nodereadinessrule pull-budget"}},
		"a gate of Argo Rollouts": {[]unstructured.Unstructured{
			object("ClusterAnalysisTemplate", "argoproj.io/v1alpha1", "pull-budget", nil),
			object("Rollout", "argoproj.io/v1alpha1", "web", map[string]any{"strategy": map[string]any{"canary": map[string]any{"steps": []any{
				map[string]any{"analysis": map[string]any{"templates": []any{map[string]any{"templateName": "pull-budget", "clusterScope": true}}}}}}}}),
			object("Rollout", "argoproj.io/v1alpha1", "other", map[string]any{"strategy": map[string]any{"canary": map[string]any{"steps": []any{map[string]any{"setWeight": int64(10)}}}}}),
		}, nil, "", []string{"BLOCKED", "rollout /web asks Pace by the template pull-budget", "take the analysis of pull-budget out: kubectl edit rollout web", "2            kubectl pace uninstall"}},
		"a node that came with it":   {nil, []client.Object{registered}, "", []string{"node fresh registered with the taint", "kubectl taint nodes --all pullpace.dev/held-"}},
		"a kubelet that gives it on": {nil, []client.Object{pooled("a", "agentpool", "pool1")}, `{"kubeletconfig":{"registerWithTaints":[{"key":"pullpace.dev/held","effect":"NoSchedule"}]}}`, []string{"the kubelet of node a registers its node with the taint"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, listing(tc.objects...), append(tc.nodes, heldPod("api-1", "api"))...)
			if tc.configz != "" {
				h.kubelet = func(context.Context, string) ([]byte, error) { return []byte(tc.configz), nil }
			}
			h.wants(h.run("uninstall"), ExitHold, append(tc.words, "BLOCKED", "Nothing was changed")...)
			h.wants(h.run("uninstall", "--dry-run"), ExitHold, "BLOCKED")
			if len(read(h, heldPod("api-1", "api")).Spec.SchedulingGates) != 2 {
				t.Error("a pod was released")
			}
		})
	}
}

// Where it is the taint alone that keeps Pace, all but the failsafe can go: what works that
// frees nodes stays, with the rights that it needs.
func TestUninstallKeepsTheFailsafe(t *testing.T) {
	t.Parallel()
	h := installed(t)
	pool := karpenterPool("general", startupTaint)
	if err := h.client.Create(t.Context(), &pool); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("uninstall", "--now"), ExitHold, "BLOCKED", "kubectl pace uninstall --keep-failsafe")
	h.wants(h.run("uninstall", "--now", "--keep-failsafe"), ExitError, "no failsafe works that could stay")
	lease := heartbeat(now)
	lease.Name = v1alpha1.FailsafeHeartbeat
	if err := h.client.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("uninstall", "--now", "--keep-failsafe", "--dry-run"), ExitOK, "kept", "the failsafe")
	h.wants(h.run("uninstall", "--now", "--keep-failsafe"), ExitOK, "2 pods let go", "1 node freed", "0 roles", "kept         the failsafe, in namespace pullpace-system", "kept         2 CRDs")
	meta := metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: cluster.FailsafeName}
	read(h, &appsv1.Deployment{ObjectMeta: meta})
	read(h, &corev1.ServiceAccount{ObjectMeta: meta})
	read(h, &rbacv1.RoleBinding{ObjectMeta: meta})
	read(h, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: cluster.FailsafeName}})
	read(h, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Namespace}})
	controller := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: cluster.ControllerName}}
	if err := h.client.Get(t.Context(), client.ObjectKeyFromObject(controller), controller); !apierrors.IsNotFound(err) {
		t.Errorf("reading the controller's Deployment: %v, want that it is gone", err)
	}
	if err := h.client.Delete(t.Context(), &pool); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("uninstall"), ExitOK, "deployment/pacer-failsafe", "0 roles")
}

// A failsafe frees nodes, and answers no Rollout: it stays or goes, Pace must not go yet.
func TestAFailsafeThatStaysIsNotEnoughForOthers(t *testing.T) {
	t.Parallel()
	rule := unstructured.Unstructured{Object: map[string]any{"apiVersion": "readiness.node.x-k8s.io/v1alpha1", "kind": "NodeReadinessRule",
		"metadata": map[string]any{"name": "pull-budget"}, "spec": map[string]any{"conditions": []any{map[string]any{"type": v1alpha1.ConditionPullBudgetGranted}}}}}
	lease := heartbeat(now)
	lease.Name = v1alpha1.FailsafeHeartbeat
	h := newHarness(t, listing(rule, karpenterPool("general", startupTaint)), lease)
	h.wants(h.run("uninstall", "--now", "--keep-failsafe"), ExitHold, "BLOCKED", "NodePool general", "NodeReadinessRule pull-budget")
	if strings.Contains(h.out.String(), "uninstall --keep-failsafe") {
		t.Error("it is offered all the same")
	}
}

// Nodes that Pace itself tainted, and what has nothing to do with it, block nothing.
func TestUninstallIsNotBlockedByWhatPaceDid(t *testing.T) {
	t.Parallel()
	h := newHarness(t, listing(karpenterPool("general")), taintedNode())
	h.kubelet = func(context.Context, string) ([]byte, error) { return nil, errText("no proxy") }
	h.wants(h.run("uninstall", "--now"), ExitOK, "1 node freed", "to ask one takes get on nodes/proxy")
}

// TestUninstallLeavesHeldPodsToAControllerThatWorks has a controller let one pod go at
// each look. Nothing is let go from here, and a pause does not keep it.
func TestUninstallLeavesHeldPodsToAControllerThatWorks(t *testing.T) {
	t.Parallel()
	h := installed(t)
	for _, name := range []string{"api-1", "api-2"} {
		pod := read(h, heldPod(name, "api"))
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
		if err := h.client.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.client.Create(t.Context(), heartbeat(now)); err != nil {
		t.Fatal(err)
	}
	looks := 0
	ticks := make(chan time.Time)
	close(ticks)
	h.client = interceptor.NewClient(h.client, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, jobs := list.(*batchv1.JobList); jobs {
			if looks++; looks == 2 || looks == 4 {
				pod := heldPod(fmt.Sprint("api-", looks/2), "api")
				if err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
					return err
				}
				gate.Release(pod, gate.Letting{Mark: v1alpha1.ReleaseMark{Decision: "d", Time: now, Reason: "Budget"}})
				if err := c.Update(ctx, pod); err != nil {
					return err
				}
			}
		}
		return c.List(ctx, list, opts...)
	}})
	h.env.Tick = func(time.Duration) (<-chan time.Time, func()) { return ticks, func() {} }
	h.wants(h.run("uninstall"), ExitOK, "leaving 2 held pods to the controller", "2 pods let go", "0 gates")
	if strings.Contains(h.err.String(), "one per") {
		t.Errorf("pods were let go from here: %s", h.err.String())
	}
}
