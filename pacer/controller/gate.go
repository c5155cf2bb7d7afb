package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// GateAnswer is the body of every answer of POST /v1/gate.
type GateAnswer struct {
	// Decision is allow, hold or abort, for a Reason.
	Decision          string      `json:"decision"`
	Reason            core.Reason `json:"reason"`
	RetryAfterSeconds int         `json:"retryAfterSeconds"`
	// Need is what the pods that wait may cost, Free what they may spend now, Expected
	// when they may go; empty: not known.
	Need     core.Units  `json:"need"`
	Free     core.Units  `json:"free"`
	Expected quota.Range `json:"expected"`
	// Message says it for people.
	Message string `json:"message,omitempty"`
}

// What bounds a call of the gate.
const (
	// maxAsk is the most that a question may have.
	maxAsk = 4 << 10
	// firstAnswerWithin bounds the wait for the turn that looks at a new claim: a caller
	// that has budget goes on at its first question.
	firstAnswerWithin = 700 * time.Millisecond
	// verifyWithin bounds the live read of a caller that no cache knows yet.
	verifyWithin = time.Second
	// The pace of live reads: who asks in the name of nobody must not load the API
	// server. Callers that the cache knows need none.
	verifiesPerSecond, verifyBurst = 20, 100
)

// gatekeeper answers the steps of Argo Rollouts that wait for budget. Whatever it is
// asked, and whatever state it is in, it answers with status 200 and an object: Argo
// takes an empty body for success, fails at `null`, and counts other statuses as
// errors. It is safe for concurrent use.
type gatekeeper struct {
	claims *claims
	runs   *runs
	// live reads past caches.
	live    client.Reader
	limiter *rate.Limiter
	// count is told each decision; nil: nobody wants to know.
	count func(decision string)
}

func newGatekeeper(c *claims, r *runs, live client.Reader) *gatekeeper {
	return &gatekeeper{claims: c, runs: r, live: live, limiter: rate.NewLimiter(verifiesPerSecond, verifyBurst)}
}

// holdFor is an answer to ask again.
func holdFor(reason core.Reason, seconds int) GateAnswer {
	return GateAnswer{Decision: kube.Wait, Reason: reason, RetryAfterSeconds: seconds}
}

// The answers that need no claim.
const (
	retryLeader     = 2
	retryUnverified = 10
	retryDefault    = 20
)

// ServeHTTP implements http.Handler.
func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := holdFor(core.Unverified, retryUnverified)
	func() {
		defer func() {
			if failed := recover(); failed != nil {
				answer = holdFor(core.Unverified, retryUnverified)
				log.FromContext(r.Context()).Error(fmt.Errorf("answering the gate: %v", failed), "a question was not answered")
			}
		}()
		answer = g.answer(r)
	}()
	if g.count != nil {
		g.count(answer.Decision)
	}
	body := encode(answer)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if answer.Reason == core.NotLeader {
		// Argo keeps its connections: the next question must be able to reach the leader,
		// and having reached it, stay there.
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(append(body, '\n')); err != nil {
		log.FromContext(r.Context()).V(1).Info("answer of the gate not sent", "cause", err.Error())
	}
}

// maxAnswer bounds the body of an answer, of which a run keeps ten: what a kubelet says
// may be made of what takes six times as long in JSON.
const maxAnswer = 1000

// encode is the body of an answer, an object whatever it says.
func encode(answer GateAnswer) []byte {
	body, err := json.Marshal(answer)
	if over := len(body) - maxAnswer; err == nil && over > 0 {
		answer.Message = cut(answer.Message, max(0, len(answer.Message)-over))
		body, err = json.Marshal(answer)
	}
	if err != nil || len(body) == 0 {
		return []byte(`{"decision":"hold","reason":"Unverified","retryAfterSeconds":10,"need":0,"free":0,"expected":{}}`)
	}
	return body
}

func (g *gatekeeper) answer(r *http.Request) GateAnswer {
	if !g.claims.leads() {
		return holdFor(core.NotLeader, retryLeader)
	}
	if r.Method != http.MethodPost {
		return say(holdFor(core.Unverified, retryUnverified), "want POST")
	}
	step, err := readAsk(r.Body)
	if err != nil {
		return say(holdFor(core.Unverified, retryUnverified), err.Error())
	}
	since, ok := g.verify(r.Context(), step)
	if !ok {
		return say(holdFor(core.Unverified, retryUnverified), "no AnalysisRun that is not completed is of this step of this rollout")
	}
	return g.claims.ask(r.Context(), step, since)
}

// maxSaid bounds those words: what a kubelet says of an image may be most of them, and an
// answer is to stay below a kilobyte.
const maxSaid = 600

// say adds words for people.
func say(a GateAnswer, message string) GateAnswer {
	a.Message = cut(message, maxSaid)
	return a
}

// readAsk reads who asks. Every field must be there; those that are not known are
// passed over.
func readAsk(body io.Reader) (kube.Step, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxAsk+1))
	switch {
	case err != nil:
		return kube.Step{}, fmt.Errorf("reading the question: %w", err)
	case len(text) > maxAsk:
		return kube.Step{}, errors.New("the question is too long")
	}
	var ask struct {
		Namespace, Rollout, UID, Hash string
		Step                          json.RawMessage
	}
	if err := json.Unmarshal(text, &ask); err != nil {
		return kube.Step{}, errors.New("the question is no JSON object of namespace, rollout, uid, hash and step")
	}
	// Arguments of templates are text; whoever asks by hand may write a number.
	var index string
	if json.Unmarshal(ask.Step, &index) != nil {
		index = string(ask.Step)
	}
	s := kube.Step{Namespace: ask.Namespace, Rollout: ask.Rollout, UID: types.UID(ask.UID), Hash: ask.Hash, Index: index}
	for _, field := range []string{s.Namespace, s.Rollout, string(s.UID), s.Hash, s.Index} {
		if field == "" || len(field) > maxName {
			return kube.Step{}, errors.New("want namespace, rollout, uid, hash and step, each of them")
		}
	}
	return s, nil
}

// maxName is the longest name of an object.
const maxName = 253

// verify reports whether somebody waits at a step, and since when: an AnalysisRun that
// Argo made for it and that is not completed. One that was made a moment ago is in
// no cache yet.
func (g *gatekeeper) verify(ctx context.Context, s kube.Step) (time.Time, bool) {
	if since, ok := g.runs.waiting(s); ok {
		return since, true
	}
	if !g.limiter.Allow() {
		return time.Time{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, verifyWithin)
	defer cancel()
	list := kube.NewRuns()
	selector, err := kube.RunsOf(s)
	if err != nil {
		return time.Time{}, false
	}
	if err := g.live.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		log.FromContext(ctx).V(1).Info("caller of the gate not verified", "step", s.String(), "cause", err.Error())
		return time.Time{}, false
	}
	for i := range list.Items {
		if run, ok := kube.ReadRun(&list.Items[i]); ok && run.Step == s && !run.Completed {
			return run.Created, true
		}
	}
	return time.Time{}, false
}

// gateServer serves the gate in the clear: Argo's web provider can be given no
// authority to trust, and what passes here is no secret. Every path is the gate, so
// that a URL written a little wrong holds and is not taken for an answer.
type gateServer struct {
	handler http.Handler
	address string
	// ready is told the address once it listens; nil: nobody wants to know.
	ready chan<- string
}

// NeedLeaderElection says that every replica answers.
func (s *gateServer) NeedLeaderElection() bool { return false }

// Start serves until ctx ends. It implements manager.Runnable.
func (s *gateServer) Start(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listening for the gate: %w", err)
	}
	if s.ready != nil {
		s.ready <- listener.Addr().String()
	}
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 90 * time.Second, MaxHeaderBytes: 16 << 10, DisableGeneralOptionsHandler: true,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the gate: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("closing the gate: %w", err)
	}
	return nil
}
