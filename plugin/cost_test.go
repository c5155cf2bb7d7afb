package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// node lists images, and further ones up to count.
func node(name string, count int, images ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": "ssd"}}}
	for _, image := range images {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{image}})
	}
	for i := len(images); i < count; i++ {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("docker.io/other/image:%d", i)}})
	}
	return n
}

func TestCost(t *testing.T) {
	t.Parallel()
	const image = "docker.io/acme/api:1"
	tainted := node("tainted", 0)
	tainted.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
	cordoned := node("cordoned", 0)
	cordoned.Spec.Unschedulable = true
	never := budget(0)
	never.Status.Accounts[0] = v1alpha1.AccountStatus{Account: "docker.io/anonymous", Grade: "Never", Unlimited: true}
	unread := budget(0)
	unread.Status = v1alpha1.PullBudgetStatus{}
	dear := budget(5)
	dear.Status.Accounts[0].ChargePerPull = []v1alpha1.ChargePerPull{{Manifests: 2, Mean: "1.4", Samples: 9}, {Manifests: 1, Mean: "NaN", Samples: 1}}
	tests := map[string]struct {
		objects     []client.Object
		wantCode    int
		wantVerdict string
		wantNeeds   view.Units
		wantWords   []string
	}{
		"all cold, enough":       {[]client.Object{budget(3), node("a", 0), node("b", 0), node("c", 0)}, ExitOK, "allow", view.Units{Min: 1, Max: 3}, nil},
		"all cold, short":        {[]client.Object{budget(2), node("a", 0), node("b", 0), node("c", 0)}, ExitHold, "hold", view.Units{Min: 1, Max: 3}, []string{"WaitingForBudget", "helm --wait"}},
		"all warm":               {[]client.Object{budget(0), node("a", 0, image), node("b", 0, image)}, ExitOK, "allow", view.Units{}, nil},
		"one has it":             {[]client.Object{budget(9), node("a", 0, image), node("b", 0)}, ExitOK, "allow", view.Units{Max: 1}, []string{"depends on where the scheduler puts the pods"}},
		"cut list":               {[]client.Object{budget(9), node("a", 50)}, ExitOK, "allow", view.Units{Max: 1}, []string{"some nodes list only their 50 largest images"}},
		"other name of the host": {[]client.Object{budget(0), node("a", 0, "index.docker.io/acme/api:1")}, ExitOK, "allow", view.Units{}, nil},
		"nodes that do not fit":  {[]client.Object{budget(1), node("a", 0), tainted, cordoned}, ExitOK, "allow", view.Units{Min: 1, Max: 1}, nil},
		"no node":                {[]client.Object{budget(9)}, ExitOK, "allow", view.Units{}, []string{"no node fits"}},
		"no limit":               {[]client.Object{never, node("a", 0)}, ExitOK, "allow", view.Units{Min: 1, Max: 2}, nil},
		"not read yet":           {[]client.Object{unread, node("a", 0)}, ExitHold, "hold", view.Units{Min: 1, Max: 2}, []string{"WaitingForReading", "has no reading of it yet"}},
		"learned price":          {[]client.Object{dear, node("a", 0), node("b", 0)}, ExitOK, "allow", view.Units{Min: 1, Max: 4}, nil},
		"no budget":              {[]client.Object{node("a", 0)}, ExitOK, "allow", view.Units{}, []string{"no PullBudget paces it"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, interceptor.Funcs{}, paced(tc.objects...)...)
			h.wants(h.run("cost", "deploy/api", "-o", "json"), tc.wantCode, tc.wantWords...)
			var got view.Cost
			if err := json.Unmarshal(h.out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, h.out.String())
			}
			if got.Verdict != tc.wantVerdict || got.Total() != tc.wantNeeds {
				t.Errorf("%s %+v, want %s %+v", got.Verdict, got.Total(), tc.wantVerdict, tc.wantNeeds)
			}
			h.wants(h.run("cost", "deploy/api"), tc.wantCode, strings.ToUpper(tc.wantVerdict))
			h.wants(h.run("check", "rollout", "deploy/api"), tc.wantCode, `"decision": "`+tc.wantVerdict+`"`)
		})
	}
}

func TestCostWithoutController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, noCRDs(), deployment("api"), node("a", 0))
	h.wants(h.run("cost", "deploy/api"), ExitOK, "UNKNOWN", "docker.io/acme/api:1", "no controller reads what the registry allows", "install --shadow")
	h = newHarness(t, interceptor.Funcs{}, deployment("api"), node("a", 0), budget(9))
	h.wants(h.run("cost", "deploy/api"), ExitOK, "UNKNOWN", "docker.io/anonymous: not known")
}

func TestCostOfFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), node("a", 0))...)
	h.env.ReadFile = func(name string) ([]byte, error) {
		if name != "api.yaml" {
			return nil, fs.ErrNotExist
		}
		return []byte("kind: Service\nmetadata: {name: api}\n---\nkind: Deployment\nmetadata: {name: fresh}\nspec: {replicas: 2, template: {spec: {containers: [{name: app, image: acme/fresh}]}}}\n"), nil
	}
	h.wants(h.run("cost", "-f", "api.yaml"), ExitHold, "Service api is skipped", "deploy/fresh  shop", "docker.io/acme/fresh:latest")
	h.wants(h.run("cost", "-f", "api.yaml", "--image", "app=ghcr.io/acme/fresh"), ExitOK, "no PullBudget paces it")
	h.wants(h.run("cost", "-f", "none.yaml"), ExitError, "reading none.yaml")
	h.wants(h.run("cost", "deploy/none"), ExitError, "is not in namespace")
	h.wants(h.run("cost", "deploy/api", "-f", "api.yaml"), ExitUsage, "a workload or a file")
}

// TestRolloutOverMaxWait: a whole hour would bring the units back, the reader
// waits 30 minutes.
func TestRolloutOverMaxWait(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), node("a", 0))...)
	before := read(h, deployment("api")).ResourceVersion
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitHold, "state=refused", "price=1", "free=0", "done=14:50:00..15:10:00", "longer than --max-wait 30m0s", "mirror")
	if after := read(h, deployment("api")).ResourceVersion; after != before {
		t.Error("a refused rollout changed the Deployment")
	}
	h.wants(h.run("rollout", "deploy/api", "--restart", "--max-wait", "1h"), ExitOK, "state=starting", "state=done")
	h.env.Terminal = true
	h.typing("q")
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitHold, "1 unit, would wait")
}

// TestRolloutWithoutNodes: a tenant may not list nodes and rolls out all the same.
func TestRolloutWithoutNodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, ok := list.(*corev1.NodeList); ok {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errText(`User "kim" cannot list resource "nodes" in API group "" at the cluster scope`))
		}
		return c.List(ctx, list, opts...)
	}}, paced(budget(0))...)
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitOK, "state=done")
	h.wants(h.run("cost", "deploy/api"), ExitOK, "priced by the controller", "no node fits")
	// Where nobody answers, the tenant is told what the plugin needs.
	ns := read(h, paced()[0])
	ns.SetLabels(nil)
	if err := h.client.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("cost", "deploy/api"), ExitError, "did not answer a dry run", "may not list nodes")
}

func TestCostNamesClocks(t *testing.T) {
	t.Parallel()
	objects := append(with(func(d *appsv1.Deployment) {
		seconds := int32((2 * time.Hour).Seconds())
		d.Spec.ProgressDeadlineSeconds = &seconds
	}), budget(0), node("a", 0))
	h := newHarness(t, interceptor.Funcs{}, objects...)
	h.wants(h.run("cost", "deploy/api"), ExitHold, "helm --wait (5m0s): yes", "progressDeadlineSeconds (2h0m0s): no")
}

// Flux waits as long as the object that owns the workload says; an autoscaler waits 15
// minutes for a node that a policy holds.
func TestCostNamesClocksOfFluxAndAutoscalers(t *testing.T) {
	t.Parallel()
	holding := func(name string, most *metav1.Duration) *v1alpha1.PacePolicy {
		return &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.PacePolicySpec{Nodes: &v1alpha1.Nodes{Hold: true, MaxHold: most}}}
	}
	objects := append(with(func(d *appsv1.Deployment) {
		d.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
	}), budget(0), node("a", 0),
		holding("brief", nil), holding("long", &metav1.Duration{Duration: 20 * time.Minute}),
		&v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "pods-only"}})
	h := newHarness(t, interceptor.Funcs{}, objects...)
	h.wants(h.run("cost", "deploy/api", "-o", "json"), ExitHold)
	var cost view.Cost
	if err := json.Unmarshal(h.out.Bytes(), &cost); err != nil {
		t.Fatal(err)
	}
	got := map[string]view.Clock{}
	for _, c := range cost.Breaks {
		got[c.Name+" "+c.Why] = view.Clock{Limit: c.Limit, Breaks: c.Breaks}
	}
	want := map[string]view.Clock{
		"helm --wait its default; set --timeout":                                            {Limit: "5m0s", Breaks: "yes"},
		"Flux health check Kustomization flux-system/apps waits so long if it waits at all": {Limit: "spec.timeout", Breaks: "unknown"},
		"autoscaler patience policy brief holds nodes for 10m0s at most":                    {Limit: "15m0s", Breaks: "no"},
		"autoscaler patience policy long holds nodes for 20m0s at most":                     {Limit: "15m0s", Breaks: "yes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clocks (-want +got):\n%s", diff)
	}
}
