package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// runningPods are pods of three registries; one names a pull secret.
func runningPods() []client.Object {
	var pods []client.Object
	for i, image := range []string{"nginx", "acme/api:1", "ghcr.io/acme/agent", "public.ecr.aws/acme/x"} {
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("pod-", i)},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}},
				ImagePullSecrets: []corev1.LocalObjectReference{{Name: "hub"}}}})
	}
	return pods
}

func budgetNames(h *harness) []string {
	h.t.Helper()
	var list v1alpha1.PullBudgetList
	if err := h.client.List(h.t.Context(), &list); err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, b := range list.Items {
		names = append(names, b.Name)
	}
	return names
}

func TestInstallProposesBudgets(t *testing.T) {
	t.Parallel()
	h := newHarness(t, working(), runningPods()...)
	h.wants(h.run("install", "--image-registry", "public.ecr.aws/pace"), ExitOK, "3 registries in 4 pods: wrote 2 PullBudgets",
		"pullbudget/docker-hub (docker.io, 2 pods)", "pullbudget/ghcr (ghcr.io, 1 pod)", "public.ecr.aws: no PullBudget, since Pace's own image comes from there",
		"kubectl create secret docker-registry hub -n pullpace-system", "status --shadow")
	if diff := cmp.Diff([]string{"docker-hub", "ghcr"}, budgetNames(h)); diff != "" {
		t.Errorf("PullBudgets (-want +got):\n%s", diff)
	}
	changed := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: "docker-hub"}}
	read(h, changed).Spec.Probe = &v1alpha1.Probe{Repository: "ours/probe"}
	if err := h.client.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "hub"}}
	if err := h.client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.wants(h.run("install", "--image-registry", "public.ecr.aws/pace"), ExitOK, "wrote 1 PullBudget", "pullbudget/docker-hub-hub")
	if got := read(h, changed).Spec.Probe; got == nil || got.Repository != "ours/probe" {
		t.Errorf("a second install wrote over a PullBudget: %+v", got)
	}
}

func TestInstallShowsBudgets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		// wantFound is how many are shown, -1: nobody looks.
		wantFound int
	}{
		"printed":                  {[]string{"--budgets=print"}, 2},
		"dry run by the server":    {[]string{"--dry-run=server"}, 2},
		"none":                     {[]string{"--budgets=none"}, -1},
		"dry run without a server": {[]string{"--dry-run=client"}, -1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, working(), runningPods()...)
			h.wants(h.run(append([]string{"install", "-o", "json"}, tc.args...)...), ExitOK)
			var model view.Install
			if err := json.Unmarshal(h.out.Bytes(), &model); err != nil {
				t.Fatal(err)
			}
			found := -1
			if model.Found != nil {
				found = len(model.Found.Budgets)
				for _, b := range model.Found.Budgets {
					if b.Change != "would create" || b.Manifest == "" {
						t.Errorf("%+v, want a manifest of what would be created", b)
					}
				}
			}
			if found != tc.wantFound {
				t.Errorf("%d PullBudgets are shown, want %d", found, tc.wantFound)
			}
			if names := budgetNames(h); len(names) > 0 {
				t.Errorf("PullBudgets %v were made", names)
			}
		})
	}
	h := newHarness(t, working(), runningPods()...)
	h.wants(h.run("install", "--budgets=print"), ExitOK, "would write 2 PullBudgets", "kind: PullBudget", "registry: public.ecr.aws")
	h.wants(h.run("install", "--budgets=maybe"), ExitUsage, "unknown --budgets")
}

// TestInstallWithoutRightsToLook installs all the same.
func TestInstallWithoutRightsToLook(t *testing.T) {
	t.Parallel()
	hooks := working()
	hooks.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		var o client.ListOptions
		o.ApplyOptions(opts)
		if _, pods := list.(*corev1.PodList); pods && o.Namespace == "" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", fmt.Errorf(`User "kim" cannot list resource "pods" in API group "" at the cluster scope`))
		}
		return c.List(ctx, list, opts...)
	}
	h := newHarness(t, hooks, runningPods()...)
	h.wants(h.run("install"), ExitOK, "Installed.", "no PullBudget is proposed")
}
