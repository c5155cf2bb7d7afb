//go:build linux

package argo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/test/e2e/stage"
)

// app is the name of every case's Rollout, it how the plugin is told of it.
const (
	app = "web"
	it  = "rollout/" + app
)

// gateStep is the step that waits for budget.
const gateStep = `{analysis: {templates: [{templateName: pull-budget, clusterScope: true}], args: [
  {name: namespace, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, {name: rollout, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
  {name: uid, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}, {name: hash, valueFrom: {podTemplateHashValue: Latest}},
  {name: step, valueFrom: {fieldRef: {fieldPath: status.currentStepIndex}}}]}}`

// healthAnalysis is the analysis beside all steps.
const healthAnalysis = `{templates: [{templateName: pull-health, clusterScope: true}], args: [
  {name: namespace, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, {name: rollout, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
  {name: uid, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}, {name: hash, valueFrom: {podTemplateHashValue: Latest}}]}`

// The steps of a canary, with gates and without.
const (
	gated    = "[" + gateStep + ", {setWeight: 10}, " + gateStep + ", {setWeight: 50}, " + gateStep + "]"
	notGated = "[{setWeight: 10}, {setWeight: 50}]"
)

// act is a stage with a Rollout.
type act struct {
	*stage.Stage
	*front
}

// options say what is particular about a Rollout.
type options struct {
	steps    string
	deadline int
	health   bool
}

// begin makes a Rollout whose first revision nothing meters and waits until it serves.
// It has a pod for each node, and a pod as many containers as a later revision has
// images.
func (a act) begin(ctx context.Context, o options, containers int) error {
	analysis := "null"
	if o.health {
		analysis = healthAnalysis
	}
	if o.deadline == 0 {
		o.deadline = 600
	}
	u := &unstructured.Unstructured{}
	err := yaml.Unmarshal([]byte(fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  replicas: %[3]d
  progressDeadlineSeconds: %[4]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      dnsPolicy: Default
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: %[2]s}}, matchLabelKeys: [rollouts-pod-template-hash]}
  strategy: {canary: {maxSurge: "100%%", maxUnavailable: 0, analysis: %[5]s, steps: %[6]s}}
`, a.Name, app, stage.Nodes, o.deadline, analysis, o.steps)), &u.Object)
	if err != nil {
		return fmt.Errorf("reading a rollout: %w", err)
	}
	var list []any
	for i := range containers {
		list = append(list, map[string]any{"name": fmt.Sprint("c", i), "image": stage.Unmetered})
	}
	if err := unstructured.SetNestedSlice(u.Object, list, "spec", "template", "spec", "containers"); err != nil {
		return fmt.Errorf("making a rollout: %w", err)
	}
	if err := a.Client.Create(ctx, u); err != nil {
		return fmt.Errorf("making a rollout: %w", err)
	}
	return a.await(ctx, "the first revision to serve", healthy)
}

// update makes the next revision, of these images.
func (a act) update(ctx context.Context, images ...string) error {
	var list []any
	for i, image := range images {
		list = append(list, map[string]any{"name": fmt.Sprint("c", i), "image": image})
	}
	return a.patch(ctx, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": list}}}}, "")
}

// patch writes the Rollout, or a subresource of it.
func (a act) patch(ctx context.Context, what map[string]any, subresource string) error {
	text, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	u := kube.NewRollout()
	u.SetNamespace(a.Name)
	u.SetName(app)
	p := client.RawPatch(types.MergePatchType, text)
	if subresource != "" {
		err = a.Client.SubResource(subresource).Patch(ctx, u, p)
	} else {
		err = a.Client.Patch(ctx, u, p)
	}
	if err != nil {
		return fmt.Errorf("writing the rollout: %w", err)
	}
	return nil
}

// state is what a Rollout says of itself.
type state struct {
	phase, message string
	step           int64
	// hash is its newest revision, stable the one that serves, active that of the active
	// Service of a blue-green one.
	hash, stable, active string
	aborted, fresh       bool
	abortedAt            time.Time
}

func (s state) String() string {
	return fmt.Sprintf("%s at step %d (%s), revision %s, stable %s, aborted %v", s.phase, s.step, s.message, s.hash, s.stable, s.aborted)
}

func healthy(s state) bool { return s.fresh && s.phase == "Healthy" && s.hash == s.stable }

// look reads the Rollout.
func (a act) look(ctx context.Context) (state, error) {
	u := kube.NewRollout()
	if err := a.Client.Get(ctx, client.ObjectKey{Namespace: a.Name, Name: app}, u); err != nil {
		return state{}, fmt.Errorf("reading the rollout: %w", err)
	}
	var s state
	s.phase, _, _ = unstructured.NestedString(u.Object, "status", "phase")
	s.message, _, _ = unstructured.NestedString(u.Object, "status", "message")
	s.step, _, _ = unstructured.NestedInt64(u.Object, "status", "currentStepIndex")
	s.hash, _, _ = unstructured.NestedString(u.Object, "status", "currentPodHash")
	s.stable, _, _ = unstructured.NestedString(u.Object, "status", "stableRS")
	s.active, _, _ = unstructured.NestedString(u.Object, "status", "blueGreen", "activeSelector")
	s.aborted, _, _ = unstructured.NestedBool(u.Object, "status", "abort")
	at, _, _ := unstructured.NestedString(u.Object, "status", "abortedAt")
	s.abortedAt, _ = time.Parse(time.RFC3339, at)
	observed, _, _ := unstructured.NestedString(u.Object, "status", "observedGeneration")
	s.fresh = observed == fmt.Sprint(u.GetGeneration())
	return s, nil
}

// await returns when the Rollout is as wanted.
func (a act) await(ctx context.Context, what string, ok func(state) bool) error {
	return stage.Poll(ctx, what, func(ctx context.Context) (bool, string, error) {
		s, err := a.look(ctx)
		if err != nil {
			return false, "", err
		}
		return ok(s), s.String(), nil
	})
}

// measured is one answer in an AnalysisRun.
type measured struct {
	run, phase, value, message string
	at                         time.Time
}

// measurements are the answers that the runs of the Rollout keep, by the time of the run.
func (a act) measurements(ctx context.Context) ([]measured, error) {
	list := kube.NewRuns()
	if err := a.Client.List(ctx, list, client.InNamespace(a.Name)); err != nil {
		return nil, fmt.Errorf("listing analysis runs: %w", err)
	}
	slices.SortFunc(list.Items, func(x, y unstructured.Unstructured) int {
		return x.GetCreationTimestamp().Compare(y.GetCreationTimestamp().Time)
	})
	var out []measured
	for _, u := range list.Items {
		results, _, _ := unstructured.NestedSlice(u.Object, "status", "metricResults")
		for _, r := range results {
			taken, _, _ := unstructured.NestedSlice(r.(map[string]any), "measurements")
			for _, m := range taken {
				field := func(name string) string { s, _ := m.(map[string]any)[name].(string); return s }
				at, _ := time.Parse(time.RFC3339, field("finishedAt"))
				out = append(out, measured{u.GetName(), field("phase"), field("value"), field("message"), at})
			}
		}
	}
	return out, nil
}

// awaitAnswer returns when a run keeps an answer with all of these words.
func (a act) awaitAnswer(ctx context.Context, words ...string) error {
	return a.awaitLater(ctx, time.Time{}, words...)
}

// awaitLater is awaitAnswer of answers that were given after a time.
func (a act) awaitLater(ctx context.Context, after time.Time, words ...string) error {
	return stage.Poll(ctx, fmt.Sprintf("an answer with %q", words), func(ctx context.Context) (bool, string, error) {
		all, err := a.measurements(ctx)
		found := slices.ContainsFunc(all, func(m measured) bool {
			return m.at.After(after) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(m.value, w) })
		})
		return found, fmt.Sprintf("%d answers, the last %+v", len(all), last(all)), err
	})
}

// ofRevision are the pods of one revision.
func (a act) ofRevision(ctx context.Context, hash string) ([]corev1.Pod, error) {
	pods, err := a.Pods(ctx, app)
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Labels["rollouts-pod-template-hash"] != hash }), err
}

func last(all []measured) measured {
	if len(all) == 0 {
		return measured{}
	}
	return all[len(all)-1]
}
