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
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/cluster"
)

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
