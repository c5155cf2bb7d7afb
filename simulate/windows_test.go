package simulate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/simulate"
)

// minutes is a cold pull on each of so many nodes against a window of minutes that
// only headers tell of, with a reserve and without one.
const minutes = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: minutes}
spec:
  horizon: 24h
  cluster: {createQPS: 0, bindQPS: 0}
  registries: [{name: hub, host: docker.io, limiters: [%s]}]
  egress: [{name: nat}]
  nodePools: [{name: general, nodes: %d, podsPerNode: 1, egress: nat}]
  images: [{name: app, registry: hub, multiArch: %t, layers: [{digest: app, size: 1Mi}]}]
  workloads: [{name: web, image: app, replicas: %[2]d, cold: true}]
  policies:
  - {name: bold, pace: {budgets: {hub: {reserve: {percent: 0, rollback: None}}}}}
  - {name: pace, pace: {}}
`

// TestWindowsOfMinutes: what waits is done within 0.5 % of the bound, and with a
// reserve within 5 % and 30 s, except for what no one who grants on readings alone can
// have. Let lag be how long after a pull a reading is trusted to hold it, the least of
// 5 s and W/12, and floor the second between two probes.
//
//   - A token bucket refills all the time. What was pulled in the last lag is gone from
//     the reading and set aside as well, so that the last units go lag and floor late:
//     once, as what is set aside is the same all the time.
//   - A sliding counter forgets the window before at the pace at which that was used.
//     What is late in one window is forgotten late in the next, so that every window
//     takes lag and floor longer.
//   - In a rolling log units come back when they were used. The price of an image for
//     several platforms is known after two batches, half and a quarter of the window,
//     each covered after lag and read within floor; the rest goes after that, in the
//     first window and so in each. A fixed window gives all of it back at once.
func TestWindowsOfMinutes(t *testing.T) {
	t.Parallel()
	const limit, floor = 100, time.Second
	limiters := map[string]string{
		"RollingLog":     "{type: RollingLog, limit: %d, window: %v}",
		"FixedWindow":    "{type: FixedWindow, limit: %d, window: %v}",
		"SlidingCounter": "{type: SlidingCounter, limit: %d, window: %v}",
		"TokenBucket":    "{type: TokenBucket, burst: %d, rate: 100/%v}",
	}
	for _, window := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute} {
		late := (min(5*time.Second, window/12) + floor).Seconds()
		for kind, limiter := range limiters {
			for _, multi := range []bool{false, true} {
				for _, pulls := range []int{250, 600} {
					t.Run(fmt.Sprintf("%s of %v, %d pulls, several platforms %t", kind, window, pulls, multi), func(t *testing.T) {
						t.Parallel()
						s := decoded(t, fmt.Sprintf(minutes, fmt.Sprintf(limiter, limit, window), pulls, multi))
						r := run(t, s, simulate.Options{})
						bold, paced := r.Policies[0], r.Policies[1]
						least := *bold.Bound.Seconds
						most := 1.005 * least
						switch {
						case kind == "TokenBucket":
							most = max(most, least+late)
						case kind == "SlidingCounter":
							most = least * (1 + late/window.Seconds())
						case kind == "RollingLog" && multi:
							most += 2 * late
						}
						if last := *bold.LastPullStartSeconds; last > most {
							t.Errorf("the last pull started at %.1f s, want %.1f at most, %.4f of the bound", last, most, most/least)
						}
						if most, last := 1.05**paced.Bound.WithReserveSeconds+30, *paced.LastPullStartSeconds; last > most {
							t.Errorf("with a reserve the last pull started at %.1f s, want %.1f at most", last, most)
						}
						for _, p := range r.Policies {
							if p.Throttled != 0 || p.UnfinishedPods != 0 {
								t.Errorf("%s: %d answers of 429, %d pods unfinished, want none", p.Name, p.Throttled, p.UnfinishedPods)
							}
						}
					})
				}
			}
		}
	}
}
