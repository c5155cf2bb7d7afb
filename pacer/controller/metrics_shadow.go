package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/shadow"
)

// shadowBoard shows what Shadow saw. Its labels are bounded: policies by the
// PacePolicies that there are, Reasons by the closed list.
type shadowBoard struct {
	display
	pods, rollouts, nothing, throttled, saved, paged, held *prometheus.Desc
}

var _ prometheus.Collector = (*shadowBoard)(nil)

func newShadowBoard() *shadowBoard {
	b := &shadowBoard{}
	b.pods = b.describe("shadow_pods_total", "Pods that would have been held.", "policy")
	b.rollouts = b.describe("shadow_rollouts_total", "Revisions of workloads of which pods would have been held.", "policy")
	b.nothing = b.describe("shadow_held_for_nothing_total", "Pods that would have been held and whose pulls were not charged.", "policy")
	b.throttled = b.describe("shadow_throttled_pulls_total", "Answers of 429 to pods that the policy rules.", "policy")
	b.saved = b.describe("shadow_saved_pulls_total", "Answers of 429 to pods that would still have been held.", "policy")
	b.paged = b.describe("shadow_paged_total", "Pods that would have been held for 15 minutes.", "policy")
	b.held = b.describe("shadow_held_pods", "Pods that would be held now.", "reason")
	return b
}

// observe shows what was counted, and the holds that there would be, from now on.
func (b *shadowBoard) observe(record shadow.Record, held map[core.Reason]int) {
	var shown readings
	for policy, t := range record {
		for desc, n := range map[*prometheus.Desc]int64{
			b.pods: t.Total.Pods, b.rollouts: t.Total.Rollouts, b.nothing: t.Total.Nothing,
			b.throttled: t.Total.Throttled, b.saved: t.Total.Saved, b.paged: t.Total.Paged,
		} {
			shown.count(desc, float64(n), policy)
		}
	}
	for reason, n := range held {
		shown.add(b.held, float64(n), string(reason))
	}
	b.show(shown)
}
