package controller

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// namedUsers bounds the series that name a workload: those that spent most, of all
// accounts together. namedHolds likewise, of those with most held pods. The rest is
// summed up under a name that no object can have.
const (
	namedUsers = 200
	namedHolds = 200
	unnamed    = "(other)"
)

// states are the words of metrics for the states of a breaker.
var states = map[string]string{"ok": "closed", "paused": "open", "trying one": "half-open"}

// windowBoard shows what is known of each account besides its books: how good the
// reading is, who spent the window, whether demand can be met, and when.
type windowBoard struct {
	display
	window, grade, used, othersUsed, from, to, asked, given, hopeless, charged, breaker *prometheus.Desc
}

var _ prometheus.Collector = (*windowBoard)(nil)

func newWindowBoard() *windowBoard {
	b := &windowBoard{}
	b.window = b.describe("account_window_seconds", "The window of the limit.", "account")
	b.grade = b.describe("account_grade", "How far the last reading can be trusted: 1 for OK, Never, Lost, Stale, Mismatch, or None before the first.", "account", "grade")
	b.used = b.describe("account_window_used_units", "What pulls for a workload took of the window; of those that are not among the first 200 in sum, as (other).", "account", "namespace", "workload")
	b.othersUsed = b.describe("account_window_foreign_units", "What of the window was gone at the last reading and not taken by this cluster.", "account")
	b.from = b.describe("account_forecast_from_timestamp_seconds", "When what waits may have its units at the earliest; absent where nothing waits or nothing is known.", "account")
	b.to = b.describe("account_forecast_to_timestamp_seconds", "When what waits may have its units at the latest; absent where nothing waits or nothing is known.", "account")
	b.asked = b.describe("account_asked_units_per_hour", "What was asked of the account, over six windows at most.", "account")
	b.given = b.describe("account_given_units_per_hour", "What the account could give in that time.", "account")
	b.hopeless = b.describe("account_hopeless", "Whether more is asked for than any wait can bring, so that nothing is held: 1 or 0.", "account")
	b.charged = b.describe("account_probes_charged", "Whether the registry charges for the HEAD of a reading, so that it is not asked: 1 or 0.", "account")
	b.breaker = b.describe("breaker_state", "Whether pulls of the account go on: 1 for closed, open or half-open.", "account", "state")
	return b
}

// used is what one workload took of an account.
type used struct {
	account string
	quota.Use
}

// observe shows a decision from now on, and what the state of the accounts is.
func (b *windowBoard) observe(d engine.Decision, state engine.State) {
	var shown readings
	for _, a := range d.Accounts {
		account, grade := string(a.Account), string(cmp.Or(a.Grade, "None"))
		shown.add(b.window, a.Window.Seconds(), account)
		shown.add(b.grade, 1, account, grade)
		shown.add(b.hopeless, truth(!a.Flow.Hopeless.IsZero()), account)
		shown.add(b.charged, truth(!a.HeadsCharged.IsZero()), account)
		if a.Flow.Over > 0 {
			shown.add(b.asked, a.Flow.AskedPerHour, account)
			shown.add(b.given, a.Flow.GivenPerHour, account)
		}
		if !a.Forecast.IsZero() {
			shown.add(b.from, seconds(a.Forecast.From), account)
			shown.add(b.to, seconds(a.Forecast.To), account)
		}
		shown.add(b.breaker, 1, account, breakerState(a))
	}
	var all []used
	for _, s := range state.Accounts {
		shown.add(b.othersUsed, float64(s.ForeignTaken), string(s.Account))
		for _, u := range s.Use {
			all = append(all, used{string(s.Account), u})
		}
	}
	b.showUsed(&shown, all)
	b.show(shown)
}

// breakerState is the state of an account's breaker in the word of metrics.
func breakerState(a engine.View) string {
	if a.Paused {
		return states["paused"]
	}
	return states[string(a.Breaker.State)]
}

// showUsed names those that spent most and sums up the others of each account.
func (b *windowBoard) showUsed(shown *readings, all []used) {
	slices.SortFunc(all, func(x, y used) int {
		return cmp.Or(cmp.Compare(y.Units, x.Units), cmp.Compare(x.account, y.account), cmp.Compare(x.Workload, y.Workload))
	})
	rest, named := map[string]float64{}, 0
	for _, u := range all {
		owner, ok := kube.ParseOwner(u.Workload)
		if !ok || named == namedUsers {
			rest[u.account] += float64(u.Units)
			continue
		}
		named++
		shown.add(b.used, float64(u.Units), u.account, owner.Namespace, owner.Kind+"/"+owner.Name)
	}
	for account, units := range rest {
		shown.add(b.used, units, account, unnamed, unnamed)
	}
}
