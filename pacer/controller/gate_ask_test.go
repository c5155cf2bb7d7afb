package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

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

// Argo asks over the connection that it has: one to a follower must not last.
func TestAFollowerLetsGoOfItsCallers(t *testing.T) {
	t.Parallel()
	for _, leading := range []bool{true, false} {
		server := httptest.NewServer(gateOf(t, leading))
		response, err := http.Post(server.URL, "application/json", strings.NewReader(goodAsk))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		server.Close()
		if response.Close == leading {
			t.Errorf("leading %v: the connection is closed: %v", leading, response.Close)
		}
	}
}

// serve starts a gate's server, until cancel is called; how it ended comes then.
func serve(t *testing.T, g *gatekeeper) (address string, cancel func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, end := make(chan string, 1), make(chan error, 1)
	s := &gateServer{handler: g, address: "127.0.0.1:0", ready: ready}
	go func() { end <- s.Start(ctx) }()
	return <-ready, cancel, end
}

func TestTheGateServesUntilItEnds(t *testing.T) {
	t.Parallel()
	g := gateOf(t, false)
	address, cancel, ended := serve(t, g)
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

// Who asked before the server stopped is answered, and who asks while it does is either
// answered or finds nobody: never half of an answer, or another status.
func TestTheGateAnswersWhileItStops(t *testing.T) {
	t.Parallel()
	g := gateOf(t, true, makeRun("0", "Running", ""))
	asked := make(chan struct{})
	g.claims.wake = func() { close(asked) } // no turn answers: it waits for its first answer
	address, cancel, ended := serve(t, g)
	// A connection that was made and not used yet would be waited for.
	one := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() (*httptest.ResponseRecorder, error) {
		response, err := one.Post("http://"+address+kube.GatePath, "application/json", strings.NewReader(goodAsk))
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		w := httptest.NewRecorder()
		w.Code = response.StatusCode
		_, err = io.Copy(w.Body, response.Body)
		return w, err
	}
	var before *httptest.ResponseRecorder
	var failed error
	waits := make(chan struct{})
	go func() {
		defer close(waits)
		before, failed = ask()
	}()
	<-asked
	cancel()
	for range 20 {
		if w, err := ask(); err == nil {
			mustBeAnswer(t, w)
		}
	}
	<-waits
	if failed != nil {
		t.Fatalf("who asked before it stopped got no answer: %v", failed)
	}
	mustBeAnswer(t, before)
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
