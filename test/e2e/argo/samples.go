//go:build linux

package argo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// service is a Service of the Rollout's pods.
const service = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec: {selector: {app: ` + app + `}, ports: [{port: 80}]}
---`

// sample makes the Rollout of a sample, as small as the lab and of a first revision that
// nothing meters, with its Services, and waits until it serves. edits are further pairs
// of what stands there and what is to.
func (a act) sample(ctx context.Context, name string, services []string, edits ...string) error {
	text, err := shipped(ctx, "samples/"+name)
	if err != nil {
		return err
	}
	edits = append(edits, "docker.io/library/nginx:1.29", stage.Unmetered, "replicas: 20", fmt.Sprint("replicas: ", stage.Nodes))
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.NewReplacer(edits...).Replace(text)), &u.Object); err != nil {
		return fmt.Errorf("reading a sample: %w", err)
	}
	u.SetNamespace(a.Name)
	for field, value := range map[string]any{"terminationGracePeriodSeconds": int64(0), "automountServiceAccountToken": false, "dnsPolicy": "Default"} {
		if err := unstructured.SetNestedField(u.Object, value, "spec", "template", "spec", field); err != nil {
			return fmt.Errorf("fitting a sample: %w", err)
		}
	}
	for _, s := range services {
		if err := a.Apply(ctx, fmt.Sprintf(service, s, a.Name)); err != nil {
			return err
		}
	}
	if err := a.Client.Create(ctx, u); err != nil {
		return fmt.Errorf("making the rollout of a sample: %w", err)
	}
	return a.await(ctx, "the first revision to serve", healthy)
}

// next rolls the second revision of a sample out, of one image that the registry meters.
func (a act) next(ctx context.Context) error {
	if err := a.Push(ctx, a.Image(app)); err != nil {
		return err
	}
	containers := []any{map[string]any{"name": app, "image": a.Image(app)}}
	return a.patch(ctx, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}}, "")
}

// goesOn ends a pause, as `kubectl argo rollouts promote` does.
func (a act) goesOn() deed { return a.sets(map[string]any{"pauseConditions": nil}) }

// has complains unless there are so many pods of the newest revision.
func (a act) has(want int) deed {
	return func(ctx context.Context) error {
		s, err := a.look(ctx)
		if err != nil {
			return err
		}
		pods, err := a.ofRevision(ctx, s.hash)
		if err == nil && len(pods) != want {
			err = fmt.Errorf("%d pods of the second revision while it is held, want %d", len(pods), want)
		}
		return err
	}
}

// needing is what an answer says of the units that a step needs.
func needing(n int) string { return fmt.Sprintf(`"need":%d,`, n) }

// blueGreen rolls the sample of a blue-green rollout out. Its preview comes at once, the
// rest waits for the gate, and so does the Service.
func blueGreen(ctx context.Context, a act, _ *suite.Report) error {
	if err := a.sample(ctx, "blue-green.yaml", []string{"web-active", "web-preview"}); err != nil {
		return err
	}
	before, err := a.look(ctx)
	if err != nil {
		return err
	}
	return inTurn(ctx,
		a.Pause, a.next, a.hears(`"hold"`, `"Paused"`, needing(stage.Nodes-1)), a.has(1),
		a.comesTo("the first revision to stay active", func(s state) bool { return s.active == before.hash && s.hash != before.hash }),
		a.reads(0, []string{"HELD", "Paused", "analysis pull-budget, before the promotion"}, "explain", it),
		a.reads(0, []string{it + " promotion"}, "status"),
		a.reads(4, []string{"state=held", "step=prePromotion", "reason=Paused"}, "rollout", it, "--follow", "--max-wait", "1s"),
		a.Resume,
		a.comesTo("the second revision to serve", func(s state) bool { return healthy(s) && s.hash != before.hash && s.active == s.hash }),
		a.pulledOnce,
	)
}

// pulledOnce complains unless nodes pulled the image of the second revision once at most,
// and none was refused.
func (a act) pulledOnce(context.Context) error {
	if n, refused := a.Charges(""), a.Throttled(time.Time{}); n < 1 || n > stage.Nodes || refused > 0 {
		return fmt.Errorf("%d units were charged and %d pulls refused, want 1 to %d and none", n, refused, stage.Nodes)
	}
	return nil
}

// ingress is what the sample of traffic routing splits.
const ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: %s}
spec:
  ingressClassName: nginx
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web-stable, port: {number: 80}}}}]}
`

// routed rolls the sample of a canary out whose traffic is routed apart from its pods:
// gates price the pods that its scale makes, and those that are missing at the end, and
// not its weights.
func routed(ctx context.Context, a act, _ *suite.Report) error {
	if err := a.Apply(ctx, fmt.Sprintf(ingress, a.Name)); err != nil {
		return err
	}
	if err := a.sample(ctx, "canary-traffic.yaml", []string{"web-stable", "web-canary"}, "{replicas: 5}", "{replicas: 1}"); err != nil {
		return err
	}
	before, err := a.look(ctx)
	if err != nil {
		return err
	}
	paused := func(step int64) deed {
		return a.comesTo(fmt.Sprint("a pause at step ", step), func(s state) bool { return s.phase == "Paused" && s.step == step })
	}
	return inTurn(ctx,
		a.Pause, a.next, a.waitsAt(0), a.hears(`"hold"`, needing(1)), a.has(0), a.Resume,
		paused(3), a.Pause, a.goesOn(), paused(5), a.goesOn(),
		a.waitsAt(6), a.hears(`"hold"`, needing(stage.Nodes-1)), a.has(1), a.Resume,
		a.comesTo("the second revision to serve", func(s state) bool { return healthy(s) && s.hash != before.hash }),
		a.pulledOnce,
	)
}
