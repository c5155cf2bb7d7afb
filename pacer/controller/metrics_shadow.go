package controller

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/shadow"
)

// shadowBoard shows what Shadow saw. Its labels are bounded: policies by the
// PacePolicies that there are, Reasons by the closed list.
type shadowBoard struct {
	pods, rollouts, nothing, throttled, saved, paged, held *prometheus.Desc

	mu    sync.Mutex
	shown []prometheus.Metric
}

var _ prometheus.Collector = (*shadowBoard)(nil)

func newShadowBoard() *shadowBoard {
	desc := func(name, help, label string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, "shadow", name), help, []string{label}, nil)
	}
	return &shadowBoard{
		pods:      desc("pods_total", "Pods that would have been held.", "policy"),
		rollouts:  desc("rollouts_total", "Revisions of workloads of which pods would have been held.", "policy"),
		nothing:   desc("held_for_nothing_total", "Pods that would have been held and whose pulls were not charged.", "policy"),
		throttled: desc("throttled_pulls_total", "Answers of 429 to pods that the policy rules.", "policy"),
		saved:     desc("saved_pulls_total", "Answers of 429 to pods that would still have been held.", "policy"),
		paged:     desc("paged_total", "Pods that would have been held for 15 minutes.", "policy"),
		held:      desc("held_pods", "Pods that would be held now.", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (b *shadowBoard) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{b.pods, b.rollouts, b.nothing, b.throttled, b.saved, b.paged, b.held} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (b *shadowBoard) Collect(out chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.shown {
		out <- m
	}
}

// observe shows what was counted, and the holds that there would be, from now on.
func (b *shadowBoard) observe(record shadow.Record, held map[core.Reason]int) {
	var shown []prometheus.Metric
	for policy, t := range record {
		for desc, n := range map[*prometheus.Desc]int64{
			b.pods: t.Total.Pods, b.rollouts: t.Total.Rollouts, b.nothing: t.Total.Nothing,
			b.throttled: t.Total.Throttled, b.saved: t.Total.Saved, b.paged: t.Total.Paged,
		} {
			shown = append(shown, prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), policy))
		}
	}
	for reason, n := range held {
		shown = append(shown, prometheus.MustNewConstMetric(b.held, prometheus.GaugeValue, float64(n), string(reason)))
	}
	b.mu.Lock()
	b.shown = shown
	b.mu.Unlock()
}
