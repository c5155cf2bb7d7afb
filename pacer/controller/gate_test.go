package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
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
		"its run ended":       func(b *bench) { b.argo(makeRun("0", "Failed", `{"decision":"hold"}`)) },
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
			budget := makeBudget(1)
			budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "maintenance"}.String()}
			b := makeBench(t, interceptor.Funcs{}, sixNodes(budget)...)
			b.argo(makeRollout(0), makeRun("0", "Running", ""))
			b.mustTake(settled)
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
		"no such image": {waiting("ErrImagePull", `failed to resolve reference "docker.io/acme/web:2": docker.io/acme/web:2: not found`), kube.Abort, core.ImageFailing, "docker.io/acme/web:2: not found"},
		"no name":       {waiting("InvalidImageName", `Failed to apply default image tag "acme/web:2": couldn't parse image name`), kube.Abort, core.ImageFailing, ""},
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

// gateOf is a gate on a cluster that only live reads know, and what leads it.
func gateOf(t testing.TB, leading bool, objects ...client.Object) *gatekeeper {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	c := newClaims(clocktesting.NewFakeClock(start), func() {})
	c.lead(leading)
	return newGatekeeper(c, newRuns(), live)
}

const goodAsk = `{"namespace":"shop","rollout":"web","uid":"r1","hash":"v2","step":"0"}`

// settleSoon answers a claim as a turn would once it is there.
func settleSoon(g *gatekeeper, s kube.Step, a GateAnswer) {
	g.claims.wake = func() { g.claims.set(s, a) }
}

func stepZero() kube.Step {
	return kube.Step{Namespace: "shop", Rollout: "web", UID: "r1", Hash: "v2", Index: "0"}
}

// The caller is one whose AnalysisRun, which is not completed, Argo made for that step.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		run  *unstructured.Unstructured
		body string
		want core.Reason
	}{
		"its run":              {makeRun("0", "Running", ""), goodAsk, core.Budget},
		"its run, just made":   {makeRun("0", "", ""), goodAsk, core.Budget},
		"a number":             {makeRun("0", "", ""), strings.Replace(goodAsk, `"0"`, `0`, 1), core.Budget},
		"a run that ended":     {makeRun("0", "Successful", ""), goodAsk, core.Unverified},
		"a run of a step else": {makeRun("1", "Running", ""), goodAsk, core.Unverified},
		"another revision":     {makeRun("0", "Running", ""), strings.Replace(goodAsk, "v2", "v3", 1), core.Unverified},
		"another uid":          {makeRun("0", "Running", ""), strings.Replace(goodAsk, "r1", "r2", 1), core.Unverified},
		"another namespace":    {makeRun("0", "Running", ""), strings.Replace(goodAsk, "shop", "evil", 1), core.Unverified},
		"another rollout":      {makeRun("0", "Running", ""), strings.Replace(goodAsk, `"web"`, `"api"`, 1), core.Unverified},
		"a label that is none": {makeRun("0", "Running", ""), strings.Replace(goodAsk, "v2", "a b,c in (d)", 1), core.Unverified},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateOf(t, true, tc.run)
			settleSoon(g, stepZero(), allowFor(core.Budget))
			if a := askAs(t, g, tc.body); a.Reason != tc.want {
				t.Errorf("answer %+v, want %s", a, tc.want)
			}
			if known := len(g.claims.by) > 0; known != (tc.want == core.Budget) {
				t.Errorf("a claim is noted: %v", known)
			}
		})
	}
}

// A tenant who makes a run that names somebody else's rollout gets a claim for nothing:
// its own namespace has no such rollout.
func TestARunThatNamesSomebodyElsesRolloutHoldsNobody(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, sixNodes(makeBudget(4))...)
	forged := makeRun("0", "Running", `{"decision":"allow"}`)
	forged.SetNamespace("evil")
	done := makeRun("0", "Successful", `{"decision":"allow"}`)
	done.SetNamespace("evil")
	done.SetName("done")
	b.argo(makeRollout(0), forged, done)
	b.mustTake(settled)
	a := askAs(t, b.gate, strings.Replace(goodAsk, "shop", "evil", 1))
	if a.Decision != kube.Wait || a.Reason != core.Unverified || a.Need != 0 {
		t.Errorf("answer %+v, want nothing of the claim of another", a)
	}
	if v := b.turn.engine.Decide(b.clock.Now()).Accounts[0]; v.Held != 0 || v.Reserved != 0 {
		t.Errorf("books %+v, want nothing held and nothing reserved", v)
	}
}

func TestTheGateAlwaysAnswersWithAnObject(t *testing.T) {
	t.Parallel()
	run := makeRun("0", "Running", "")
	failing := func(err error) client.Reader {
		return interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				if err == nil {
					panic("a bug")
				}
				return err
			}})
	}
	cases := map[string]struct {
		method  string
		body    io.Reader
		follows bool
		live    client.Reader
		want    core.Reason
	}{
		"a follower":           {body: strings.NewReader(goodAsk), follows: true, want: core.NotLeader},
		"GET":                  {method: http.MethodGet, body: strings.NewReader(goodAsk), want: core.Unverified},
		"DELETE":               {method: http.MethodDelete, body: strings.NewReader(""), want: core.Unverified},
		"nothing":              {body: strings.NewReader(""), want: core.Unverified},
		"null":                 {body: strings.NewReader("null"), want: core.Unverified},
		"a list":               {body: strings.NewReader("[]"), want: core.Unverified},
		"garbage":              {body: strings.NewReader("\x00\xff{"), want: core.Unverified},
		"no fields":            {body: strings.NewReader("{}"), want: core.Unverified},
		"too much":             {body: bytes.NewReader(bytes.Repeat([]byte(" "), 10<<20)), want: core.Unverified},
		"a long name":          {body: strings.NewReader(strings.Replace(goodAsk, "web", strings.Repeat("w", 300), 1)), want: core.Unverified},
		"a body that breaks":   {body: io.MultiReader(strings.NewReader(goodAsk[:9]), broken{}), want: core.Unverified},
		"no API server":        {body: strings.NewReader(goodAsk), live: failing(errors.New("down")), want: core.Unverified},
		"a bug":                {body: strings.NewReader(goodAsk), live: failing(nil), want: core.Unverified},
		"nobody takes a turn":  {body: strings.NewReader(goodAsk), want: core.WaitingForReading},
		"a caller that left":   {body: strings.NewReader(goodAsk), want: core.WaitingForReading},
		"a method of nowhere":  {method: "BREW", body: strings.NewReader(goodAsk), want: core.Unverified},
		"a body of the future": {body: strings.NewReader(strings.Replace(goodAsk, "{", `{"zone":["a"],`, 1)), want: core.WaitingForReading},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateOf(t, !tc.follows, run)
			if tc.live != nil {
				g.live = tc.live
			}
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			ctx, cancel := context.WithCancel(t.Context())
			if name == "a caller that left" {
				cancel()
			}
			defer cancel()
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequestWithContext(ctx, tc.method, kube.GatePath, tc.body))
			a := mustBeAnswer(t, w)
			if a.Decision != kube.Wait || a.Reason != tc.want || a.RetryAfterSeconds <= 0 {
				t.Errorf("answer %+v, want to hold for %s and when to ask again", a, tc.want)
			}
			if tc.want == core.NotLeader && a.RetryAfterSeconds != 2 {
				t.Errorf("answer %+v, want to be asked again after 2 s", a)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// Who asks in the name of nobody reads nothing from the API server beyond a bound.
func TestStrangersDoNotLoadTheAPIServer(t *testing.T) {
	t.Parallel()
	g := gateOf(t, true)
	reads := 0
	g.live = interceptor.NewClient(g.live.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			reads++
			return c.List(ctx, list, opts...)
		}})
	for i := range 1000 {
		askAs(t, g, strings.Replace(goodAsk, "r1", fmt.Sprint("guess-", i), 1))
	}
	if reads >= 500 {
		t.Errorf("%d reads for 1,000 strangers, want them bounded", reads)
	}
}

func TestAClaimOfALeaderIsNoClaimOfTheNext(t *testing.T) {
	t.Parallel()
	g := gateOf(t, true, makeRun("0", "Running", ""))
	settleSoon(g, stepZero(), allowFor(core.Budget))
	askAs(t, g, goodAsk)
	g.claims.lead(false)
	if a := askAs(t, g, goodAsk); a.Reason != core.NotLeader {
		t.Errorf("answer %+v after it stopped to lead", a)
	}
	if diff := cmp.Diff(0, len(g.claims.by)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestTheGateServesUntilItEnds(t *testing.T) {
	t.Parallel()
	g := gateOf(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan string, 1)
	s := &gateServer{handler: g, address: "127.0.0.1:0", ready: ready}
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	address := <-ready
	for _, path := range []string{"/v1/gate", "/v1/gate/", "//v1//gate", "/", "/metrics"} {
		response, err := http.Post("http://"+address+path, "application/json", strings.NewReader(goodAsk))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		w.Code = response.StatusCode
		if _, err := io.Copy(w.Body, response.Body); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if a := mustBeAnswer(t, w); a.Reason != core.NotLeader {
			t.Errorf("%s: answer %+v, want NotLeader", path, a)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func FuzzGate(f *testing.F) {
	for _, seed := range []string{goodAsk, "", "null", "{}", "[]", `{"namespace":null}`, `{"step":{}}`, "\xff", strings.Repeat("[", 5000)} {
		f.Add(http.MethodPost, seed)
	}
	f.Add(http.MethodGet, goodAsk)
	f.Fuzz(func(t *testing.T, method, body string) {
		g := gateOf(t, true, makeRun("0", "Running", ""))
		settleSoon(g, stepZero(), allowFor(core.Budget))
		r := httptest.NewRequest(http.MethodPost, kube.GatePath, strings.NewReader(body))
		r.Method = method
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		a := mustBeAnswer(t, w)
		step, err := readAsk(strings.NewReader(body))
		if asks := err == nil && step == stepZero() && method == http.MethodPost; asks != (a.Decision == kube.Allow) {
			t.Errorf("%s %q: answer %+v", method, body, a)
		}
	})
}
