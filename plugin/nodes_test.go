package plugin

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// karpenterPool is a NodePool of Karpenter; edit changes its spec.
func karpenterPool(name string, edit ...func(spec map[string]any)) unstructured.Unstructured {
	spec := map[string]any{"template": map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"team": "shop"}},
		"spec":     map[string]any{"requirements": []any{map[string]any{"key": "karpenter.sh/capacity-type", "operator": "In", "values": []any{"spot"}}}},
	}}
	for _, e := range edit {
		e(spec)
	}
	return unstructured.Unstructured{Object: map[string]any{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": map[string]any{"name": name}, "spec": spec}}
}

// startupTaint has the nodes of a pool register with our taint.
func startupTaint(spec map[string]any) {
	spec["template"].(map[string]any)["spec"].(map[string]any)["startupTaints"] = []any{
		map[string]any{"key": "example.com/cni", "effect": "NoExecute"}, map[string]any{"key": v1alpha1.Taint, "effect": "NoSchedule"}}
}

func limitNodes(spec map[string]any) { spec["limits"] = map[string]any{"nodes": "5", "cpu": "100"} }

// listing answers lists of objects that are no Go types here, by kind.
func listing(objects ...unstructured.Unstructured) interceptor.Funcs {
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		l, ok := list.(*unstructured.UnstructuredList)
		if !ok {
			return c.List(ctx, list, opts...)
		}
		for _, o := range objects {
			if l.GetKind() == o.GetKind()+"List" {
				l.Items = append(l.Items, *o.DeepCopy())
			}
		}
		return nil
	}}
}

// agents is a DaemonSet of one image that runs everywhere.
func agents() *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "logs", Name: "agent"},
		Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init", Image: "docker.io/acme/init:1"}},
			Containers:     []corev1.Container{{Name: "agent", Image: "docker.io/acme/agent:1"}},
		}}},
	}
}

// pooled is a node of a pool that lacks the images of agents.
func pooled(name, key, pool string) *corev1.Node {
	n := node(name, 0, "registry.k8s.io/pause:3.10")
	n.Labels[key] = pool
	n.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour))
	return n
}

// nodesBudget has so many units free for new nodes.
func nodesBudget(free int64) *v1alpha1.PullBudget {
	b := budget(free)
	b.Status.Accounts[0].Available = append(b.Status.Accounts[0].Available, v1alpha1.ClassUnits{Class: "node-critical", Units: free})
	return b
}

func TestCostOfNodes(t *testing.T) {
	t.Parallel()
	const eks, karpenter = "eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool"
	tests := map[string]struct {
		pools    []unstructured.Unstructured
		objects  []client.Object
		args     []string
		wantCode int
		words    []string
		// now is how many may come, -1 that it is not known.
		now int32
	}{
		"a NodePool, enough": {[]unstructured.Unstructured{karpenterPool("general")}, []client.Object{nodesBudget(8), agents(), pooled("a", karpenter, "general")},
			[]string{"general", "--nodes", "4"}, ExitOK, []string{"ALLOW  8 units for 4 nodes, may all come now", "1 there (Karpenter NodePool)", "DaemonSet logs/agent"}, 4},
		"a NodePool, short": {[]unstructured.Unstructured{karpenterPool("general", limitNodes)}, []client.Object{nodesBudget(8), agents(), pooled("a", karpenter, "general")},
			[]string{"general", "--nodes", "5"}, ExitHold, []string{"HOLD  10 units for 5 nodes, 4 may come now", "limits.nodes lets 4 more come", "check scaleup general --nodes 4"}, 4},
		"a NodePool without nodes": {[]unstructured.Unstructured{karpenterPool("empty")}, []client.Object{nodesBudget(8), agents()},
			[]string{"empty", "--nodes", "4"}, ExitOK, []string{"0 - 8 units", "not known whether nodes of the pool are born with it", "none is there yet"}, 4},
		"a node group by its label": {nil, []client.Object{nodesBudget(3), agents(), pooled("a", eks, "workers")},
			[]string{"workers", "--nodes", "2"}, ExitHold, []string{"(label eks.amazonaws.com/nodegroup)", "1 may come now"}, 1},
		"a label of one's own": {nil, []client.Object{nodesBudget(8), agents(), pooled("a", "acme/pool", "workers")},
			[]string{"workers", "--nodes", "1", "--pool-label", "acme/pool"}, ExitOK, []string{"(label acme/pool)"}, 1},
		"held back by our own taint": {[]unstructured.Unstructured{karpenterPool("general", startupTaint)}, []client.Object{nodesBudget(8), agents(), func() client.Object {
			n := pooled("a", karpenter, "general")
			n.Spec.Taints = []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}, {Key: "example.com/cni", Effect: corev1.TaintEffectNoExecute}}
			return n
		}()}, []string{"general", "--nodes", "4"}, ExitOK, []string{"8 units for 4 nodes"}, 4},
		"a pod waits": {[]unstructured.Unstructured{karpenterPool("general")}, []client.Object{nodesBudget(8), agents(), pooled("a", karpenter, "general"), func() client.Object {
			p := heldPod("api-1", "api")
			p.Spec.SchedulingGates = nil
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
			return p
		}()}, []string{"general", "--nodes", "4"}, ExitHold, []string{"1 pod waits for room", "Deployment shop/api", "3 may come now"}, 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, listing(tc.pools...), paced(tc.objects...)...)
			h.wants(h.run(append([]string{"cost", "nodepool/" + tc.args[0]}, tc.args[1:]...)...), tc.wantCode, tc.words...)
			decision := map[int]string{ExitOK: "allow", ExitHold: "hold"}[tc.wantCode]
			h.wants(h.run(append([]string{"check", "scaleup"}, tc.args...)...), tc.wantCode, `"decision": "`+decision+`"`)
			var got view.NodesCheck
			if err := json.Unmarshal(h.out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, h.out.String())
			}
			if got.Now == nil || *got.Now != tc.now {
				t.Errorf("%s\nwant now %d", h.out.String(), tc.now)
			}
		})
	}
}

func TestCheckScaleUpSaysWhenTheRestComes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, listing(karpenterPool("general")), paced(nodesBudget(8), agents(), pooled("a", "karpenter.sh/nodepool", "general"))...)
	h.wants(h.run("check", "scaleup", "nodepool/general", "--nodes", "100"), ExitHold)
	var got view.NodesCheck
	if err := json.Unmarshal(h.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	// 200 units less 8: two windows of 100 bring them; more is expected in 40 minutes.
	want := view.NodesCheck{Decision: "hold", Reason: "WaitingForBudget", RetryAfterSeconds: 40 * 60, Need: view.Units{Min: 200, Max: 200}, Free: new(int64(8)),
		Expected: view.Window{From: now.Add(40 * time.Minute), To: now.Add(2 * time.Hour)}, Pool: "general", Nodes: 100, Now: new(int32(4)), Binds: "docker.io/anonymous"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	h.wants(h.run("check", "scaleup", "general", "--nodes", "100", "-o", "table"), ExitHold, "hold  WaitingForBudget  now 4 of 100 nodes", "binds        docker.io/anonymous")
	h.wants(h.run("check", "scaleup", "general", "--nodes", "100", "-o", "name"), ExitHold, "nodepool/general")
}

// Without a controller nothing is held, and it is said what is not known.
func TestCostOfNodesWithoutController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, noCRDs(), agents(), pooled("a", "agentpool", "pool1"))
	h.wants(h.run("cost", "nodepool/pool1", "--nodes", "9"), ExitOK, "UNKNOWN", "no PullBudget paces it", "no controller reads what the registry allows", "install --shadow")
	h.wants(h.run("check", "scaleup", "pool1", "--nodes", "9"), ExitOK, `"decision": "allow"`, `"now": null`)
}

func TestCostOfNodesSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHarness(t, listing(karpenterPool("general")), paced(pooled("a", "agentpool", "pool1"))...)
	h.wants(h.run("cost", "nodepool/none", "--nodes", "1"), ExitError, `there is no node pool "none"; there are general, pool1`, "--pool-label")
	h.wants(h.run("cost", "nodepool/general"), ExitUsage, "--nodes says how many")
	h.wants(h.run("cost", "nodepool/general", "--nodes", "-1"), ExitUsage)
	h.wants(h.run("cost", "nodepool/general", "--nodes", "1", "--image", "a=b"), ExitUsage, "--image goes with a workload")
	h.wants(h.run("cost", "deploy/api", "--nodes", "1"), ExitUsage, "go with nodepool/NAME")
	h.wants(h.run("check", "scaleup", "deploy/api", "--nodes", "1"), ExitUsage, "is no node pool")
	h.wants(h.run("check"), ExitUsage, "scaleup NODEPOOL")
	h.wants(h.run("rollout", "nodepool/general", "--restart"), ExitError, "cost and checked")
	h = newHarness(t, listing(), paced(node("a", 0))...)
	h.wants(h.run("cost", "nodepool/none", "--nodes", "1"), ExitError, "no node says which pool it is of")
}
