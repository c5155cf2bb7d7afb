package simulate_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/memory"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/policy"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// small is a scale-up of 40 pods on 40 cold nodes against 10 pulls a minute, with
// draws of many kinds.
const small = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  seed: 7
  replications: 3
  horizon: 2h
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 10, window: 1m}], rtt: {lognormal: {p50: 40ms, p99: 200ms}}}
  egress: [{name: nat, bandwidth: 1Gbps}]
  nodePools: [{name: general, nodes: 40, egress: nat, podsPerNode: 1}]
  images: [{name: app, registry: hub, multiArch: true, layers: [{digest: app, size: 20Mi}]}]
  workloads: [{name: web, image: app, replicas: 40, cold: true, startup: {exponential: {mean: 2s}}}]
  policies: [{name: none, unpaced: {}}, {name: two, fixedParallelism: {nodes: 2}}, {name: pace, pace: {}}]
  goals:
  - {policy: pace, metric: unfinishedPods, op: "==", value: 0}
  - {policy: none, metric: throttled, op: "==", value: 0}
  - {policy: pace, metric: podReadySeconds.max, op: "<=", value: 20m}
`

func decoded(t testing.TB, text string, edits ...scenario.Edit) *scenario.Scenario {
	t.Helper()
	s, err := scenario.With([]byte(text), edits...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, s *scenario.Scenario, o simulate.Options) report.Result {
	t.Helper()
	r, err := simulate.Run(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sameButTime ignores how long it took on the machine.
func sameButTime() cmp.Option {
	return cmpopts.IgnoreFields(report.Result{}, "WallSeconds", "EventsPerSecond")
}

// TestRunIsTheSameHoweverItIsRun: not the number of processors, nor how many runs
// there are at a time, nor what ran before changes a bit.
func TestRunIsTheSameHoweverItIsRun(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var first report.Result
	for _, processors := range []int{1, 2} {
		runtime.GOMAXPROCS(processors)
		for _, workers := range []int{0, 1, 2, 8} {
			r := run(t, decoded(t, small), simulate.Options{Workers: workers})
			if first.LogSHA256 == "" {
				first = r
			}
			if diff := cmp.Diff(first, r, sameButTime()); diff != "" {
				t.Errorf("with %d processors and %d workers (-first +now)\n%s", processors, workers, diff)
			}
		}
	}
	if other := run(t, decoded(t, small, scenario.Edit{Path: "seed", Value: "8"}), simulate.Options{}); other.LogSHA256 == first.LogSHA256 {
		t.Error("another seed gives the same log")
	}
}

// TestLogIsOverRunsInOrder plays the runs one by one, the last first, and hashes
// their digests by policy and then by replication.
func TestLogIsOverRunsInOrder(t *testing.T) {
	t.Parallel()
	s := decoded(t, small)
	var digests [][]byte
	for _, p := range slices.Backward(s.Spec.Policies) {
		for replication := s.Spec.Replications - 1; replication >= 0; replication-- {
			pacer, err := policy.New(&s.Spec, p)
			if err != nil {
				t.Fatal(err)
			}
			out := model.Run(&s.Spec, replication, pacer)
			digests = append(digests, out.Digest[:])
		}
	}
	slices.Reverse(digests)
	hash := sha256.New()
	for _, d := range digests {
		hash.Write(d)
	}
	if got, want := run(t, s, simulate.Options{}).LogSHA256, hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("the log is %s, want %s", got, want)
	}
}

// TestReplicationsDoNotDependOnHowManyThereAre: the first of three is the only of
// one, and each policy meets the same draws whether others run or not.
func TestReplicationsDoNotDependOnHowManyThereAre(t *testing.T) {
	t.Parallel()
	three := run(t, decoded(t, small), simulate.Options{})
	one := run(t, decoded(t, small, scenario.Edit{Path: "replications", Value: "1"}), simulate.Options{})
	for i, p := range three.Policies {
		if p.Spread == nil || one.Policies[i].Spread != nil {
			t.Errorf("%s: a spread is there with three runs and not with one", p.Name)
		}
		p.Spread = nil
		if diff := cmp.Diff(one.Policies[i], p); diff != "" {
			t.Errorf("(-one +three)\n%s", diff)
		}
	}
	alone := decoded(t, small)
	alone.Spec.Policies, alone.Spec.Goals = alone.Spec.Policies[2:], nil
	if diff := cmp.Diff(three.Policies[2], run(t, alone, simulate.Options{}).Policies[0]); diff != "" {
		t.Errorf("(-beside others +alone)\n%s", diff)
	}
}

// TestGoalsAreInTheOrderOfTheScenario and hold in all replications or are missed.
func TestGoalsAreInTheOrderOfTheScenario(t *testing.T) {
	t.Parallel()
	r := run(t, decoded(t, small), simulate.Options{Version: "v1"})
	var got []string
	for _, g := range r.Goals {
		got = append(got, fmt.Sprintf("%s %s met=%v missed=%d", g.Policy, g.Metric, g.Met, g.MissedIn))
	}
	want := []string{"pace unfinishedPods met=true missed=0", "none throttled met=false missed=3", "pace podReadySeconds.max met=true missed=0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.Version != "v1" || r.Replications != 3 || r.Seed != 7 || r.HorizonSeconds != 7200 || len(r.ScenarioSHA256) != 64 || r.Missed() != 1 {
		t.Errorf("the result is of another run: %+v", r)
	}
}

// TestCurvesAgreeWithTheFigures: they end where the figures say.
func TestCurvesAgreeWithTheFigures(t *testing.T) {
	t.Parallel()
	for _, p := range run(t, decoded(t, small), simulate.Options{}).Policies {
		last := map[report.Kind]float64{}
		for _, s := range p.Series {
			if len(s.Points) < 2 || s.Points[0].Seconds != 0 {
				t.Errorf("%s: a curve has %d points from %v", p.Name, len(s.Points), s.Points)
				continue
			}
			last[s.Kind] = s.Points[len(s.Points)-1].Value
		}
		want := map[report.Kind]float64{report.Ready: 40, report.Throttled: float64(p.Throttled), report.InFlight: last[report.InFlight], report.Remaining: last[report.Remaining]}
		if diff := cmp.Diff(want, last); diff != "" {
			t.Errorf("%s (-figures +curves)\n%s", p.Name, diff)
		}
		if len(last) != 4 || last[report.Remaining] > 10 {
			t.Errorf("%s has curves %v, want four and at most 10 remaining", p.Name, last)
		}
	}
}

func TestRunTellsItsProgressAndItsTime(t *testing.T) {
	t.Parallel()
	var told []int
	clock := time.Unix(0, 0)
	r := run(t, decoded(t, small), simulate.Options{Workers: 3,
		Progress: func(done, total int) { told = append(told, done, total) },
		Now:      func() time.Time { clock = clock.Add(2 * time.Second); return clock }})
	want := []int{}
	for i := range 9 {
		want = append(want, i+1, 9)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +told)\n%s", diff)
	}
	events := int64(0)
	for _, p := range r.Policies {
		events += p.Events
	}
	if r.WallSeconds != 2 || r.EventsPerSecond < float64(events)/2 {
		t.Errorf("%v s and %v events a second, want 2 s and more than %v events in them", r.WallSeconds, r.EventsPerSecond, events)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := simulate.Run(ctx, decoded(t, small), simulate.Options{Workers: 1, Progress: func(int, int) { cancel(enough) }})
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestGoalOfAPolicyThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := decoded(t, small)
	s.Spec.Policies = s.Spec.Policies[:1]
	if _, err := simulate.Run(t.Context(), s, simulate.Options{}); err == nil {
		t.Error("a goal of a policy that did not run was passed over")
	}
}

// BenchmarkReplications is a thousand replications of a scale-up of ten thousand
// pods on a thousand cold nodes, unpaced and paced, on all processors.
func BenchmarkReplications(b *testing.B) {
	for i, name := range []string{"unpaced", "paced"} {
		b.Run(name, func(b *testing.B) {
			s := decoded(b, large)
			s.Spec.Policies = s.Spec.Policies[i : i+1]
			defer memory.Settle(&s.Spec, runtime.GOMAXPROCS(0))()
			events, runs := int64(0), 0
			for b.Loop() {
				r := run(b, s, simulate.Options{})
				events += r.Policies[0].Events * int64(r.Replications) // all are about as long
				runs += r.Replications
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(runs)/b.Elapsed().Seconds(), "runs/s")
		})
	}
}

// large is a thousand nodes and ten thousand pods, against a bucket that refuses
// most of them at first.
const large = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: large}
spec:
  replications: 1000
  cluster: {createQPS: 0, bindQPS: 0}
  registries: [{name: hub, host: docker.io, limiters: [{type: TokenBucket, rate: 100/s, burst: 100}]}]
  egress: [{name: nat}]
  nodePools: [{name: general, nodes: 1000, egress: nat, podsPerNode: 10, zones: [a, b, c]}]
  images: [{name: app, registry: hub, multiArch: true, layers: [{digest: app, size: 1kB}]}]
  workloads: [{name: web, image: app, replicas: 10000, cold: true}]
  policies:
  - {name: unpaced, unpaced: {}}
  - {name: paced, pace: {policy: {maxGatedPerNamespace: 10000}, budgets: {hub: {limit: {source: Fixed, rate: 100, burst: 100}}}}}
`
