package controller

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

// answersPath is where the books and holds of the last turn can be read.
const answersPath = "/v1/budgets"

// Answer is the body of GET /v1/budgets: the books and holds of the last turn.
type Answer struct {
	Decision string        `json:"decision"`
	At       time.Time     `json:"at"`
	Accounts []engine.View `json:"accounts"`
	Holds    []HoldAnswer  `json:"holds"`
}

// HoldAnswer is one hold with whose pods it holds.
type HoldAnswer struct {
	engine.Hold
	Namespace string     `json:"namespace"`
	Workload  string     `json:"workload"`
	Revision  string     `json:"revision,omitempty"`
	Class     core.Class `json:"class"`
}

// answers serves the last decision to callers whom the API server knows. It is
// safe for concurrent use.
type answers struct {
	client client.Client

	mu   sync.RWMutex
	last *Answer
}

// set keeps a decision to be served.
func (a *answers) set(d engine.Decision, t *kube.Tracker) {
	next := &Answer{Decision: d.ID, At: d.At, Accounts: d.Accounts, Holds: make([]HoldAnswer, 0, len(d.Holds))}
	for _, h := range d.Holds {
		g, _ := t.Group(h.Group)
		next.Holds = append(next.Holds, HoldAnswer{Hold: h, Namespace: g.Namespace, Workload: g.Workload, Revision: g.Revision, Class: g.Class})
	}
	a.mu.Lock()
	a.last = next
	a.mu.Unlock()
}

// ServeHTTP implements http.Handler.
func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "want GET", http.StatusMethodNotAllowed)
		return
	}
	if !a.known(r) {
		http.Error(w, "give a bearer token of this cluster", http.StatusUnauthorized)
		return
	}
	a.mu.RLock()
	last := a.last
	a.mu.RUnlock()
	if last == nil {
		// A follower takes no turns; the leader answers.
		w.Header().Set("Retry-After", "2")
		http.Error(w, string(core.NotLeader), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(last); err != nil {
		log.FromContext(r.Context()).V(1).Info("answer not sent", "cause", err.Error())
	}
}

// known asks the API server whose token the caller has.
func (a *answers) known(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return false
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if err := a.client.Create(r.Context(), review); err != nil {
		log.FromContext(r.Context()).Error(err, "token not reviewed")
		return false
	}
	return review.Status.Authenticated
}
