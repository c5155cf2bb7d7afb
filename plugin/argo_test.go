package plugin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// argoObject reads an object of Argo Rollouts as it is in a file.
func argoObject(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// canary is a Rollout of three pods that is at its third step.
const canary = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {namespace: shop, name: web, uid: web, generation: 4, annotations: {rollout.argoproj.io/revision: "3"}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: api, image: "docker.io/acme/web:2"}]}
  strategy:
    canary:
      steps:
      - analysis: {templates: [{templateName: pull-budget, clusterScope: true}]}
      - setWeight: 10
      - analysis: {templates: [{templateName: pull-budget, clusterScope: true}]}
      - setWeight: 50
      - pause: {}
status:
  observedGeneration: "4"
  phase: Progressing
  message: more replicas need to be updated
  currentPodHash: abc
  stableRS: old
  currentStepIndex: 2
  replicas: 4
  updatedReplicas: 1
  readyReplicas: 4
  availableReplicas: 4
`

// asking is the AnalysisRun of its step, with the last answer of the gate.
const asking = `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata:
  namespace: shop
  name: web-abc-3-2
  creationTimestamp: "2026-03-02T13:50:00Z"
  labels: {rollout-type: Step, step-index: "2", rollouts-pod-template-hash: abc}
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: web, controller: true}]
spec:
  metrics: [{name: pull-budget, provider: {web: {url: "http://pacer.pullpace-system.svc:8080/v1/gate"}}}]
status:
  phase: Running
  metricResults:
  - name: pull-budget
    measurements:
    - {value: '{"decision":"hold","reason":"WaitingForBudget","need":2,"free":0,"expected":{"from":"2026-03-02T14:31:00Z","to":"2026-03-02T14:52:00Z"},"message":"2 pods like this: 2 units needed, 0 free"}', finishedAt: "2026-03-02T14:09:48Z"}
`

func rollouts(t *testing.T, more ...client.Object) []client.Object {
	t.Helper()
	return paced(append([]client.Object{budget(0), node("a", 0), argoObject(t, canary), argoObject(t, asking)}, more...)...)
}

func TestExplainSaysWhyARolloutWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, rollouts(t)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "HELD 20m", "WaitingForBudget", "3 of 5: analysis pull-budget", "needs 2, 0 free, asked 12s ago, waits for 20m",
		"14:31:00 - 14:52:00", "release rollout/web")
	h.wants(h.run("status"), ExitOK, "0 pods, 1 rollout step and 0 nodes held.", "rollout/web step 3", "WaitingForBudget")
}

// TestExplainTellsWhatTheKubeletSays: the image of a canary's pod fails.
func TestExplainTellsWhatTheKubeletSays(t *testing.T) {
	t.Parallel()
	failing := heldPod("web-abc-1", "web")
	failing.Spec.SchedulingGates, failing.Labels = nil, map[string]string{"app": "web", "rollouts-pod-template-hash": "abc"}
	failing.Status = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "api", Image: "docker.io/acme/web:2", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "ErrImagePull", Message: `failed to resolve image: docker.io/acme/web:2: not found`,
	}}}}}
	done := argoObject(t, asking)
	done.Object["status"].(map[string]any)["phase"] = "Successful"
	done.Object["status"].(map[string]any)["metricResults"].([]any)[0].(map[string]any)["measurements"] = []any{map[string]any{"value": `{"decision":"allow"}`}}
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), argoObject(t, canary), done, failing)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "NOT HELD", "a pull FAILS: NotFound", "docker.io/acme/web:2: not found", "Argo says Progressing: more replicas need to be updated")
}

// healthRun is the AnalysisRun beside all steps, with the last answer of the gate.
func healthRun(t *testing.T, phase, value string) *unstructured.Unstructured {
	t.Helper()
	u := argoObject(t, asking)
	u.SetName("web-abc-3")
	u.SetLabels(map[string]string{"rollout-type": "Background", "rollouts-pod-template-hash": "abc"})
	status := u.Object["status"].(map[string]any)
	status["phase"] = phase
	status["metricResults"].([]any)[0].(map[string]any)["measurements"].([]any)[0].(map[string]any)["value"] = value
	return u
}

// TestAFrozenRollout waits for Pace, and not for a person.
func TestAFrozenRollout(t *testing.T) {
	t.Parallel()
	u := argoObject(t, canary)
	status := u.Object["status"].(map[string]any)
	status["phase"], status["currentStepIndex"], status["controllerPause"] = "Paused", int64(3), true
	status["pauseConditions"] = []any{map[string]any{"reason": "InconclusiveAnalysisRun"}}
	run := healthRun(t, "Inconclusive", `{"decision":"hold","reason":"BreakerOpen","message":"a pull is throttled: toomanyrequests"}`)
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), u, run)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "HELD 12s  BreakerOpen", "4 of 5: weight 50", "frozen BreakerOpen: a pull is throttled: toomanyrequests", "lets it go on at the same step")
	h.wants(h.run("status"), ExitOK, "1 rollout step", "rollout/web frozen", "BreakerOpen")
	h.env.Terminal = true
	h.typing("q")
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitOK, "held: BreakerOpen", "toomanyrequests")
	// When it goes on, nothing is left of it.
	status["phase"], status["pauseConditions"] = "Progressing", nil
	h = newHarness(t, interceptor.Funcs{}, paced(budget(0), u, run)...)
	h.wants(h.run("status"), ExitOK, "Nothing is held")
}

// TestAnAbortedRollout tells why: by its analysis, or by what the controller did itself.
func TestAnAbortedRollout(t *testing.T) {
	t.Parallel()
	const words = "docker.io/acme/web:2: NotFound: failed to resolve image: docker.io/acme/web:2: not found"
	u := argoObject(t, canary)
	status := u.Object["status"].(map[string]any)
	status["phase"], status["message"], status["abort"], status["currentStepIndex"] = "Degraded", "RolloutAborted: Rollout aborted update to revision 3", true, int64(0)
	told := healthRun(t, "Failed", `{"decision":"abort","reason":"ImageFailing","message":"`+words+`"}`)
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), u, told)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "ABORTED  ImageFailing", "abort ImageFailing: "+words, "Argo says Degraded: RolloutAborted")
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitError, "state=failed", words)
	event := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e"}, EventTime: metav1.NewMicroTime(now), Reason: "ImageFailing", Note: "aborted: " + words,
		ReportingController: "pullpace.dev/pacer", Regarding: corev1.ObjectReference{Kind: "Rollout", Namespace: "shop", Name: "web", UID: "web"}}
	h = newHarness(t, interceptor.Funcs{}, paced(budget(0), u, event)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "ABORTED  ImageFailing", "aborted: "+words)
	h = newHarness(t, interceptor.Funcs{}, paced(budget(0), u)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "ABORTED\n", "Argo says Degraded: RolloutAborted")
}

// TestABlueGreenRollout waits before its promotion.
func TestABlueGreenRollout(t *testing.T) {
	t.Parallel()
	u, run := argoObject(t, canary), argoObject(t, asking)
	spec, status := u.Object["spec"].(map[string]any), u.Object["status"].(map[string]any)
	spec["strategy"] = map[string]any{"blueGreen": map[string]any{"prePromotionAnalysis": map[string]any{"templates": []any{
		map[string]any{"templateName": "smoke"}, map[string]any{"templateName": "pull-budget", "clusterScope": true}}}}}
	delete(status, "currentStepIndex")
	run.SetLabels(map[string]string{"rollout-type": "PrePromotion", "rollouts-pod-template-hash": "abc"})
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), node("a", 0), u, run)...)
	h.wants(h.run("explain", "rollout/web"), ExitOK, "HELD 20m  WaitingForBudget", "analysis smoke, pull-budget, before the promotion", "needs 2, 0 free")
	h.wants(h.run("status"), ExitOK, "rollout/web promotion", "WaitingForBudget")
	h.wants(h.run("cost", "rollout/web"), ExitHold, "HOLD")
	if text := h.out.String(); strings.Contains(text, "Excluded") {
		t.Errorf("its promotion waits, and the price says that nothing does:\n%s", text)
	}
	h.env.Terminal = true
	h.typing("q")
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitOK, "held: WaitingForBudget", "analysis smoke, pull-budget, before the promotion")
}

func TestCostOfRollout(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, rollouts(t)...)
	h.wants(h.run("cost", "rollout/web", "-o", "json"), ExitHold)
	var got view.Cost
	if err := json.Unmarshal(h.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Workload != "rollout/web" || got.Replicas != 3 || got.NotHeld != "" || got.Verdict != "hold" {
		t.Errorf("%+v", got)
	}
	h.wants(h.run("check", "rollout", "rollout/web"), ExitHold, `"decision": "hold"`)
	h.wants(h.run("check", "rollout", "rollout/web", "--image", "api=docker.io/acme/web:3"), ExitHold, `"workload": "rollout/web"`)
}

// TestCostOfRolloutWithoutGate: nothing waits for the price.
func TestCostOfRolloutWithoutGate(t *testing.T) {
	t.Parallel()
	plain := argoObject(t, canary)
	if err := unstructured.SetNestedSlice(plain.Object, []any{map[string]any{"setWeight": int64(50)}}, "spec", "strategy", "canary", "steps"); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), node("a", 0), plain)...)
	h.wants(h.run("cost", "rollout/web"), ExitHold, "Excluded", `none of its steps is "analysis pull-budget"`)
}

// TestRolloutOfAnotherTemplate prices and follows what a Deployment describes, and does
// not edit it through the Rollout.
func TestRolloutOfAnotherTemplate(t *testing.T) {
	t.Parallel()
	borrowed := argoObject(t, canary)
	unstructured.RemoveNestedField(borrowed.Object, "spec", "template")
	unstructured.RemoveNestedField(borrowed.Object, "spec", "selector")
	if err := unstructured.SetNestedStringMap(borrowed.Object, map[string]string{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}, "spec", "workloadRef"); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, interceptor.Funcs{}, paced(budget(9), node("a", 0), borrowed)...)
	h.wants(h.run("cost", "rollout/web"), ExitOK, "docker.io/acme/api:1")
	h.wants(h.run("rollout", "rollout/web", "--image", "api=docker.io/acme/api:2"), ExitError, "runs the pods that deploy/api describes")
}

func TestRolloutIsWritten(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(9), node("a", 0), argoObject(t, canary))...)
	h.env.Terminal = true
	h.typing("q")
	h.wants(h.run("rollout", "rollout/web", "--image", "api=docker.io/acme/web:3"), ExitOK, "rollout/web", "stopped watching")
	got := read(h, argoObject(t, canary))
	containers, _, _ := unstructured.NestedSlice(got.Object, "spec", "template", "spec", "containers")
	if len(containers) != 1 || containers[0].(map[string]any)["image"] != "docker.io/acme/web:3" {
		t.Errorf("containers %v", containers)
	}
	h.env.Terminal = true
	h.typing("q")
	h.wants(h.run("rollout", "rollout/web", "--restart"), ExitOK)
	if at, _, _ := unstructured.NestedString(read(h, argoObject(t, canary)).Object, "spec", "restartAt"); at != "2026-03-02T14:10:00Z" {
		t.Errorf("restartAt %q", at)
	}
}

// TestRolloutIsFollowed shows the step, why it waits, and its end.
func TestRolloutIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, rollouts(t)...)
	h.env.Terminal = true
	h.typing("eq")
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitOK, "held: WaitingForBudget", "3 of 5: analysis pull-budget", "2 pods like this: 2 units needed, 0 free", "HELD 20m")
	healthy := argoObject(t, canary)
	status := healthy.Object["status"].(map[string]any)
	status["phase"], status["stableRS"], status["currentStepIndex"] = "Healthy", "abc", int64(5)
	h = newHarness(t, interceptor.Funcs{}, paced(healthy)...)
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitOK, "state=done")
	for name, c := range map[string]struct {
		change   func(status map[string]any)
		wantCode int
		want     string
	}{
		"aborted": {func(s map[string]any) { s["abort"], s["message"] = true, "a bad image" }, ExitError, "a bad image"},
		"a person": {func(s map[string]any) {
			s["currentStepIndex"], s["pauseConditions"] = int64(4), []any{map[string]any{"reason": "CanaryPauseStep"}}
		}, ExitPaused, "promote web"},
		"no answer": {func(s map[string]any) {
			s["pauseConditions"] = []any{map[string]any{"reason": "InconclusiveAnalysisRun"}}
		}, ExitPaused, "waits for a person at step 3"},
	} {
		t.Run(name, func(t *testing.T) {
			u := argoObject(t, canary)
			c.change(u.Object["status"].(map[string]any))
			h := newHarness(t, interceptor.Funcs{}, paced(u)...)
			h.wants(h.run("rollout", "rollout/web", "--follow"), c.wantCode, c.want)
		})
	}
}

// TestUndoOfRollout puts the template of the revision before back.
func TestUndoOfRollout(t *testing.T) {
	t.Parallel()
	set := func(name, revision, image string) *appsv1.ReplicaSet {
		labels := map[string]string{"app": "web", "rollouts-pod-template-hash": name}
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-" + name, Labels: labels, Annotations: map[string]string{"rollout.argoproj.io/revision": revision},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: "web", UID: "web", Controller: new(true)}}},
			Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: image}}}}},
		}
	}
	h := newHarness(t, interceptor.Funcs{}, rollouts(t, set("old", "2", "docker.io/acme/web:1"), set("abc", "3", "docker.io/acme/web:2"))...)
	h.env.Terminal = true
	h.typing("uq")
	h.wants(h.run("rollout", "rollout/web", "--follow"), ExitOK, "the template of the revision before is back")
	template, _, _ := unstructured.NestedMap(read(h, argoObject(t, canary)).Object, "spec", "template")
	labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	containers, _, _ := unstructured.NestedSlice(template, "spec", "containers")
	if len(labels) != 1 || containers[0].(map[string]any)["image"] != "docker.io/acme/web:1" {
		t.Errorf("template %v", template)
	}
}

func TestOrdersOfRollouts(t *testing.T) {
	t.Parallel()
	for verb, key := range map[string]string{"pause": v1alpha1.AnnotationPaused, "release": v1alpha1.AnnotationOverride} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, interceptor.Funcs{}, rollouts(t)...)
			h.wants(h.run(verb, "rollout/web", "--reason", "the demo"), ExitOK, "rollout/web")
			if read(h, argoObject(t, canary)).GetAnnotations()[key] == "" {
				t.Errorf("no annotation %s", key)
			}
		})
	}
}

// TestReleaseAllLetsStepsGo, where a controller is there to open them.
func TestReleaseAllLetsStepsGo(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, rollouts(t)...)
	h.wants(h.run("release", "--all", "--reason", "incident 4711"), ExitOK, "rollout/web in shop released")
	if text := read(h, argoObject(t, canary)).GetAnnotations()[v1alpha1.AnnotationOverride]; !strings.Contains(text, "incident 4711") {
		t.Errorf("order %q on the rollout, want one", text)
	}
	h = newHarness(t, interceptor.Funcs{}, budget(0), argoObject(t, canary), argoObject(t, asking))
	h.wants(h.run("release", "--all", "--now", "--reason", "incident 4711"), ExitOK, "rollout/web in shop is left alone", "kubectl argo rollouts promote web -n shop")
	if read(h, argoObject(t, canary)).GetAnnotations()[v1alpha1.AnnotationOverride] != "" {
		t.Error("an order that nobody carries out is on the rollout")
	}
}

// TestWithoutArgo: nothing else suffers where the cluster has no Rollouts.
func TestWithoutArgo(t *testing.T) {
	t.Parallel()
	missing := func(kind string) error {
		return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "argoproj.io", Kind: kind}}
	}
	of := func(kind string) bool {
		return slices.Contains([]string{"Rollout", "AnalysisRun", "AnalysisRunList"}, kind)
	}
	h := newHarness(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if u, ok := obj.(*unstructured.Unstructured); ok && of(u.GetKind()) {
				return missing(kube.RolloutKind)
			}
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if u, ok := list.(*unstructured.UnstructuredList); ok && of(u.GetKind()) {
				return missing("AnalysisRun")
			}
			return c.List(ctx, list, opts...)
		},
	}, paced(budget(0))...)
	h.wants(h.run("cost", "rollout/web"), ExitError, "this cluster has no Argo Rollouts")
	h.wants(h.run("status"), ExitOK, "Nothing is held")
}
