package controller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// makeRollout is Rollout shop/web of ten at a step of revision v2: a gate, half of
// them, a gate, all of them.
func makeRollout(step int) *unstructured.Unstructured {
	return fromYAML(fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {namespace: shop, name: web, uid: r1}
spec:
  replicas: 6
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "acme/web:2"}]}
  strategy: {canary: {steps: [{analysis: {}}, {setWeight: 50}, {analysis: {}}]}}
status: {currentPodHash: v2, stableRS: v1, currentStepIndex: %d}
`, step))
}

// makeRun is the AnalysisRun of a step of it, with what it was last told.
func makeRun(step, phase, last string) *unstructured.Unstructured {
	u := fromYAML(fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata:
  namespace: shop
  name: web-v2-2-%[1]s
  uid: run-%[1]s
  creationTimestamp: "2026-03-01T12:00:00Z"
  labels: {rollouts-pod-template-hash: v2, step-index: "%[1]s", rollout-type: Step}
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: r1, controller: true}]
spec: {metrics: [{name: pull-budget, provider: {web: {url: "http://pacer.pullpace-system.svc/v1/gate"}}}]}
status: {phase: %[2]q, metricResults: [{name: pull-budget, measurements: [{value: %[3]q, finishedAt: "2026-03-01T12:00:01Z"}]}]}
`, step, phase, last))
	if step == kube.StepHealth {
		u.SetLabels(map[string]string{"rollouts-pod-template-hash": "v2", "rollout-type": "Background"})
	}
	return u
}

func fromYAML(text string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		panic(err)
	}
	return u
}

// canaryPod is pod number i that the Rollout made for revision v2.
func canaryPod(i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprint("web-v2-", i), UID: types.UID(fmt.Sprint("canary-", i)),
		Labels:            map[string]string{"app": "web", "rollouts-pod-template-hash": "v2"},
		CreationTimestamp: metav1.NewTime(start.Add(time.Hour)),
		OwnerReferences:   []metav1.OwnerReference{{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ReplicaSet", Name: "web-v2", UID: "set", Controller: new(true)}},
	}}
	p.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:2"}}
	p.Spec.ServiceAccountName = "default"
	for _, e := range edit {
		e(p)
	}
	return p
}

// sixNodes is a cluster where each of six pods of one image costs a pull.
func sixNodes(more ...client.Object) []client.Object {
	for i := range 6 {
		more = append(more, makeNode(fmt.Sprint("n", i)))
	}
	return append(more, makePolicy(), makeNamespace(nil))
}

// argo shows a Rollout or a run to the turn and, of runs, to the gate.
func (b *bench) argo(objects ...*unstructured.Unstructured) {
	b.t.Helper()
	for _, u := range objects {
		kind := argoKind
		if run, ok := kube.ReadRun(u); ok {
			b.runs.see(run, false)
			kind++
		}
		b.turn.feed.put(kind, u, false)
	}
}

// ask asks the gate for a step of the Rollout.
func (b *bench) ask(step string) GateAnswer {
	b.t.Helper()
	return askAs(b.t, b.gate, fmt.Sprintf(`{"namespace":"shop","rollout":"web","uid":"r1","hash":"v2","step":%q}`, step))
}

func askAs(t testing.TB, gate http.Handler, body string) GateAnswer {
	t.Helper()
	w := httptest.NewRecorder()
	gate.ServeHTTP(w, httptest.NewRequest(http.MethodPost, kube.GatePath, strings.NewReader(body)))
	return mustBeAnswer(t, w)
}

// mustBeAnswer is what the gate answered. Argo 1.10.1 takes an empty body for success,
// fails at null, and counts other statuses and other values as errors.
func mustBeAnswer(t testing.TB, w *httptest.ResponseRecorder) GateAnswer {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &object); err != nil || object == nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, body %q: want 200 and an object", w.Code, w.Body)
	}
	for _, field := range []string{"decision", "reason", "retryAfterSeconds", "need", "free", "expected"} {
		if object[field] == nil {
			t.Fatalf("no %s in %s", field, w.Body)
		}
	}
	if w.Body.Len() > 1024 {
		t.Fatalf("%d bytes, want a small answer", w.Body.Len())
	}
	var a GateAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	switch a.Decision {
	case kube.Allow, kube.Wait, kube.Abort:
	default:
		t.Fatalf("decision %q", a.Decision)
	}
	if _, known := a.Reason.Info(); !known {
		t.Fatalf("reason %q is none", a.Reason)
	}
	return a
}

func TestAStepWaitsForBudgetAndGoes(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, sixNodes(makeBudget(4))...)
	b.argo(makeRollout(0), makeRun("0", "", ""))
	b.mustTake(0)
	if a := b.ask("0"); a.Decision != kube.Allow || a.Reason != core.Budget {
		t.Fatalf("answer %+v with a full account of 4 for 3 pods, want Budget", a)
	}
	if a := b.ask("0"); a.Decision != kube.Allow {
		t.Errorf("asked again %+v, want the same", a)
	}
	// Three came: the next three wait, since one unit is left.
	b.argo(makeRollout(1), makeRun("0", "Successful", `{"decision":"allow"}`))
	for i := range 3 {
		b.turn.feed.put(podKind, canaryPod(i, func(p *corev1.Pod) { p.Spec.NodeName = fmt.Sprint("n", i) }), false)
	}
	b.argo(makeRollout(2), makeRun("2", "", ""))
	b.mustTake(time.Second)
	b.mustTake(time.Second)
	a := b.ask("2")
	if a.Decision != kube.Wait || a.Need != 3 || a.Free >= 3 {
		t.Errorf("answer %+v, want to wait for three with less than that free", a)
	}
	if a.Expected.IsZero() || a.Message == "" {
		t.Errorf("answer %+v does not say when and why", a)
	}
}

// What the gate opened is booked once: as its step until a pod is seen, then as the pod.
func TestWhatTheGateOpenedIsBookedOnce(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, sixNodes(makeBudget(100))...)
	b.argo(makeRollout(0), makeRun("0", "", ""))
	for range 3 {
		b.mustTake(settled)
	}
	if a := b.ask("0"); a.Decision != kube.Allow {
		t.Fatalf("answer %+v, want allow", a)
	}
	books := func() core.Units {
		v := b.turn.engine.Decide(b.clock.Now()).Accounts[0]
		return v.Reserved + v.Ungated
	}
	if n := books(); n != 3 {
		t.Fatalf("%d units are booked, want 3 for the pods that the step makes", n)
	}
	b.argo(makeRollout(1), makeRun("0", "Successful", `{"decision":"allow"}`))
	for i := range 3 {
		b.turn.feed.put(podKind, canaryPod(i, func(p *corev1.Pod) { p.Spec.NodeName = fmt.Sprint("n", i) }), false)
		b.mustTake(100 * time.Millisecond)
		if n := books(); n != 3 {
			t.Errorf("%d units are booked after pod %d came, want 3", n, i)
		}
	}
}

func TestANewLeaderKnowsWhatWasAllowedAndWhoWaits(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, sixNodes(makeBudget(100))...)
	again := b.restart()
	again.argo(makeRollout(1), makeRun("0", "Successful", `{"decision":"allow","reason":"Budget"}`))
	again.mustTake(0)
	if v := again.turn.engine.Decide(again.clock.Now()).Accounts[0]; v.Reserved != 3 {
		t.Errorf("%d units are reserved, want 3 for what the last leader allowed", v.Reserved)
	}
	budget := makeBudget(100)
	budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "maintenance"}.String()}
	held := makeBench(t, interceptor.Funcs{}, sixNodes(budget)...)
	held.argo(makeRollout(0), makeRun("0", "Running", `{"decision":"hold"}`))
	held.mustTake(0)
	if v := held.turn.engine.Decide(held.clock.Now()).Accounts[0]; v.Held != 3 {
		t.Errorf("%d pods are held, want the three that the run waits for before it asks again", v.Held)
	}
}

func TestWhatReleasesAClaim(t *testing.T) {
	t.Parallel()
	cases := map[string]func(b *bench){
		"its rollout goes back": func(b *bench) {
			u := makeRollout(0)
			u.Object["status"].(map[string]any)["abort"] = true
			b.argo(u)
		},
		"its step is skipped": func(b *bench) { b.argo(makeRollout(1)) },
		"all steps are skipped": func(b *bench) {
			u := makeRollout(0)
			u.Object["status"].(map[string]any)["promoteFull"] = true
			b.argo(u)
		},
		"another revision is rolled out": func(b *bench) {
			u := makeRollout(0)
			u.Object["status"].(map[string]any)["currentPodHash"] = "v3"
			b.argo(u)
		},
		"it is rolled back": func(b *bench) {
			u := makeRollout(3)
			u.Object["status"].(map[string]any)["currentPodHash"] = "v1"
			b.argo(u)
		},
		"its run ended": func(b *bench) { b.argo(makeRun("0", "Failed", `{"decision":"hold"}`)) },
		"its run is gone": func(b *bench) {
			b.turn.feed.put(argoKind+1, makeRun("0", "Running", ""), true)
		},
		"its rollout is gone": func(b *bench) { b.turn.feed.put(argoKind, makeRollout(0), true) },
		"nobody asks any more": func(b *bench) {
			b.clock.Step(claimTTL + time.Second)
		},
	}
	for name, end := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stepPaused(t)
			if a := b.ask("0"); a.Decision != kube.Wait || a.Reason != core.Paused {
				t.Fatalf("answer %+v on a paused account, want Paused", a)
			}
			end(b)
			b.mustTake(time.Second)
			if v := b.turn.engine.Decide(b.clock.Now()).Accounts[0]; v.Held != 0 {
				t.Errorf("%d pods are held still", v.Held)
			}
		})
	}
}

// stepPaused is a cluster in which a step of a Rollout asks on an account that is paused.
func stepPaused(t *testing.T) *bench {
	t.Helper()
	budget := makeBudget(1)
	budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "maintenance"}.String()}
	b := makeBench(t, interceptor.Funcs{}, sixNodes(budget)...)
	b.argo(makeRollout(0), makeRun("0", "Running", ""))
	b.mustTake(settled)
	return b
}

// Who restarts the pods of a Rollout while its step waits changes nothing of the step.
func TestARestartLeavesAClaimAlone(t *testing.T) {
	t.Parallel()
	b := stepPaused(t)
	restarted := makeRollout(0)
	restarted.Object["spec"].(map[string]any)["restartAt"] = "2026-03-01T12:00:05Z"
	b.argo(restarted)
	b.mustTake(time.Second)
	if v := b.turn.engine.Decide(b.clock.Now()).Accounts[0]; v.Held != 3 {
		t.Errorf("%d pods are held, want the three of the step still", v.Held)
	}
}

// A step that a person holds says who, and why: on its Rollout, or on what it draws on.
func TestAStepSaysWhoPausedIt(t *testing.T) {
	t.Parallel()
	order := map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{By: "kim", Reason: "it leaks"}.String()}
	for name, on := range map[string]func(*unstructured.Unstructured, *v1alpha1.PullBudget){
		"the Rollout":    func(u *unstructured.Unstructured, _ *v1alpha1.PullBudget) { u.SetAnnotations(order) },
		"the PullBudget": func(_ *unstructured.Unstructured, budget *v1alpha1.PullBudget) { budget.Annotations = order },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, budget := makeRollout(0), makeBudget(100)
			on(u, budget)
			b := makeBench(t, interceptor.Funcs{}, sixNodes(budget)...)
			b.argo(u, makeRun("0", "Running", ""))
			b.mustTake(settled)
			if a := b.ask("0"); a.Reason != core.Paused || !strings.HasSuffix(a.Message, "it leaks (kim)") || !a.Expected.IsZero() {
				t.Errorf("answer %+v, want Paused by kim, who says that it leaks, until nobody knows when", a)
			}
		})
	}
}

// A run keeps ten answers: each is small, whatever a kubelet says.
func TestAnAnswerIsSmall(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"", "plain", strings.Repeat("<&>", 400), strings.Repeat(`"`, 900), strings.Repeat("é", 500), "\xff\x00\n"} {
		w := httptest.NewRecorder()
		w.Body.Write(encode(say(GateAnswer{Decision: kube.Abort, Reason: core.ImageFailing}, words)))
		if a := mustBeAnswer(t, w); (a.Message == "") != (words == "") {
			t.Errorf("of %.9q is left %q", words, a.Message)
		}
	}
}

// longWords are those of containerd 2.4 of an image with a long name.
const longWords = `failed to pull and unpack image "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web:2": failed to resolve image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web:2: not found`

func TestHealthOfARollout(t *testing.T) {
	t.Parallel()
	waiting := func(reason, message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.NodeName = "n1"
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
		}
	}
	cases := map[string]struct {
		pod    func(*corev1.Pod)
		want   string
		reason core.Reason
		words  string
	}{
		"well": {func(p *corev1.Pod) { p.Spec.NodeName = "n1" }, kube.Allow, core.Budget, ""},
		"throttled": {waiting("ErrImagePull", `failed to pull image "acme/web:2": httpReadSeeker: failed open: unexpected status code 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.`),
			kube.Wait, core.BreakerOpen, "toomanyrequests"},
		"with a long name": {waiting("ErrImagePull", longWords), kube.Abort, core.ImageFailing, longWords},
		"no such image":    {waiting("ErrImagePull", `failed to resolve reference "docker.io/acme/web:2": docker.io/acme/web:2: not found`), kube.Abort, core.ImageFailing, "docker.io/acme/web:2: not found"},
		"no name":          {waiting("InvalidImageName", `Failed to apply default image tag "acme/web:2": couldn't parse image name`), kube.Abort, core.ImageFailing, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, interceptor.Funcs{}, sixNodes(makeBudget(100))...)
			b.argo(makeRollout(1), makeRun(kube.StepHealth, "", ""))
			b.turn.feed.put(podKind, canaryPod(1, tc.pod), false)
			b.mustTake(settled)
			a := b.ask(kube.StepHealth)
			if a.Decision != tc.want || a.Reason != tc.reason || !strings.Contains(a.Message, tc.words) {
				t.Errorf("answer %+v, want %s for %s with %q", a, tc.want, tc.reason, tc.words)
			}
		})
	}
}
