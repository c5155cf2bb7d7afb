//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// deploymentOf is a Deployment with a pod on every node.
func deploymentOf(namespace, name, image string) *appsv1.Deployment {
	return ground.Deployment(namespace, name, image, stage.Nodes)
}

// A mistake is a command line that must be refused.
type mistake struct {
	name string
	args []string
	// code is the documented exit code, says a part of what is printed.
	code int
	says string
}

// badInput makes every mistake that is documented: a clear error, its exit code,
// and nothing changed.
func badInput(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	if err := s.Create(ctx, ground.Deployment(s.Name, "app", stage.Unmetered, 1)); err != nil {
		return err
	}
	if err := s.Await(ctx, "app"); err != nil {
		return err
	}
	other := s.Name + "-unpaced"
	if err := s.Namespace(ctx, other, false); err != nil {
		return err
	}
	if err := s.Create(ctx, ground.Deployment(other, "app", stage.Unmetered, 1)); err != nil {
		return err
	}
	if err := s.AwaitRollout(ctx, other, "app"); err != nil {
		return err
	}
	var wrong error
	for _, m := range mistakes(s, other) {
		namespace := s.Name
		if m.name == "namespace not opted in" {
			namespace = other
		}
		wrong = all(wrong, refused(ctx, s, namespace, m))
	}
	if out := s.Kubectl(ctx, "delete", "namespace", other, "--wait=false"); out.Code != 0 {
		return fmt.Errorf("clearing the stage: %s", out)
	}
	return wrong
}

func mistakes(s *stage.Stage, unpaced string) []mistake {
	rollout := func(target string, more ...string) []string {
		return append([]string{"pace", "rollout", target, "-n", s.Name}, more...)
	}
	image := func(ref string) []string { return rollout("deploy/app", "--image", "app="+ref) }
	return []mistake{
		{"unknown kind", rollout("gizmo/app", "--restart"), 2, "unknown kind"},
		{"kind that is not driven", rollout("sts/app", "--restart"), 1, "Deployments and Argo Rollouts are paced"},
		{"no target", []string{"pace", "rollout", "--restart"}, 2, "argument is missing"},
		{"nothing to do", rollout("deploy/app"), 2, "--image, --restart and --follow"},
		{"missing workload", rollout("deploy/none", "--restart"), 1, "deploy/none is not in namespace"},
		{"missing container", rollout("deploy/app", "--image", "none="+s.Image("new")), 1, "no such container"},
		{"bad image reference", image("UPPER/case:::1"), 1, "is not an image reference"},
		{"image without container", rollout("deploy/app", "--image", s.Image("new")), 2, "CONTAINER=IMAGE"},
		// Nothing is left for an hour: the last of 4 pods comes later than 30 minutes.
		{"longer than max-wait", image(s.Image("new")), 3, ""},
		{"namespace not opted in", []string{"pace", "rollout", "deploy/app", "-n", unpaced, "--restart"}, 1, "is not opted in"},
		{"missing namespace", []string{"pace", "rollout", "deploy/app", "-n", "nowhere", "--restart"}, 1, "nowhere"},
		{"kubeconfig absent", rollout("deploy/app", "--restart", "--kubeconfig", "/nonexistent/config"), 1, "/nonexistent/config"},
		{"missing budget", []string{"pace", "budget", "none"}, 1, "no PullBudget"},
		{"release without a reason", []string{"pace", "release", "deploy/app", "-n", s.Name}, 2, "--reason is required"},
		{"unknown output", []string{"pace", "budget", "-o", "xml"}, 2, "unknown output format"},
		{"unknown command", []string{"pace", "rolout"}, 2, "rollout"},
	}
}

// refused makes a mistake and looks whether the Deployment is as before.
func refused(ctx context.Context, s *stage.Stage, namespace string, m mistake) error {
	before, err := specOf(ctx, s, namespace)
	if err != nil {
		return err
	}
	out := s.Kubectl(ctx, m.args...)
	after, err := specOf(ctx, s, namespace)
	if err != nil {
		return err
	}
	if err = out.Tells(m.code, m.says); err != nil {
		err = fmt.Errorf("%s: %w", m.name, err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		err = all(err, fmt.Errorf("%s: the Deployment was changed (-before +after):\n%s", m.name, diff))
	}
	return err
}

// specOf is what a person may have written of the Deployment "app".
func specOf(ctx context.Context, s *stage.Stage, namespace string) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "app"}, &d); err != nil {
		return nil, fmt.Errorf("reading the Deployment: %w", err)
	}
	return &appsv1.Deployment{ObjectMeta: ground.Marks(&d), Spec: d.Spec}, nil
}

// badObjects applies PullBudgets and PacePolicies that the API server must refuse.
func badObjects(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	tests := map[string]struct{ kind, spec, says string }{
		"credentials-missing": {"PullBudget", `{"registry":"a.test","identity":"Credentials"}`, "identity Credentials needs"},
		"credentials-idle":    {"PullBudget", `{"registry":"a.test","credentials":{"secretName":"x"}}`, "only for identity Credentials"},
		"registry-bad":        {"PullBudget", `{"registry":"https://a.test/"}`, "spec.registry"},
		"fixed-half":          {"PullBudget", `{"registry":"a.test","limit":{"source":"Fixed","pulls":8}}`, "needs either pulls and window, or rate and burst"},
		"reserve-high":        {"PullBudget", `{"registry":"a.test","reserve":{"percent":90}}`, "spec.reserve.percent"},
		"endpoint-plain":      {"PullBudget", `{"registry":"a.test","probe":{"endpoint":"http://a.test"}}`, "spec.probe.endpoint"},
		"mode-unknown":        {"PacePolicy", `{"mode":"Sometimes"}`, "spec.mode"},
		"hold-short":          {"PacePolicy", `{"maxHold":"1s"}`, "maxHold must be between"},
		"class-unknown":       {"PacePolicy", `{"defaultClass":"vip"}`, "spec.defaultClass"},
	}
	var wrong error
	for name, tc := range tests {
		manifest := fmt.Sprintf(`{"apiVersion":"pullpace.dev/v1alpha1","kind":%q,"metadata":{"name":%q},"spec":%s}`, tc.kind, name, tc.spec)
		err := s.Apply(ctx, manifest)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			wrong = all(wrong, fmt.Errorf("%s: want a refusal that says %q, got %w", name, tc.says, err))
		}
		var obj client.Object = &v1alpha1.PullBudget{}
		if tc.kind == "PacePolicy" {
			obj = &v1alpha1.PacePolicy{}
		}
		if err := s.Client.Get(ctx, client.ObjectKey{Name: name}, obj); !apierrors.IsNotFound(err) {
			wrong = all(wrong, fmt.Errorf("%s: it is there, want it refused (%w)", name, err))
		}
	}
	return wrong
}

// noPermission runs the plugin as accounts that may do nothing, read, or edit in
// their namespace.
func noPermission(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	if err := s.Create(ctx, ground.Deployment(s.Name, "app", stage.Unmetered, 1)); err != nil {
		return err
	}
	if err := s.Await(ctx, "app"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pace-accounts-")
	if err != nil {
		return fmt.Errorf("making a folder for kubeconfigs: %w", err)
	}
	defer os.RemoveAll(dir)
	accounts := map[string]struct {
		role string
		mistake
	}{
		"nobody": {"", mistake{code: 1, says: "may not get deployments.apps"}},
		"reader": {"view", mistake{code: 1, says: "may not patch deployments.apps"}},
		// Nobody needs more than edit in their own namespace.
		"tenant": {"edit", mistake{code: 0, says: "done"}},
	}
	var wrong error
	for account, tc := range accounts {
		file := filepath.Join(dir, account)
		if err := s.AccountConfig(ctx, s.Name, account, tc.role, file); err != nil {
			return err
		}
		tc.name = "rollout as " + account
		tc.args = []string{"pace", "rollout", "deploy/app", "-n", s.Name, "--restart", "--kubeconfig", file}
		if tc.code != 0 {
			wrong = all(wrong, refused(ctx, s, s.Name, tc.mistake))
		} else if err := s.Kubectl(ctx, tc.args...).Tells(0, tc.says); err != nil {
			wrong = all(wrong, fmt.Errorf("%s: %w", tc.name, err))
		}
	}
	return wrong
}
