package plugin

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
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
