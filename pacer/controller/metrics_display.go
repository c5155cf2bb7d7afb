package controller

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// display shows metrics that belong together and are replaced as a whole. It is safe
// for concurrent use.
type display struct {
	descs []*prometheus.Desc

	mu    sync.Mutex
	shown readings
}

// describe adds a metric to those that the display may show.
func (d *display) describe(name, help string, labels ...string) *prometheus.Desc {
	desc := prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, "", name), help, labels, nil)
	d.descs = append(d.descs, desc)
	return desc
}

// show replaces what is shown.
func (d *display) show(shown readings) {
	d.mu.Lock()
	d.shown = shown
	d.mu.Unlock()
}

// Describe implements prometheus.Collector.
func (d *display) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range d.descs {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *display) Collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.shown {
		out <- m
	}
}

// readings are metrics with their values.
type readings []prometheus.Metric

// add adds a gauge, count a counter.
func (r *readings) add(desc *prometheus.Desc, value float64, labels ...string) {
	*r = append(*r, prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...))
}

func (r *readings) count(desc *prometheus.Desc, value float64, labels ...string) {
	*r = append(*r, prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...))
}

// truth is 1 or 0.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
