package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/simulate/scenario"
)

// imported is a cluster of two nodes with three pods of a Deployment.
func imported(t *testing.T, hooks interceptor.Funcs) *harness {
	t.Helper()
	objects := paced(&v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: "hub"}, Spec: v1alpha1.PullBudgetSpec{Registry: "docker.io"}})
	for i := range 2 {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i)}})
	}
	for i := range 3 {
		p := heldPod(fmt.Sprint("api-", i), "api")
		p.Spec.NodeName, p.Spec.SchedulingGates, p.Status.Phase = fmt.Sprint("node-", i%2), nil, corev1.PodRunning
		objects = append(objects, p)
	}
	h := newHarness(t, hooks, objects...)
	h.kubelet = func(context.Context, string) ([]byte, error) { return nil, errors.New("nodes/proxy is forbidden") }
	return h
}

func (h *harness) scenario() *scenario.Scenario {
	h.t.Helper()
	s, err := scenario.Decode(h.out.Bytes())
	if err != nil {
		h.t.Fatalf("%v\n%s", err, &h.out)
	}
	return s
}

func TestImportWritesAScenarioThatIsReadStrictly(t *testing.T) {
	t.Parallel()
	h := imported(t, interceptor.Funcs{})
	h.wants(h.run("simulate", "import", "--name", "monday"), ExitOK, "Not read: the configuration of some kubelets", "kubelet: its configuration was not readable")
	s := h.scenario()
	if w := s.Spec.Workloads[0]; s.Metadata.Name != "monday" || w.Name != "shop/api" || w.Replicas != 3 || w.Image != "docker.io/acme/api:1" {
		t.Errorf("scenario %s with %+v, want monday with three replicas of shop/api", s.Metadata.Name, w)
	}
	if n := s.Spec.NodePools[0].Nodes; n != 2 {
		t.Errorf("%d nodes, want 2", n)
	}
}

func TestImportReadsKubelets(t *testing.T) {
	t.Parallel()
	h := imported(t, interceptor.Funcs{})
	h.kubelet = func(_ context.Context, node string) ([]byte, error) {
		return []byte(`{"kubeletconfig":{"kind":"KubeletConfiguration","serializeImagePulls":false,"maxParallelImagePulls":7,"registryPullQPS":50,"registryBurst":100}}`), nil
	}
	h.wants(h.run("simulate", "import"), ExitOK)
	want := scenario.Kubelet{MaxParallelImagePulls: 7, RegistryPullQPS: 50, RegistryBurst: 100}
	if got := h.scenario().Spec.NodePools[0].Kubelet; got != want {
		t.Errorf("kubelet is %+v, want %+v", got, want)
	}
}

// TestImportAnonymizes draws another salt for each run.
func TestImportAnonymizes(t *testing.T) {
	t.Parallel()
	h := imported(t, interceptor.Funcs{})
	h.wants(h.run("simulate", "import", "--anonymize"), ExitOK)
	first := h.out.String()
	h.wants(h.run("simulate", "import", "--anonymize"), ExitOK)
	if h.out.String() == first {
		t.Error("two runs name things alike: the salt stayed")
	}
	for _, word := range []string{"shop", "api:", "acme", "docker", "node-0"} {
		if strings.Contains(first, word) {
			t.Errorf("the file says %q:\n%s", word, first)
		}
	}
}

// TestImportOnlyReads fails every call that would change something.
func TestImportOnlyReads(t *testing.T) {
	t.Parallel()
	refuse := errors.New("a write")
	h := imported(t, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return refuse },
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return refuse },
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return refuse
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return refuse },
	})
	h.wants(h.run("simulate", "import"), ExitOK)
}

func TestImportSaysWhatNeedsAnEdit(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{})
	h.wants(h.run("simulate", "import"), ExitError, "needs an edit before it can be simulated", "spec.nodePools: is empty")
	h.wants(h.run("simulate", "import", "monday.yaml"), ExitUsage)
}

// TestImportReadsRollouts with their steps, and says where it may not.
func TestImportReadsRollouts(t *testing.T) {
	t.Parallel()
	rolled := heldPod("web-0", "web")
	rolled.Spec.NodeName, rolled.Spec.SchedulingGates, rolled.Status.Phase = "node-0", nil, corev1.PodRunning
	rolled.Labels = map[string]string{"rollouts-pod-template-hash": "abc"}
	rolled.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-abc", Controller: new(true)}}
	objects := []client.Object{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}}, rolled, argoObject(t, canary)}
	denied := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if list.GetObjectKind().GroupVersionKind().Kind == "RolloutList" {
			return apierrors.NewForbidden(schema.GroupResource{Group: "argoproj.io", Resource: "rollouts"}, "", nil)
		}
		return c.List(ctx, list, opts...)
	}}
	for name, tc := range map[string]struct {
		hooks interceptor.Funcs
		steps int
		says  string
	}{
		"read":   {interceptor.Funcs{}, 4, "steps: [{gate: {}}, {setWeight: 10}, {gate: {}}, {setWeight: 50}]"},
		"denied": {denied, 0, "# Not read: the steps of Rollouts: it takes list on rollouts.argoproj.io."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, tc.hooks, paced(objects...)...)
			h.kubelet = func(context.Context, string) ([]byte, error) { return nil, errors.New("nodes/proxy is forbidden") }
			h.wants(h.run("simulate", "import"), ExitOK, tc.says)
			if w := h.scenario().Spec.Workloads[0]; w.Kind != scenario.Rollout || len(w.Steps) != tc.steps {
				t.Errorf("the workload is %+v, want a Rollout of %d steps", w, tc.steps)
			}
		})
	}
}
