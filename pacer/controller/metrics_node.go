package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core"
)

// nodeCounts are what Prometheus is told of new nodes.
type nodeCounts struct {
	holds, errors prometheus.Counter
	releases      *prometheus.CounterVec
	worn          prometheus.Gauge
}

func newNodeCounts(r prometheus.Registerer) *nodeCounts {
	c := &nodeCounts{
		holds: prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricsNamespace, Name: "node_holds_total", Help: "New nodes that were held."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricsNamespace, Name: "node_hold_errors_total",
			Help: "New nodes that could not be held; they went as if Pace were not there."}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: "node_releases_total", Help: "New nodes let go, held before or not."}, []string{"reason"}),
		worn:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: "held_nodes", Help: "Nodes held now."}),
	}
	r.MustRegister(c.holds, c.errors, c.releases, c.worn)
	return c
}

func (c *nodeCounts) held()                  { c.holds.Inc() }
func (c *nodeCounts) failed()                { c.errors.Inc() }
func (c *nodeCounts) released(r core.Reason) { c.releases.WithLabelValues(string(r)).Inc() }
