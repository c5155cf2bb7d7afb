package failsafe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the failsafe tells Prometheus. Its one label is a closed list.
type Metrics struct {
	released            *prometheus.CounterVec
	errors              prometheus.Counter
	looks, acting, held prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	options := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "pullpace", Subsystem: "failsafe", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(options(name, help)))
	}
	m := &Metrics{
		released: prometheus.NewCounterVec(prometheus.CounterOpts(options("releases_total", "Objects that the failsafe let go.")), []string{"reason"}),
		errors:   prometheus.NewCounter(prometheus.CounterOpts(options("release_errors_total", "Objects that the failsafe could not let go."))),
		looks:    gauge("last_look_timestamp_seconds", "When the failsafe last looked at the heartbeat and at what is held."),
		acting:   gauge("acting", "Whether the controller is gone and the failsafe lets everything go: 1 or 0."),
		held:     gauge("held_objects", "Held pods, Jobs, nodes and changed Deployments that the failsafe sees."),
	}
	for _, reason := range []string{reasonFailsafe, reasonHoldExpired} {
		m.released.WithLabelValues(reason) // there from the start, so that the first shows as a rise
	}
	r.MustRegister(m.released, m.errors, m.looks, m.acting, m.held)
	return m
}

// looked notes a look: whether the controller is gone and how much is held.
func (m *Metrics) looked(now time.Time, gone bool, held int) {
	m.looks.Set(float64(now.UnixMilli()) / 1000)
	m.held.Set(float64(held))
	m.acting.Set(0)
	if gone {
		m.acting.Set(1)
	}
}

func (m *Metrics) letGo(reason string) { m.released.WithLabelValues(reason).Inc() }
