package controller

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// failureCounts count failing pulls and what came of them.
type failureCounts struct {
	failures, transitions *prometheus.CounterVec
}

func newFailureCounts(r prometheus.Registerer) *failureCounts {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	return &failureCounts{
		failures: counters("pull_failures_total",
			"Attempts to pull an image that failed, as pods show them, by class; account none: of no account that is paced.", "account", "class"),
		transitions: counters("breaker_transitions_total", "How often the breaker of an account came into a state: closed, open, half-open.", "account", "to"),
	}
}

// failed counts a failed attempt.
func (m *Metrics) failed(f engine.PullFailed) {
	m.failing.failures.WithLabelValues(cmp.Or(string(f.Account), "none"), string(f.Class.Info().Class)).Inc()
	if f.Class == feedback.Throttled && f.Account != "" {
		m.throttled(f.Account)
	}
}

// transition counts that the breaker of an account came into a state.
func (m *Metrics) transition(account core.AccountID, to feedback.State) {
	m.failing.transitions.WithLabelValues(string(account), states[string(to)]).Inc()
}
