package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/proof"
)

// Metrics are what the controller tells Prometheus. Labels are bounded: accounts
// by the PullBudgets, Reasons and classes by closed lists. It is safe for
// concurrent use.
type Metrics struct {
	board                                   *board
	window                                  *windowBoard
	held                                    *heldBoard
	shadow                                  *shadowBoard
	failing                                 *failureCounts
	nodes                                   *nodeCounts
	releases, admissions, probes, throttles *prometheus.CounterVec
	bypasses, gateAnswers                   *prometheus.CounterVec
	releaseErrors, refusals, turnErrors     prometheus.Counter
	turns                                   prometheus.Histogram
	lastTurn                                prometheus.Gauge
	// Of replicas that do not prove the gate these two show nothing.
	gateActive, gateProof *prometheus.GaugeVec
}

// metricsNamespace begins the name of every metric.
const metricsNamespace = "pullpace"

// turnBuckets are finest where a turn of a large cluster should be: within a second.
func turnBuckets() []float64 {
	return []float64{0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30}
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: name, Help: help}, nil)
		r.MustRegister(v)
		return v
	}
	m := &Metrics{
		board:         newBoard(),
		window:        newWindowBoard(),
		held:          newHeldBoard(),
		shadow:        newShadowBoard(),
		failing:       newFailureCounts(r),
		nodes:         newNodeCounts(r),
		releases:      counters("releases_total", "Pods let go.", "reason"),
		admissions:    counters("admissions_total", "Pods seen at admission: Held, or the Reason why not.", "answer"),
		probes:        counters("probes_total", "Readings asked for, by what came back.", "account", "outcome"),
		throttles:     counters("throttled_pulls_total", "Pulls of this cluster answered by 429, as pods show them.", "account"),
		bypasses:      counters("gate_bypasses_total", "How often a Rollout with gates made pods that no gate let go, by how.", "kind"),
		gateAnswers:   counters("gate_answers_total", "Answers to steps of Rollouts.", "decision"),
		releaseErrors: counter("release_errors_total", "Releases that were not written."),
		refusals:      counter("release_refused_total", "Releases that the API server or a policy engine refused; alert on it."),
		turnErrors:    counter("turn_errors_total", "Turns that were not completed."),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: metricsNamespace, Name: "turn_duration_seconds",
			Help: "How long completed turns took.", Buckets: turnBuckets()}),
		lastTurn: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: "last_turn_timestamp_seconds",
			Help: "When the last turn was completed."}),
		gateActive: gauge("gate_active", "Whether the last dry run of a pod came back gated: 1 or 0."),
		gateProof:  gauge("gate_proof_seconds", "How long the API server took for the last dry run of a pod, the webhook included."),
	}
	for _, kind := range kube.BypassKinds() {
		m.bypasses.WithLabelValues(string(kind)) // there at 0, so that the first shows as a rise
	}
	r.MustRegister(m.board, m.window, m.held, m.shadow, m.turns, m.lastTurn)
	return m
}

func (m *Metrics) released(r core.Reason) { m.releases.WithLabelValues(string(r)).Inc() }
func (m *Metrics) releaseFailed()         { m.releaseErrors.Inc() }
func (m *Metrics) releaseRefused()        { m.refusals.Inc() }
func (m *Metrics) throttled(account core.AccountID) {
	m.throttles.WithLabelValues(string(account)).Inc()
}
func (m *Metrics) bypassed(b kube.Bypass) { m.bypasses.WithLabelValues(string(b)).Inc() }
func (m *Metrics) gateAnswered(decision string) {
	m.gateAnswers.WithLabelValues(decision).Inc()
}
func (m *Metrics) turnFailed() { m.turnErrors.Inc() }

func (m *Metrics) probed(account core.AccountID, outcome string) {
	m.probes.WithLabelValues(string(account), outcome).Inc()
}

func (m *Metrics) turnDone(now time.Time, took time.Duration) {
	m.turns.Observe(took.Seconds())
	m.lastTurn.Set(seconds(now))
}

func (m *Metrics) proved(a proof.Answer) {
	active := 0.0
	if a.Gated() {
		active = 1
	}
	m.gateActive.WithLabelValues().Set(active)
	m.gateProof.WithLabelValues().Set(a.Took.Seconds())
}

func (m *Metrics) admitted(v kube.Verdict) {
	answer := string(v.Reason)
	if v.Hold {
		answer = string(core.Held)
	}
	m.admissions.WithLabelValues(answer).Inc()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// board shows the books of the last decision: a whole one at every scrape.
type board struct {
	display
	limit, remaining, reserved, ungated, foreign, available, read, demand, held, slipped *prometheus.Desc
}

var _ prometheus.Collector = (*board)(nil)

func newBoard() *board {
	b := &board{}
	b.limit = b.describe("account_limit_units", "What the registry allows in a window.", "account")
	b.remaining = b.describe("account_remaining_units", "What the registry said is left, by the last reading.", "account")
	b.reserved = b.describe("account_reserved_units", "Set aside for releases that no reading covers yet.", "account")
	b.ungated = b.describe("account_ungated_units", "Set aside for pods that were not held.", "account")
	b.foreign = b.describe("account_foreign_units_per_hour", "The pace of others on the account.", "account")
	b.available = b.describe("account_available_units", "What a class may spend now.", "account", "class")
	b.read = b.describe("account_reading_timestamp_seconds", "When the last reading was sent.", "account")
	b.demand = b.describe("account_demand_units", "What held pods may cost at most.", "account")
	b.held = b.describe("held_pods", "Pods held now.", "reason", "class")
	b.slipped = b.describe("slipped_pods", "Living pods that the policy would hold and that the webhook never saw.", "policy")
	return b
}

// observe shows a decision from now on, and what the state of the accounts is.
func (m *Metrics) observe(d engine.Decision, state engine.State, t *kube.Tracker) {
	m.window.observe(d, state)
	m.held.observe(d, t)
	m.nodes.worn.Set(float64(t.WornNodes()))
	b := m.board
	var shown readings
	for _, a := range d.Accounts {
		account := string(a.Account)
		m.throttles.WithLabelValues(account) // there at 0, so that the first 429 shows as a rise
		shown.add(b.limit, float64(a.Limit), account)
		shown.add(b.remaining, float64(a.Remaining), account)
		shown.add(b.reserved, float64(a.Reserved), account)
		shown.add(b.ungated, float64(a.Ungated), account)
		shown.add(b.foreign, a.ForeignPerHour, account)
		shown.add(b.demand, float64(a.Demand), account)
		if !a.SentAt.IsZero() {
			shown.add(b.read, seconds(a.SentAt), account)
		}
		for i, units := range a.Available {
			shown.add(b.available, float64(units), account, core.Class(i).String())
		}
	}
	held := map[[2]string]int{}
	for _, h := range d.Holds {
		if g, ok := t.Group(h.Group); ok && !g.Pinned {
			held[[2]string{string(h.Reason), g.Class.String()}] += h.Count
		}
	}
	for labels, n := range held {
		shown.add(b.held, float64(n), labels[0], labels[1])
	}
	slipped := t.Slipped()
	for _, policy := range t.Policies() {
		shown.add(b.slipped, float64(slipped[policy]), policy)
	}
	b.show(shown)
}
