package policy

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// world is a scenario in which pods that are alike, one to a node, pull one image
// of one manifest that has no layers to speak of, so that the registry alone decides.
type world struct {
	pods    int
	limiter string // its fields, as in a file
	foreign string // of the egress
	pace    string // of the policy pace
	more    string // lines of the spec
	rtt     string // of the registry
	size    string // of the image, which goes over cards of 8 Mbps
}

func (w world) decode(t testing.TB) *scenario.Spec {
	t.Helper()
	foreign := w.foreign
	if foreign == "" {
		foreign = "{perWindow: 0}"
	}
	file := fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  seed: 1
  horizon: 240h
  cluster: {createQPS: 0, bindQPS: 0}
  registries:
  - {name: hub, host: docker.io, limiters: [%s], rtt: %s}
  egress:
  - {name: nat, foreign: %s}
  nodePools:
  - {name: general, nodes: %d, egress: nat, podsPerNode: 1, nic: 8Mbps}
  images:
  - {name: app, registry: hub, layers: [{digest: app, size: %s}]}
  workloads:
  - {name: web, image: app, replicas: %d, cold: true}
%s
  policies:
  - {name: unpaced, unpaced: {}}
  - {name: parallel, fixedParallelism: {nodes: 10}}
  - {name: rate, staticRate: {rate: 10/s, burst: 10}}
  - {name: pace, pace: {policy: {maxGatedPerNamespace: 100000}%s}}
`, w.limiter, cmp.Or(w.rtt, "{constant: 0s}"), foreign, w.pods, cmp.Or(w.size, "1kB"), w.pods, w.more, w.pace)
	s, err := scenario.Decode([]byte(file))
	if err != nil {
		t.Fatalf("%v in\n%s", err, file)
	}
	return &s.Spec
}

// play runs the policy of that name.
func play(t testing.TB, spec *scenario.Spec, name string) *model.Outcome {
	t.Helper()
	for _, p := range spec.Policies {
		if p.Name != name {
			continue
		}
		pacer, err := New(spec, p)
		if err != nil {
			t.Fatal(err)
		}
		return model.Run(spec, 0, pacer)
	}
	t.Fatalf("no policy %q", name)
	return nil
}

func bound(spec *scenario.Spec, n, left int64) time.Duration {
	return time.Duration(spec.Registries[0].Limiters[0].Config().Bound(n, limiter.Drain{}, left))
}

const (
	rolling = "{type: RollingLog, limit: 100, window: 6h}"
	fixed   = "{type: FixedWindow, limit: 100, window: 6h, phase: 4h}"
	bucket  = "{type: TokenBucket, rate: 100/6h, burst: 100}"
	sliding = "{type: SlidingCounter, limit: 100, window: 6h}"
	denied  = "{type: RollingLog, limit: 100, window: 6h, countsDenied: true}"
	minute  = "{type: RollingLog, limit: 100, window: 1m}"
	seconds = "{type: TokenBucket, rate: 10/s, burst: 10, headers: false}"

	declared  = ", budgets: {hub: {limit: {source: Fixed, rate: 10, burst: 10}}}"
	noReserve = ", budgets: {hub: {reserve: {percent: 0, rollback: None}}}"
)

// TestPaceKeepsToTheBound: no answer of 429, and the last pull starts no later than
// any order of pulls allows, as far as what is left in reserve allows.
func TestPaceKeepsToTheBound(t *testing.T) {
	t.Parallel()
	limits := map[string]string{"rolling log": rolling, "fixed window": fixed, "bucket": bucket, "sliding counter": sliding, "denied count": denied, "a minute": minute}
	for name, limit := range limits {
		t.Run(name+" with a reserve", func(t *testing.T) {
			t.Parallel()
			spec := world{pods: 250, limiter: limit}.decode(t)
			most := bound(spec, 250, 5)*105/100 + 30*time.Second
			within(t, play(t, spec, "pace"), 250, most)
		})
	}
	delete(limits, "a minute")
	for name, limit := range limits {
		t.Run(name+" without a reserve", func(t *testing.T) {
			t.Parallel()
			spec := world{pods: 250, limiter: limit, pace: noReserve}.decode(t)
			within(t, play(t, spec, "pace"), 250, bound(spec, 250, 0)*1005/1000)
		})
	}
	for name, w := range map[string]world{
		"ten a second, declared":                    {pods: 1000, limiter: seconds, pace: declared},
		"ten a second, declared, pulls of a minute": {pods: 1000, limiter: seconds, pace: declared, rtt: "{lognormal: {p50: 50ms, p99: 400ms}}", size: "60MB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := w.decode(t)
			within(t, play(t, spec, "pace"), 1000, bound(spec, 1000, 0)*105/100+5*time.Second)
		})
	}
}

func within(t *testing.T, out *model.Outcome, pulls int, most time.Duration) {
	t.Helper()
	if out.Throttled != 0 || out.Pulls != pulls || out.Unfinished != 0 {
		t.Errorf("%d answers of 429, %d pulls and %d pods not ready, want 0, %d, 0", out.Throttled, out.Pulls, out.Unfinished, pulls)
	}
	if out.LastPullStart > most {
		t.Errorf("the last pull starts after %v, want %v at most", out.LastPullStart, most)
	}
	t.Logf("last pull after %v (%v at most), %d events", out.LastPullStart, most, out.Events)
}

// TestBaselines: what is not paced gets there too, through answers of 429.
func TestBaselines(t *testing.T) {
	t.Parallel()
	spec := world{pods: 250, limiter: minute}.decode(t)
	for _, name := range []string{"unpaced", "parallel", "rate"} {
		out := play(t, spec, name)
		t.Logf("%s: %d answers of 429, last pull after %v", name, out.Throttled, out.LastPullStart)
		if out.Pulls != 250 || out.Throttled == 0 {
			t.Errorf("%s: %d pulls and %d answers of 429, want 250 and some", name, out.Pulls, out.Throttled)
		}
	}
}
