//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// account is somebody who has a role in the stage's namespace and nothing else.
type account struct {
	*stage.Stage
	name, dir string
}

// accounts makes a tenant, who may edit, and a reader, who may view. Their files are
// removed by the function returned.
func accounts(ctx context.Context, s *stage.Stage) (tenant, reader account, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "pace-accounts-")
	if err != nil {
		return account{}, account{}, nil, fmt.Errorf("making a folder for kubeconfigs: %w", err)
	}
	tenant, reader = account{s, "tenant", dir}, account{s, "reader", dir}
	err = all(s.AccountConfig(ctx, s.Name, tenant.name, "edit", tenant.config()), s.AccountConfig(ctx, s.Name, reader.name, "view", reader.config()))
	return tenant, reader, func() error { return os.RemoveAll(dir) }, err
}

func (a account) config() string { return filepath.Join(a.dir, a.name) }

// user is how the API server knows the account.
func (a account) user() string { return "system:serviceaccount:" + a.Name + ":" + a.name }

// run runs kubectl as the account.
func (a account) run(ctx context.Context, args ...string) ground.Result {
	return a.Kubectl(ctx, append(args, "-n", a.Name, "--kubeconfig", a.config())...)
}

// says runs kubectl as the account and complains unless it ends with the code and
// has said all of the words.
func (a account) says(ctx context.Context, code int, words []string, args ...string) error {
	if err := a.run(ctx, args...).Tells(code, words...); err != nil {
		return fmt.Errorf("as %s: %w", a.name, err)
	}
	return nil
}

// apply has the account apply a Deployment "app" of an image.
func (a account) apply(ctx context.Context, image string) (ground.Result, error) {
	d := deploymentOf(a.Name, "app", image)
	d.APIVersion, d.Kind = "apps/v1", "Deployment"
	text, err := json.Marshal(d)
	if err != nil {
		return ground.Result{}, fmt.Errorf("writing a Deployment: %w", err)
	}
	file := filepath.Join(a.dir, "app.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return ground.Result{}, fmt.Errorf("writing a Deployment: %w", err)
	}
	out := a.run(ctx, "apply", "-f", file)
	if out.Code != 0 {
		return out, fmt.Errorf("applying: %s", out)
	}
	return out, nil
}

// tenants is what people may do and see who have nothing but `edit`, or `view`, in
// one namespace, while nothing is left of the account.
func tenants(ctx context.Context, s *stage.Stage, _ *suite.Report) (err error) {
	tenant, reader, remove, err := accounts(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = all(err, remove()) }()
	if err := s.Push(ctx, s.Image("app")); err != nil {
		return err
	}
	if _, err := tenant.apply(ctx, stage.Unmetered); err != nil {
		return err
	}
	if err := s.Await(ctx, "app"); err != nil {
		return err
	}
	out, err := tenant.apply(ctx, s.Image("app"))
	if err != nil {
		return err
	}
	if err := warned(s, out); err != nil {
		return err
	}
	pods, err := s.AwaitPods(ctx, "app", "its new pods to be held", func(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) == stage.Nodes })
	if err != nil {
		return err
	}
	held := pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return stage.Held(&p) })].Name
	if err := all(pricedFor(ctx, tenant), explained(ctx, reader, held)); err != nil {
		return err
	}
	if err := ordered(ctx, tenant, reader, held); err != nil {
		return err
	}
	return all(owned(ctx, tenant), switchedOff(ctx, s))
}

// warned complains unless kubectl, without the plugin, printed what the write costs
// and when the last pod goes.
func warned(s *stage.Stage, out ground.Result) error {
	want := regexp.MustCompile(`(?m)^Warning: pace: needs 4(-8)? pulls, 0 free; last pod about .+ UTC \(` + regexp.QuoteMeta(s.Host.Name()) + `, deploy/app\)$`)
	if !want.MatchString(out.Stderr) {
		return fmt.Errorf("want a warning like %s:\n%s", want, out)
	}
	return nil
}

// pricedFor complains unless the account gets a whole price, and is refused what
// would take too long.
func pricedFor(ctx context.Context, a account) error {
	out := a.run(ctx, "pace", "cost", "deploy/app", "-o", "json")
	var c view.Cost
	if err := json.Unmarshal([]byte(out.Stdout), &c); err != nil || out.Code != 3 {
		return fmt.Errorf("pricing as %s, want exit code 3: %s (%w)", a.name, out, err)
	}
	if c.Source != "controller" || c.Nodes != stage.Nodes || c.HoldUntil.IsZero() || c.Finish.IsZero() || len(c.Accounts) != 1 {
		return fmt.Errorf("priced as %s: want a price by the controller on %d nodes with a finish and a bound:\n%s", a.name, stage.Nodes, out)
	}
	account := c.Accounts[0]
	if account.Needs.Min < stage.Nodes || account.Needs.Max > 2*stage.Nodes || account.Free == nil || *account.Free != 0 || account.SeenAs != a.Address || account.ReadAt.IsZero() {
		return fmt.Errorf("priced as %s: want %d units at least, 0 free, as %s:\n%s", a.name, stage.Nodes, a.Address, out)
	}
	// Nothing comes back within the hour.
	return a.says(ctx, 3, []string{"longer than --max-wait 30m", "authenticate", "mirror", "pin"}, "pace", "rollout", "deploy/app", "--restart")
}

// explained complains unless a reader is told why a pod and its Deployment wait.
func explained(ctx context.Context, a account, pod string) error {
	// Pods are explained a few in a second, so that the last is told of a moment later.
	err := stage.Poll(ctx, "all held pods to be explained", func(ctx context.Context) (bool, string, error) {
		err := all(
			a.says(ctx, 0, []string{"HELD", "WaitingForBudget", "0 free"}, "pace", "explain", "pod/"+pod),
			a.says(ctx, 0, []string{"HELD", "4 pods"}, "pace", "explain", "deploy/app"),
		)
		return err == nil, "all said", err
	})
	return all(err, a.says(ctx, 1, []string{"may not patch"}, "pace", "pause", "deploy/app", "--reason", "curious"))
}

// ordered gives every order and complains unless who gave it is known everywhere,
// also where the order claims another.
func ordered(ctx context.Context, tenant, reader account, pod string) error {
	const forged = `pullpace.dev/paused={"by":"the boss","reason":"forged"}`
	err := all(
		tenant.says(ctx, 0, []string{"paused"}, "pace", "pause", "deploy/app", "--reason", "it leaks"),
		tenant.says(ctx, 0, nil, "annotate", "deploy/app", "--overwrite", forged),
		tenant.says(ctx, 0, []string{"resumed"}, "pace", "resume", "deploy/app", "--reason", "it does not"),
		tenant.says(ctx, 0, []string{"released"}, "pace", "release", "pod/"+pod, "--now", "--reason", "customers wait"),
		tenant.says(ctx, 1, []string{"may not patch pullbudgets"}, "pace", "pause", "budget/"+tenant.Name, "--reason", "mine"),
	)
	if err != nil {
		return err
	}
	_, err = tenant.AwaitPods(ctx, "app", "the pod to be let go", func(pods []corev1.Pod) bool {
		return stage.Count(pods, func(p *corev1.Pod) bool { return p.Name == pod && !stage.Held(p) }) == 1
	})
	return all(err, audited(ctx, tenant), recorded(ctx, tenant), told(ctx, tenant, reader, pod))
}

// audited complains unless the API server's log names the account with each order.
func audited(ctx context.Context, a account) error {
	want := []string{"pause it leaks", "pause forged", "resume it does not", "release customers wait"}
	return stage.Poll(ctx, "the audit log to name all orders", func(context.Context) (bool, string, error) {
		entries, err := a.Cluster.Audit()
		if err != nil {
			return false, "", err
		}
		got := ordersIn(entries, a.Name, a.user())
		return slices.Equal(want, got), fmt.Sprintf("%q", got), nil
	})
}

// ordersIn are the orders of a user in a namespace, as admission noted them. A write that
// met a change of somebody else is noted too, and tried again: that is one order.
func ordersIn(entries []cluster.AuditEntry, namespace, user string) []string {
	const key = "orders.pullpace.dev/"
	var got []string
	for _, e := range entries {
		if e.Object.Namespace == namespace && e.Annotations[key+"by"] == user && e.User.Username == user && e.Annotations[key+"decision"] != "" {
			got = append(got, e.Annotations[key+"action"]+" "+e.Annotations[key+"reason"])
		}
	}
	return slices.Compact(got)
}

// recorded complains unless the PullBudget's status has the account's orders.
func recorded(ctx context.Context, a account) error {
	want := []string{"paused it leaks", "paused forged", "resumed it does not", "released customers wait"}
	return stage.Poll(ctx, "the PullBudget to list all orders", func(ctx context.Context) (bool, string, error) {
		var budget v1alpha1.PullBudget
		if err := a.Client.Get(ctx, client.ObjectKey{Name: a.Name}, &budget); err != nil {
			return false, "", err
		}
		var got []string
		for _, r := range budget.Status.Overrides {
			if r.By == a.user() {
				got = append(got, r.Action+" "+r.Reason)
			}
		}
		return slices.Equal(want, got), fmt.Sprintf("%+v", budget.Status.Overrides), nil
	})
}

// told complains unless a reader finds the orders in what explain says.
func told(ctx context.Context, tenant, reader account, pod string) error {
	for object, note := range map[string]string{
		"deploy/app": "paused by " + tenant.user() + ": it leaks",
		"pod/" + pod: "released by " + tenant.user() + ": customers wait",
	} {
		err := stage.Poll(ctx, "explain to tell of an order", func(ctx context.Context) (bool, string, error) {
			out := reader.run(ctx, "pace", "explain", object)
			return strings.Contains(out.Stdout, note), out.String(), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// owned complains unless a Deployment of Argo CD is left to it, and can be watched. Its
// pods wait for units, or for the 429 to be over that the one met which went without.
func owned(ctx context.Context, a account) error {
	if out := a.Kubectl(ctx, "annotate", "deploy/app", "-n", a.Name, "argocd.argoproj.io/tracking-id=shop:apps/Deployment:x/app"); out.Code != 0 {
		return fmt.Errorf("giving the Deployment an owner: %s", out)
	}
	return all(
		a.says(ctx, 1, []string{"belongs to Argo CD", "rollout deploy/app -n " + a.Name + " --follow"}, "pace", "rollout", "deploy/app", "--restart", "--max-wait", "2h"),
		a.says(ctx, 4, []string{"held=3", "reason="}, "pace", "rollout", "deploy/app", "--follow", "--max-wait", "3s"),
	)
}

// switchedOff switches the namespace off and complains unless all go at once.
func switchedOff(ctx context.Context, s *stage.Stage) error {
	if out := s.Kubectl(ctx, "annotate", "namespace", s.Name, "pullpace.dev/pace=off"); out.Code != 0 {
		return fmt.Errorf("switching the namespace off: %s", out)
	}
	pods, err := s.AwaitPods(ctx, "app", "no pod to be held", func(pods []corev1.Pod) bool { return !someHeld(pods) })
	if err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	n := len(slices.DeleteFunc(releases, func(r stage.Release) bool { return r.Reason != "NotOptedIn" }))
	if n != stage.Nodes-1 {
		return errors.New("want all but the one that was released before to go since the namespace is off")
	}
	return nil
}
