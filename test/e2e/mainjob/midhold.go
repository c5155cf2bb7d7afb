//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// midHold does to Deployments that are held, for want of any budget, what people and
// pipelines do: all of it works, and nothing says that it is done before it is. Then
// there is budget, and every Deployment becomes what it was.
func midHold(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	h := &hold{Stage: s, began: map[string]appsv1.DeploymentSpec{}}
	for _, app := range []string{"waited", "undone", "restarted", "scaled", "late", "broken"} {
		if err := h.serve(ctx, app); err != nil {
			return err
		}
	}
	chart, err := h.chart(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(chart)
	if err := h.applied(ctx, "applied", stage.Unmetered); err != nil {
		return err
	}
	if err := h.start(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := h.watch(watching)
	if err := h.rollOut(ctx, chart); err != nil {
		return err
	}
	upgrade := make(chan ground.Result, 1)
	go func() {
		upgrade <- h.Helm(ctx, "upgrade", "charted", chart, "-n", s.Name, "--set", "image="+s.Image("charted"), "--wait", "--timeout", "2m")
	}()
	held := time.Now()
	if err := all(h.people(ctx), h.flux(ctx)); err != nil {
		return err
	}
	// More than twice the deadline of "late".
	if err := stage.Pass(ctx, time.Until(held.Add(2*lateDeadline+2*time.Second))); err != nil {
		return err
	}
	stop()
	saw := <-seen
	r.Note("held", time.Since(held).Round(time.Second))
	if len(upgrade) > 0 {
		return fmt.Errorf("helm ended while pods were held:\n%s", <-upgrade)
	}
	if err := all(saw.wrong(), h.stillHeld(ctx)); err != nil {
		return err
	}
	s.Host.SetLimit(0, 10*stage.Limit)
	return all(h.finish(ctx, upgrade), noOwn429(s))
}

// lateDeadline is a progress deadline that passes within a hold.
const lateDeadline = 5 * time.Second

// hold is what is done to Deployments that are held.
type hold struct {
	*stage.Stage
	// began are the Deployments before anything was held.
	began map[string]appsv1.DeploymentSpec
}

// serve makes a Deployment of an image that nothing meters, with the bounds that
// Deployments have unless they are told.
func (h *hold) serve(ctx context.Context, app string) error {
	d, err := h.Deployment(ctx, app, stage.Nodes)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.Containers[0].Image = stage.Unmetered
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromString("25%")), MaxSurge: new(intstr.FromString("25%"))}
	if app == "late" || app == "broken" {
		d.Spec.ProgressDeadlineSeconds = new(int32(lateDeadline / time.Second))
	}
	return h.Create(ctx, d)
}

// chart makes a chart of one Deployment and installs it.
func (h *hold) chart(ctx context.Context) (dir string, err error) {
	if err := h.Push(ctx, h.Image("charted")); err != nil {
		return "", err
	}
	d := ground.Deployment(h.Name, "charted", "{{ .Values.image }}", stage.Nodes)
	d.TypeMeta.APIVersion, d.TypeMeta.Kind = "apps/v1", "Deployment"
	d.Spec.Strategy.RollingUpdate = nil // the defaults
	manifest, err := yaml.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("writing a chart: %w", err)
	}
	if dir, err = os.MkdirTemp("", "pace-chart-"); err != nil {
		return "", fmt.Errorf("making a folder for a chart: %w", err)
	}
	files := map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: charted\nversion: 1.0.0\n", "values.yaml": "image: " + stage.Unmetered + "\n",
		"templates/deployment.yaml": strings.ReplaceAll(string(manifest), "'{{ .Values.image }}'", "{{ .Values.image }}"),
	}
	for name, text := range files {
		err = errors.Join(err, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	if err != nil {
		return dir, fmt.Errorf("writing a chart: %w", err)
	}
	if out := h.Helm(ctx, "install", "charted", dir, "-n", h.Name, "--wait", "--timeout", "2m"); out.Code != 0 {
		return dir, fmt.Errorf("installing a chart: %s", out)
	}
	return dir, nil
}

// manifest is the Deployment as a person keeps it in Git: what is not said there is
// nobody's.
func (h *hold) manifest(app, image string) (*unstructured.Unstructured, error) {
	d := ground.Deployment(h.Name, app, image, stage.Nodes)
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromString("25%")), MaxSurge: new(intstr.FromString("25%"))}
	d.TypeMeta.APIVersion, d.TypeMeta.Kind = "apps/v1", "Deployment"
	text, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing a manifest: %w", err)
	}
	var obj unstructured.Unstructured
	if err := yaml.Unmarshal(text, &obj.Object); err != nil {
		return nil, fmt.Errorf("writing a manifest: %w", err)
	}
	unstructured.RemoveNestedField(obj.Object, "status")
	unstructured.RemoveNestedField(obj.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(obj.Object, "spec", "template", "metadata", "creationTimestamp")
	return &obj, nil
}

// applied applies a Deployment as Flux does.
func (h *hold) applied(ctx context.Context, app, image string, more ...client.ApplyOption) error {
	obj, err := h.manifest(app, image)
	if err != nil {
		return err
	}
	return h.apply(ctx, obj, more...)
}

func (h *hold) apply(ctx context.Context, obj *unstructured.Unstructured, more ...client.ApplyOption) error {
	options := append([]client.ApplyOption{client.FieldOwner("kustomize-controller"), client.ForceOwnership}, more...)
	if err := h.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj), options...); err != nil {
		return fmt.Errorf("applying %s: %w", obj.GetName(), err)
	}
	return nil
}

// start waits until all serve, and remembers how they are.
func (h *hold) start(ctx context.Context) error {
	var list appsv1.DeploymentList
	if err := h.Client.List(ctx, &list, client.InNamespace(h.Name)); err != nil {
		return fmt.Errorf("listing Deployments: %w", err)
	}
	for _, d := range list.Items {
		if err := h.Await(ctx, d.Name); err != nil {
			return err
		}
		if err := h.restored(ctx, d.Name); err != nil {
			return err
		}
	}
	if err := h.Client.List(ctx, &list, client.InNamespace(h.Name)); err != nil {
		return fmt.Errorf("listing Deployments: %w", err)
	}
	for _, d := range list.Items {
		h.began[d.Name] = d.Spec
	}
	return nil
}

// restored waits until nothing of Pace is on a Deployment and its ReplicaSets.
func (h *hold) restored(ctx context.Context, app string) error {
	return stage.Poll(ctx, "nothing of Pace to be on "+app, func(ctx context.Context) (bool, string, error) {
		var d appsv1.Deployment
		if err := h.Client.Get(ctx, client.ObjectKey{Namespace: h.Name, Name: app}, &d); err != nil {
			return false, "", err
		}
		var sets appsv1.ReplicaSetList
		if err := h.Client.List(ctx, &sets, client.InNamespace(h.Name), client.MatchingLabels{"app": app}); err != nil {
			return false, "", err
		}
		left := fmt.Sprint(d.Labels, d.Annotations)
		for _, rs := range sets.Items {
			left += fmt.Sprint(rs.Annotations)
		}
		return !strings.Contains(left, v1alpha1.Group), left, nil
	})
}

// rollOut changes the images of all, and waits until a pod of each is held.
func (h *hold) rollOut(ctx context.Context, chart string) error {
	for app := range h.began {
		image := h.Image(app)
		switch app {
		case "charted":
			continue // Helm does it
		case "applied":
			if err := errors.Join(h.Push(ctx, image), h.applied(ctx, app, image)); err != nil {
				return err
			}
			continue
		case "broken":
			image = h.Host.Name() + "/missing:1"
		}
		if out := h.Kubectl(ctx, "set", "image", "deploy/"+app, "app="+image, "-n", h.Name); out.Code != 0 {
			return fmt.Errorf("rolling out: %s", out)
		}
	}
	return h.stillHeld(ctx, "charted", "undone")
}

// stillHeld waits until a pod of each is held, but of those.
func (h *hold) stillHeld(ctx context.Context, but ...string) error {
	for app := range h.began {
		if strings.Contains(strings.Join(but, " "), app) || app == "undone" && len(but) == 0 {
			continue
		}
		if _, err := h.AwaitPods(ctx, app, "a pod of "+app+" to be held", someHeld); err != nil {
			return err
		}
	}
	return nil
}

// people do what people do with kubectl.
func (h *hold) people(ctx context.Context) error {
	if out := h.Kubectl(ctx, "rollout", "status", "deploy/waited", "-n", h.Name, "--timeout", "3s"); out.Code == 0 || !strings.Contains(out.Stdout, "Waiting for deployment") {
		return fmt.Errorf("kubectl does not wait for a rollout that is held: %s", out)
	}
	for _, args := range [][]string{
		{"rollout", "undo", "deploy/undone"}, {"rollout", "restart", "deploy/restarted"}, {"scale", "deploy/scaled", "--replicas=6"},
	} {
		if out := h.Kubectl(ctx, append(args, "-n", h.Name)...); out.Code != 0 {
			return fmt.Errorf("in the middle of a hold: %s", out)
		}
	}
	// Going back costs nothing, and is over while the others are held.
	if err := all(h.Await(ctx, "undone"), h.restored(ctx, "undone")); err != nil {
		return err
	}
	if out := h.Kubectl(ctx, "rollout", "status", "deploy/restarted", "-n", h.Name, "--timeout", "1s"); out.Code == 0 {
		return fmt.Errorf("kubectl says that a restart is done whose pods are held: %s", out)
	}
	return nil
}

// flux applies the same again and again, asking before whether anything differs.
func (h *hold) flux(ctx context.Context) error {
	for range 5 {
		live, err := h.manifest("applied", h.Image("applied"))
		if err != nil {
			return err
		}
		dry := live.DeepCopy()
		if err := h.Client.Get(ctx, client.ObjectKeyFromObject(live), live); err != nil {
			return fmt.Errorf("reading what is applied: %w", err)
		}
		if err := h.apply(ctx, dry, client.DryRunAll); err != nil {
			return err
		}
		for _, obj := range []*unstructured.Unstructured{live, dry} {
			unstructured.RemoveNestedField(obj.Object, "status")
			for _, field := range []string{"managedFields", "resourceVersion"} {
				unstructured.RemoveNestedField(obj.Object, "metadata", field)
			}
		}
		if diff := cmp.Diff(live.Object, dry.Object); diff != "" {
			return fmt.Errorf("a dry run of what is applied already differs (-live +dry run):\n%s", diff)
		}
		if err := h.applied(ctx, "applied", h.Image("applied")); err != nil {
			return err
		}
	}
	return nil
}

// witnessed is what was seen of Deployments all along.
type witnessed struct {
	looks int
	errs  []error
}

func (w witnessed) wrong() error {
	if w.looks < 10 {
		w.errs = append(w.errs, fmt.Errorf("looked %d times only", w.looks))
	}
	return errors.Join(w.errs...)
}

// watch looks at all Deployments until ctx ends: none may have fewer ready pods than
// before, nor miss its progress deadline.
func (h *hold) watch(ctx context.Context) <-chan witnessed {
	seen := make(chan witnessed, 1)
	go func() {
		var w witnessed
		wrong := map[string]bool{}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				seen <- w
				return
			case <-tick.C:
			}
			var list appsv1.DeploymentList
			if h.Client.List(ctx, &list, client.InNamespace(h.Name)) != nil {
				continue
			}
			w.looks++
			for i := range list.Items {
				if what := short(&list.Items[i]); what != "" && !wrong[what] {
					wrong[what] = true
					w.errs = append(w.errs, errors.New(what))
				}
			}
		}
	}()
	return seen
}

// short says what is wrong with a Deployment that is held; empty: nothing.
func short(d *appsv1.Deployment) string {
	if d.Status.ReadyReplicas < stage.Nodes {
		return fmt.Sprintf("%s has %d ready pods in a hold, want %d at least", d.Name, d.Status.ReadyReplicas, stage.Nodes)
	}
	if late(d) {
		return d.Name + " missed its progress deadline in a hold"
	}
	return ""
}

// late says whether a Deployment missed its progress deadline.
func late(d *appsv1.Deployment) bool {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse {
			return true
		}
	}
	return false
}

// finish expects that all but the broken one come to their end, and that all are as
// before then, but for what their users changed.
func (h *hold) finish(ctx context.Context, upgrade <-chan ground.Result) error {
	if out := h.Kubectl(ctx, "rollout", "status", "deploy/broken", "-n", h.Name, "--timeout", "90s"); !strings.Contains(out.Stderr, "exceeded its progress deadline") {
		return fmt.Errorf("a rollout of an image that does not exist does not miss its deadline after the hold: %s", out)
	}
	if out := <-upgrade; out.Code != 0 {
		return fmt.Errorf("helm failed although there was budget: %s", out)
	}
	for app, before := range h.began {
		if app != "broken" {
			if err := h.Await(ctx, app); err != nil {
				return err
			}
		}
		if err := h.restored(ctx, app); err != nil {
			return err
		}
		var d appsv1.Deployment
		if err := h.Client.Get(ctx, client.ObjectKey{Namespace: h.Name, Name: app}, &d); err != nil {
			return fmt.Errorf("reading %s: %w", app, err)
		}
		d.Spec.Template = before.Template
		if app == "scaled" {
			d.Spec.Replicas = before.Replicas
		}
		if diff := cmp.Diff(before, d.Spec); diff != "" {
			return fmt.Errorf("%s is not what it was (-before +after):\n%s", app, diff)
		}
		if app != "broken" && late(&d) {
			return fmt.Errorf("%s missed its progress deadline after the hold", app)
		}
	}
	return nil
}
