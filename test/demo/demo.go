//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/dialect"
	"github.com/pullpace/pace/test/registry/limit"
)

// hub is the registry with the limit. Its two accounts stand for two teams with
// a bucket each.
const (
	hub          = "hub.test"
	accountAlone = "left-alone"
	accountPaced = "paced"
	password     = "not-a-secret"
)

// workloads are rolled out together, each with an image of its own; the last
// image is a multi-platform one and costs two requests a pull.
var workloads = [...]string{"api", "web", "cart", "mail", "pay", "auth", "feed", "search"}

// patience bounds each of the two runs.
const patience = 20 * time.Minute

type demo struct {
	settings
	ground *ground.Ground
	hub    *registry.Host
}

// prepare brings up the cluster, the registry with all images, and both teams'
// workloads at their first version, which comes from a host that nothing meters.
func prepare(ctx context.Context, s settings) (*demo, error) {
	say("Starting %d nodes, each a kubelet with a containerd of its own.", s.nodes)
	g, err := ground.Start(ctx, ground.Options{Nodes: make([]cluster.NodeOptions, s.nodes), LogsDir: s.logs, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	d := &demo{settings: s, ground: g}
	if err := d.fill(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%v", d.failed(err), g.Stop())
	}
	return d, nil
}

func (d *demo) fill(ctx context.Context) error {
	if err := d.addHub(); err != nil {
		return err
	}
	if err := d.ground.Push(ctx, first); err != nil {
		return err
	}
	for _, account := range []string{accountAlone, accountPaced} {
		for i, name := range workloads {
			var platforms []string
			if i == len(workloads)-1 {
				platforms = []string{"linux/amd64", "linux/arm64"}
			}
			if err := d.ground.Push(ctx, image(account, name), platforms...); err != nil {
				return err
			}
		}
		if err := d.settle(ctx, account); err != nil {
			return err
		}
	}
	return nil
}

// first is what every workload runs before the rollout.
const first = ground.Infra + "/demo/app:1"

func image(account, name string) string { return hub + "/" + account + "/" + name + ":2" }

// addHub adds the registry: accounts with passwords, Bearer tokens, a rolling log
// of manifest requests for each account, and the headers of Docker Hub.
func (d *demo) addHub() error {
	token, err := d.ground.AddToken(registry.TokenConfig{
		Host: hub, Accounts: map[string]string{accountAlone: password, accountPaced: password},
	})
	if err != nil {
		return err
	}
	d.hub, err = d.ground.AddHost(registry.HostConfig{
		Name: hub, Auth: registry.BearerAuth, Token: token, Private: []string{"*/*"},
		Dialect: dialect.DockerHub, Denial: registry.HubDenial(),
		Limiters: []registry.Limiter{{
			Spec: limit.Spec{Kind: limit.RollingLog, Limit: d.limit, Window: d.window},
			Per:  registry.PerAccount, Counts: registry.CountsManifestGET,
		}},
	})
	return err
}

// settle makes a team's namespace with its pull secret and its workloads, and
// waits until they run.
func (d *demo) settle(ctx context.Context, account string) error {
	if err := d.ground.Namespace(ctx, account, account == accountPaced); err != nil {
		return err
	}
	if err := d.pullSecret(ctx, account, account); err != nil {
		return err
	}
	for _, name := range workloads {
		w := ground.Deployment(account, name, first, int32(d.nodes))
		w.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: secretName(account)}}
		if err := d.ground.Create(ctx, w); err != nil {
			return err
		}
	}
	return d.await(ctx, account)
}

func secretName(account string) string { return "hub-" + account }

// pullSecret stores the account's credentials in a namespace.
func (d *demo) pullSecret(ctx context.Context, namespace, account string) error {
	return d.ground.PullSecret(ctx, namespace, secretName(account), hub, account, password)
}

// await returns when all of a team's workloads run what they should.
func (d *demo) await(ctx context.Context, account string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range workloads {
		if err := d.ground.AwaitRollout(ctx, account, name); err != nil {
			return err
		}
	}
	return nil
}

// leftAlone rolls out without Pace: all templates change at once, and the
// kubelets ask as they always do.
func (d *demo) leftAlone(ctx context.Context) (outcome, error) {
	say("\n1. Left alone: %d workloads of %d pods change their image at once.", len(workloads), d.nodes)
	begin := time.Now()
	for _, name := range workloads {
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image(accountAlone, name))
		_, err := d.ground.Cluster.Client().AppsV1().Deployments(accountAlone).
			Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			return outcome{}, fmt.Errorf("changing the image of %q: %w", name, err)
		}
	}
	if err := d.await(ctx, accountAlone); err != nil {
		return outcome{}, err
	}
	return d.measure(accountAlone, time.Since(begin)), nil
}

// paced installs Pace, tells it of the account, and rolls out with the plugin.
func (d *demo) paced(ctx context.Context) (outcome, error) {
	say("\n2. Paced: the same on an account that nobody has used.")
	if used := d.measure(accountPaced, 0); used.requests > 0 {
		return outcome{}, fmt.Errorf("account %q is not fresh: %d requests", accountPaced, used.requests)
	}
	if err := d.ground.Install(ctx, "--enforce"); err != nil {
		return outcome{}, err
	}
	if err := d.pullSecret(ctx, "pullpace-system", accountPaced); err != nil {
		return outcome{}, err
	}
	if err := d.ground.Apply(ctx, d.budget()); err != nil {
		return outcome{}, err
	}
	begin := time.Now()
	if err := d.rolloutAll(ctx); err != nil {
		return outcome{}, err
	}
	if err := d.await(ctx, accountPaced); err != nil {
		return outcome{}, err
	}
	took := time.Since(begin)
	fmt.Print("\n$ kubectl pace budget\n", d.ground.Kubectl(ctx, "pace", "budget").Stdout)
	return d.measure(accountPaced, took), nil
}

// budget declares the account as a user would.
func (d *demo) budget() string {
	ca := strings.ReplaceAll(strings.TrimSpace(string(d.ground.Registry.CA().PEM())), "\n", "\n      ")
	return fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: PullBudget
metadata: {name: hub}
spec:
  registry: %s
  identity: Credentials
  match: {pullSecretNames: [%s]}
  credentials: {secretName: %s}
  probe:
    repository: %s/api
    caBundle: |
      %s
`, hub, secretName(accountPaced), secretName(accountPaced), accountPaced, ca)
}

// rolloutAll runs the plugin once for each workload, side by side as eight
// pipelines would, and shows what the first of them says.
func (d *demo) rolloutAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	results := make([]ground.Result, len(workloads))
	var wg sync.WaitGroup
	for i, name := range workloads {
		args := []string{"pace", "rollout", "deploy/" + name, "-n", accountPaced, "--image", "app=" + image(accountPaced, name)}
		wg.Go(func() {
			if i > 0 {
				results[i] = d.ground.Kubectl(ctx, args...)
				return
			}
			fmt.Printf("$ kubectl %s\n", strings.Join(args, " "))
			results[i] = d.ground.Stream(ctx, os.Stdout, args...)
		})
	}
	wg.Wait()
	for _, r := range results {
		if r.Code != 0 {
			return fmt.Errorf("a rollout failed:\n%s", r)
		}
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
