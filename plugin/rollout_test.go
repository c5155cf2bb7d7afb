package plugin

import (
	"context"
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
)

// with changes the Deployment api before a test.
func with(change func(*appsv1.Deployment)) []client.Object {
	objects := paced()
	change(objects[2].(*appsv1.Deployment))
	return objects
}

func annotated(key, value string) []client.Object {
	return with(func(d *appsv1.Deployment) { d.Annotations[key] = value })
}

func labelled(key, value string) []client.Object {
	return with(func(d *appsv1.Deployment) { d.Labels = map[string]string{key: value} })
}

// TestRolloutRefuses holds every refusal to its code, to what it says, and to
// changing nothing.
func TestRolloutRefuses(t *testing.T) {
	t.Parallel()
	image := []string{"--image", "api=docker.io/acme/api:2"}
	tests := map[string]struct {
		objects  []client.Object
		args     []string
		wantCode int
		want     string
	}{
		"unknown kind":          {paced(), append([]string{"thing/api"}, image...), ExitUsage, `unknown kind "thing"`},
		"no slash":              {paced(), append([]string{"api"}, image...), ExitUsage, "not TYPE/NAME"},
		"statefulset":           {paced(), append([]string{"sts/db"}, image...), ExitError, "Deployments and Argo Rollouts are paced"},
		"missing workload":      {paced(), append([]string{"deploy/none"}, image...), ExitError, `is not in namespace "shop"`},
		"nothing to do":         {paced(), []string{"deploy/api"}, ExitUsage, "say one of"},
		"two things to do":      {paced(), append([]string{"deploy/api", "--restart"}, image...), ExitUsage, "say one of"},
		"bad image flag":        {paced(), []string{"deploy/api", "--image", "api"}, ExitUsage, "not CONTAINER=IMAGE"},
		"bad image reference":   {paced(), []string{"deploy/api", "--image", "api=Not A Ref"}, ExitError, "is not an image reference"},
		"image twice":           {paced(), append([]string{"deploy/api", "--image", "api=x"}, image...), ExitUsage, "twice"},
		"unknown container":     {paced(), []string{"deploy/api", "--image", "web=nginx"}, ExitError, "no such container; it has api"},
		"no wait":               {paced(), append([]string{"deploy/api", "--max-wait", "0s"}, image...), ExitUsage, "--max-wait"},
		"bad dry run":           {paced(), append([]string{"deploy/api", "--dry-run=maybe"}, image...), ExitUsage, "--dry-run"},
		"argo cd by annotation": {annotated("argocd.argoproj.io/tracking-id", "shop:apps/Deployment:shop/api"), append([]string{"deploy/api"}, image...), ExitError, "belongs to Argo CD"},
		"argo cd by label":      {labelled("argocd.argoproj.io/instance", "shop"), append([]string{"deploy/api"}, image...), ExitError, "--follow"},
		"flux":                  {labelled("kustomize.toolkit.fluxcd.io/name", "apps"), append([]string{"deploy/api"}, image...), ExitError, "belongs to Flux"},
		"flux helm":             {labelled("helm.toolkit.fluxcd.io/name", "apps"), append([]string{"deploy/api"}, image...), ExitError, "HelmRelease"},
		"helm":                  {annotated("meta.helm.sh/release-name", "api"), append([]string{"deploy/api"}, image...), ExitError, "belongs to Helm"},
		"helm by label":         {labelled("app.kubernetes.io/managed-by", "Helm"), append([]string{"deploy/api"}, image...), ExitError, "belongs to Helm"},
		"paused by a person":    {annotated(v1alpha1.AnnotationPaused, `{"by":"kim","reason":"leaks"}`), append([]string{"deploy/api"}, image...), ExitPaused, "leaks (kim)"},
		"paused with junk":      {annotated(v1alpha1.AnnotationPaused, `junk`), append([]string{"deploy/api"}, image...), ExitPaused, "unknown reason"},
		"spec.paused":           {with(func(d *appsv1.Deployment) { d.Spec.Paused = true }), append([]string{"deploy/api"}, image...), ExitPaused, "spec.paused"},
		"no controller":         {paced()[:1:1], append([]string{"deploy/api"}, image...), ExitError, "not installed"},
		"dead controller":       {nil, append([]string{"deploy/api"}, image...), ExitError, "has not completed a turn since"},
		"not opted in":          {nil, append([]string{"deploy/api"}, image...), ExitError, "not opted in"},
		"switched off":          {nil, append([]string{"deploy/api"}, image...), ExitError, "switched off"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := tc.objects
			switch name {
			case "no controller":
				objects = append(objects, deployment("api"))
			case "dead controller":
				objects = []client.Object{paced()[0], heartbeat(now.Add(-time.Hour)), deployment("api")}
			case "not opted in":
				objects = []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, heartbeat(now), deployment("api")}
			case "switched off":
				objects = paced()
				objects[0].SetAnnotations(map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff})
			}
			h := newHarness(t, interceptor.Funcs{}, objects...)
			before := read(h, deployment("api")).ResourceVersion
			h.wants(h.run(append([]string{"rollout"}, tc.args...)...), tc.wantCode, tc.want)
			if after := read(h, deployment("api")).ResourceVersion; after != before {
				t.Errorf("the Deployment was changed: %s -> %s", before, after)
			}
		})
	}
}

// TestRolloutForbidden names the verb and the resource that are missing.
func TestRolloutForbidden(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "api",
				errText(`User "kim" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`))
		},
	}, paced()...)
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitError, `user "kim" may not patch deployments.apps in namespace shop`, "pace-edit")
}

type errText string

func (e errText) Error() string { return string(e) }

func TestRolloutSetsImageAsPullpace(t *testing.T) {
	t.Parallel()
	var manager string
	h := newHarness(t, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			var o client.PatchOptions
			o.ApplyOptions(opts)
			manager = o.FieldManager
			return c.Patch(ctx, obj, patch, opts...)
		},
	}, paced()...)
	h.wants(h.run("rollout", "deploy/api", "--image", "api=docker.io/acme/api:2"), ExitOK, "state=starting", "state=done")
	if manager != "pullpace" {
		t.Errorf("field manager %q, want pullpace", manager)
	}
	got := read(h, deployment("api"))
	if diff := cmp.Diff("docker.io/acme/api:2", got.Spec.Template.Spec.Containers[0].Image); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRolloutRestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced()...)
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitOK, "state=done")
	got := read(h, deployment("api")).Spec.Template.Annotations[restartedAt]
	if got != now.Format(time.RFC3339) {
		t.Errorf("restarted at %q, want %s", got, now.Format(time.RFC3339))
	}
}

func TestRolloutDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced()...)
	before := read(h, deployment("api")).ResourceVersion
	h.wants(h.run("rollout", "deploy/api", "--image", "api=docker.io/acme/api:2", "--dry-run"), ExitOK, "nothing was changed")
	if after := read(h, deployment("api")).ResourceVersion; after != before {
		t.Errorf("a dry run changed the Deployment: %s -> %s", before, after)
	}
}

// TestRolloutConflict: somebody else changes the Deployment between read and
// write.
func TestRolloutConflict(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			other := deployment("api")
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), other); err != nil {
				return err
			}
			other.Annotations["other"] = "was here"
			if err := c.Update(ctx, other); err != nil {
				return err
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	}, paced()...)
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitError, "somebody changed the object")
	if got := read(h, deployment("api")).Spec.Template.Annotations[restartedAt]; got != "" {
		t.Error("the rollout was started over somebody else's change")
	}
}

func TestRolloutWarnsOfRecreate(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, with(func(d *appsv1.Deployment) {
		d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
	})...)
	h.wants(h.run("rollout", "deploy/api", "--restart"), ExitOK, "Recreate deletes every pod first")
}

func TestFollowEndsPaused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, with(func(d *appsv1.Deployment) {
		d.Annotations[v1alpha1.AnnotationPaused] = `{"by":"kim","reason":"leaks"}`
		d.Status.UpdatedReplicas = 1
		d.Labels = map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	})...)
	h.wants(h.run("rollout", "deploy/api", "--follow"), ExitPaused, "state=paused", `message="leaks (kim)"`)
}
