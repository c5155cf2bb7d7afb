package simulate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

func ptr(v float64) *float64 { return &v }

// limited is a scenario with these limiters and egress groups, and nothing else of
// interest.
func limited(t *testing.T, limiters, egress string) *scenario.Spec {
	t.Helper()
	s, err := scenario.Decode(fmt.Appendf(nil, `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: limited}
spec:
  registries: [{name: hub, host: docker.io, limiters: [%s]}]
  egress: [%s]
  nodePools: [{name: general, nodes: 1, egress: nat}]
  images: [{name: app, registry: hub, layers: [{digest: app, size: 1Mi}]}]
  workloads: [{name: web, image: app, replicas: 1}]
  policies: [{name: none, unpaced: {}}, {name: pace, pace: {}}, {name: bold, pace: {budgets: {hub: {reserve: {percent: 0}}}}}]
`, limiters, egress))
	if err != nil {
		t.Fatal(err)
	}
	return &s.Spec
}

// TestBound: what the closed forms say of N units, through the scenario's terms.
func TestBound(t *testing.T) {
	t.Parallel()
	const (
		rolling = "{type: RollingLog, limit: 100, window: 6h}"
		nat     = "{name: nat}"
	)
	for name, tc := range map[string]struct {
		limiters, egress string
		due              []model.Due
		policy           int
		want             report.Bound
	}{
		// (ceil(250/100)-1) * 6 h
		"rolling log": {rolling, nat, []model.Due{{Units: []int64{250}}}, 0, report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}},
		// (ceil(285/100)-1) * 6 h and, of 95 a window, (ceil(285/95)-1) * 6 h: the same; 286 is one more.
		"a reserve that costs nothing":  {rolling, nat, []model.Due{{Units: []int64{285}}}, 1, report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}},
		"a reserve that costs a window": {rolling, nat, []model.Due{{Units: []int64{286}}}, 1, report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(64800), LimitedBy: "registries[hub].limiters[0]"}},
		"no reserve asked for":          {rolling, nat, []model.Due{{Units: []int64{286}}}, 2, report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}},
		// 20 of 100 are others': (ceil(240/80)-1) * 6 h
		"others": {rolling, "{name: nat, foreign: {perWindow: 20}}", []model.Due{{Units: []int64{240}}}, 0, report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}},
		// Others use two addresses in turn, ten of each: (ceil(181/90)-1) * 6 h; the group behind has none.
		"others on two addresses": {rolling, "{name: nat, ips: 2, foreign: {perWindow: 20}}, {name: far}", []model.Due{{Units: []int64{180, 181, 100}}}, 0,
			report.Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}},
		"others elsewhere": {rolling, "{name: nat}, {name: far, foreign: {perWindow: 50}}", []model.Due{{Units: []int64{100, 50}}}, 0,
			report.Bound{Seconds: ptr(0), WithReserveSeconds: ptr(0), LimitedBy: "none"}},
		// One account for all: both groups' others draw on it, (ceil(140/70)-1) * 6 h.
		"others on one account": {"{type: RollingLog, per: Account, limit: 100, window: 6h}", "{name: nat, foreign: {perWindow: 10}}, {name: far, foreign: {perWindow: 20}}", []model.Due{{Units: []int64{140}}}, 0,
			report.Bound{Seconds: ptr(21600), WithReserveSeconds: ptr(21600), LimitedBy: "registries[hub].limiters[0]"}},
		// (1000-10)/(10-1)
		"bucket and others": {"{type: TokenBucket, rate: 10/s, burst: 10}", "{name: nat, foreign: {per: 1, every: 1s}}", []model.Due{{Units: []int64{1000}}}, 0,
			report.Bound{Seconds: ptr(110), WithReserveSeconds: ptr(110), LimitedBy: "registries[hub].limiters[0]"}},
		// The bucket lets 1000 go in (1000-100)/10 = 90 s, the window wants 100 of each minute.
		"the tighter of two": {"{type: TokenBucket, rate: 10/s, burst: 100}, {type: FixedWindow, limit: 100, window: 1m}", nat, []model.Due{{Units: []int64{1000}}, {Limiter: 1, Units: []int64{1000}}}, 0,
			report.Bound{Seconds: ptr(540), WithReserveSeconds: ptr(540), LimitedBy: "registries[hub].limiters[1]"}},
		"never": {"{type: RollingLog, limit: 0, window: 6h}", nat, []model.Due{{Units: []int64{1}}}, 0, report.Bound{LimitedBy: "registries[hub].limiters[0]"}},
		"all is others'": {rolling, "{name: nat, foreign: {perWindow: 100}}", []model.Due{{Units: []int64{101}}}, 0,
			report.Bound{LimitedBy: "registries[hub].limiters[0]"}},
		"within the first window": {rolling, nat, []model.Due{{Units: []int64{100}}}, 0, report.Bound{Seconds: ptr(0), WithReserveSeconds: ptr(0), LimitedBy: "none"}},
		"nothing due":             {rolling, nat, nil, 0, report.Bound{Seconds: ptr(0), WithReserveSeconds: ptr(0), LimitedBy: "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := limited(t, tc.limiters, tc.egress)
			if diff := cmp.Diff(tc.want, bound(spec, spec.Policies[tc.policy], tc.due)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
