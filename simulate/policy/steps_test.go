package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// canaryFile is a Rollout of forty pods, one on each of forty nodes, that gets another
// image at one minute; the account gives 24 pulls in ten minutes.
func canaryFile(t *testing.T, steps, lines string) *scenario.Spec {
	t.Helper()
	s, err := scenario.Decode([]byte(fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  horizon: 2h
  cluster: {createQPS: 0, bindQPS: 0}
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 24, window: 10m}]}
  images:
  - {name: v1, registry: hub, layers: [{digest: a, size: 1kB}]}
  - {name: v2, registry: hub, layers: [{digest: b, size: 1kB}]}
  nodePools:
  - {name: general, nodes: 40, podsPerNode: 2, runtime: {unpack: 0bps}}
  workloads:
  - {name: web, kind: Rollout, image: v1, replicas: 40, startup: {constant: 10s}, steps: %s}
  timeline:
  - {at: 60s, setImage: {workload: web, image: v2}}
  - {at: 1h, scale: {workload: web, replicas: 40}}
%s
`, steps, lines)))
	if err != nil {
		t.Fatal(err)
	}
	return &s.Spec
}

const (
	onlyPace   = "  policies: [{name: pace, pace: {}}]"
	gatedSteps = "[{gate: {}}, {setWeight: 10}, {pause: {duration: 60s}}, {gate: {}}, {setWeight: 50}, {gate: {}}]"
)

// TestGatesWaitForTheBudget follows the numbers by hand. Four pods at weight 10, twenty at
// 50, forty at the end, each on a node without the image: 4, 16 and 20 units, of which 24
// are free at first. The first gate is asked as the image is set, and answered by the next
// turn, 50 ms later; the second after ten seconds of starting and the pause; the third
// after ten more, when 24 - 4 - 16 = 4 are left. Ten minutes after the sixteen were
// charged, at 730.1 s, there are 24 again, and the first question after that is the one
// at 140.15 s + 30 * 20 s.
func TestGatesWaitForTheBudget(t *testing.T) {
	t.Parallel()
	out, heard, h := listen(t, canaryFile(t, gatedSteps, onlyPace))
	type gate struct {
		Began, Ended time.Duration
		Opens, Asked int
		Held, Went   string
	}
	var gates []gate
	for _, s := range out.Steps {
		if s.Asked > 0 {
			gates = append(gates, gate{s.Began, s.Ended, s.Opens, s.Asked, s.Held, s.Went})
		}
	}
	const ms = time.Millisecond
	want := []gate{
		{60_000 * ms, 60_050 * ms, 4, 1, "", "Budget"},
		{130_050 * ms, 130_100 * ms, 20, 1, "", "Budget"},
		{140_100 * ms, 740_150 * ms, 40, 31, "WaitingForBudget", "Budget"},
	}
	if diff := cmp.Diff(want, gates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	var counts []int
	for _, r := range heard.releases {
		counts = append(counts, r.Count)
	}
	if diff := cmp.Diff([]int{4, 16, 20}, counts); diff != "" {
		t.Errorf("pods let go at a time (-want +got):\n%s", diff)
	}
	if out.Throttled != 0 || out.Unfinished != 0 || out.UnitsCharged != 40 {
		t.Errorf("%d answers of 429, %d pods unfinished, %d units; want none, none and 40", out.Throttled, out.Unfinished, out.UnitsCharged)
	}
	if len(h.steps.claims)+len(h.steps.asked) != 0 || *h.workloads[0].held != 0 {
		t.Errorf("%d claims, %d questions and %d held pods are left", len(h.steps.claims), len(h.steps.asked), *h.workloads[0].held)
	}
	// the same without gates: of the last twenty pods sixteen are refused, and try again
	free := canaryFile(t, "[{setWeight: 10}, {pause: {duration: 60s}}, {setWeight: 50}]", "  policies: [{name: none, unpaced: {}}]")
	if o := model.Run(free, 0, nil); o.Throttled < 16*5 {
		t.Errorf("without gates %d answers of 429, want sixteen pulls refused five times each at least", o.Throttled)
	}
}

// TestARestartForgetsNoStep: whenever the controller is away, as a gate is asked, between
// its answer and the pods, or as it holds, no pull is refused, and all steps are taken.
func TestARestartForgetsNoStep(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"59s", "60055ms", "65s", "130s", "130105ms", "135s", "300s", "740s", "740155ms", "12m30s"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			spec := canaryFile(t, gatedSteps, onlyPace+"\n  faults: [{at: "+at+", for: 40s, controllerRestart: {}}]")
			out := play(t, spec, "pace")
			if out.Throttled != 0 || out.Unfinished != 0 || out.UnitsCharged != 40 {
				t.Errorf("%d answers of 429, %d pods unfinished, %d units; want none, none and 40", out.Throttled, out.Unfinished, out.UnitsCharged)
			}
		})
	}
}

// TestWhenGatesAreOpen: where nothing is to be waited for they say why.
func TestWhenGatesAreOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ steps, pace, want string }{
		"the policy watches": {gatedSteps, "policy: {mode: Shadow}", "Shadow"},
		"nobody paces":       {"[{gate: {}}, {setWeight: 0}, {gate: {}}]", "", "Warm"},
		"there is budget":    {gatedSteps, "budgets: {hub: {limit: {source: Fixed, pulls: 1000, window: 10m}}}", "Budget"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := play(t, canaryFile(t, tc.steps, "  policies: [{name: pace, pace: {"+tc.pace+"}}]"), "pace")
			if out.Steps[0].Asked != 1 || out.Steps[0].Went != tc.want {
				t.Errorf("the first gate asked %d times and went on because of %q, want once and %q", out.Steps[0].Asked, out.Steps[0].Went, tc.want)
			}
		})
	}
}

// TestPodsOfARolloutAreNotHeldTwice: neither those that a gate let go, which are known by
// the time of that, nor any others.
func TestPodsOfARolloutAreNotHeldTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		steps string
		went  int
	}{"gated": {gatedSteps, 40}, "without gates": {"[{setWeight: 10}]", 0}, "without steps": {"[]", 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := canaryFile(t, tc.steps, onlyPace)
			pacer, err := New(spec, spec.Policies[0])
			if err != nil {
				t.Fatal(err)
			}
			held := &holding{host: pacer.(*host)}
			model.Run(spec, 0, held)
			if held.asked < 40 || held.held != 0 {
				t.Errorf("of %d pods %d were held, want none of forty at least", held.asked, held.held)
			}
			went := 0
			for _, p := range held.pods {
				if p.flags&podWent != 0 && p.released > 0 {
					went++
				}
			}
			if went != tc.went {
				t.Errorf("%d pods are known to have been let go with their step, want %d", went, tc.went)
			}
		})
	}
}

// holding counts what a host holds.
type holding struct {
	*host
	asked, held int
}

func (p *holding) Gate(id model.PodID) bool {
	held := p.host.Gate(id)
	p.asked++
	if held {
		p.held++
	}
	return held
}

// TestRolloutsShareABudget: of two that want 20 at once, where 24 are free, one waits for
// the units of the other: they were charged a moment after 1m, so that its question at
// 11m0.05s is early and the one after it is not. No pull is refused.
func TestRolloutsShareABudget(t *testing.T) {
	t.Parallel()
	spec := canaryFile(t, "[{gate: {}}, {setWeight: 50}, {pause: {duration: 20m}}, {gate: {}}]", onlyPace)
	second := spec.Workloads[0]
	second.Name, spec.NodePools[0].PodsPerNode = "api", 4
	spec.Workloads = append(spec.Workloads, second)
	spec.Timeline = append(spec.Timeline, scenario.Entry{At: time.Minute, SetImage: &scenario.SetImage{Workload: "api", Image: "v2"}})
	out := play(t, spec, "pace")
	var through []time.Duration
	for _, s := range out.Steps {
		if s.Step.Step == 0 {
			through = append(through, s.Ended.Round(time.Second))
		}
	}
	slices.Sort(through)
	if diff := cmp.Diff([]time.Duration{time.Minute, 11*time.Minute + 20*time.Second}, through); diff != "" {
		t.Errorf("first gates (-want +got):\n%s", diff)
	}
	// both images are one: where the first pulled, the second need not
	if out.Throttled != 0 || out.Unfinished != 0 || out.UnitsCharged != 40 {
		t.Errorf("%d answers of 429, %d pods unfinished, %d units; want none, none and 40", out.Throttled, out.Unfinished, out.UnitsCharged)
	}
}

// TestAHoldOfAStepIsBounded: by the policy's maxHold, and with it all of its pods go, be
// they refused. The third gate began to wait at 140.1 s; five minutes later the engine lets
// it go, and the next of its questions, 20 s apart, is told so.
func TestAHoldOfAStepIsBounded(t *testing.T) {
	t.Parallel()
	out := play(t, canaryFile(t, gatedSteps, "  policies: [{name: pace, pace: {policy: {maxHold: 5m}}}]"), "pace")
	last := out.Steps[len(out.Steps)-1]
	if waited := last.Ended - last.Began; last.Went != "HoldExpired" || waited < 5*time.Minute || waited > 5*time.Minute+21*time.Second {
		t.Errorf("the last gate waited for %v and went because of %q, want five minutes, a question more at most, and HoldExpired", waited, last.Went)
	}
	if out.Throttled == 0 || out.Unfinished != 0 {
		t.Errorf("%d answers of 429 and %d pods unfinished, want some and none", out.Throttled, out.Unfinished)
	}
}

// TestABurstAboveTheLimitGoesWhenTheAccountIsFull: no wait brings more, and it is refused
// in part. More steps of it are not.
func TestABurstAboveTheLimitGoesWhenTheAccountIsFull(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]bool{
		"[{gate: {}}]": true,
		"[{gate: {}}, {setWeight: 50}, {gate: {}}]": false,
	} {
		out := play(t, canaryFile(t, steps, onlyPace), "pace")
		if got := out.Throttled > 0; got != want || out.Unfinished != 0 {
			t.Errorf("%s: %d answers of 429 and %d pods unfinished, want some of those to be %v", steps, out.Throttled, out.Unfinished, want)
		}
		if first := out.Steps[0]; first.Asked != 1 {
			t.Errorf("%s: the first gate asked %d times of a full account, want once", steps, first.Asked)
		}
	}
}

// TestWhatAStepWasLetGoForIsFoundAgain: of thirty units twenty are let go for pods that come
// one in five seconds. The controller is away for a moment, and another Rollout asks for
// twenty more as it is back: most of the thirty are left by then, and spoken for.
func TestWhatAStepWasLetGoForIsFoundAgain(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]time.Duration{"never away": 0, "away": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := canaryFile(t, "[{gate: {}}, {setWeight: 50}, {pause: {duration: 20m}}, {gate: {}}]", onlyPace)
			spec.Cluster.CreateQPS, spec.Cluster.CreateBurst = 0.2, 1
			spec.Registries[0].Limiters[0].Limit = 30
			second := spec.Workloads[0]
			second.Name, spec.NodePools[0].PodsPerNode = "api", 4
			spec.Workloads = append(spec.Workloads, second)
			spec.Timeline = append(spec.Timeline, scenario.Entry{At: 65 * time.Second, SetImage: &scenario.SetImage{Workload: "api", Image: "v2"}})
			if away > 0 {
				spec.Faults = []scenario.Fault{{At: 61 * time.Second, For: away, ControllerRestart: &scenario.ControllerRestart{}}}
			}
			out := play(t, spec, "pace")
			waited := time.Duration(0)
			for _, s := range out.Steps {
				if s.Workload == 1 && s.Step.Step == 0 {
					waited = s.Ended - s.Began
				}
			}
			if out.Throttled != 0 || out.Unfinished != 0 || waited < 9*time.Minute {
				t.Errorf("%d answers of 429, %d pods unfinished, the second waited for %v; want none, none, and for the refill", out.Throttled, out.Unfinished, waited)
			}
		})
	}
}

// TestGatesOfSeveralClusters: each pacer answers those of its own; where one answers none
// they are open.
func TestGatesOfSeveralClusters(t *testing.T) {
	t.Parallel()
	s, err := scenario.Decode([]byte(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  horizon: 2h
  clusters: [east, west]
  registries: [{name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 100, window: 10m}]}]
  images: [{name: v1, registry: hub}, {name: v2, registry: hub}]
  nodePools: [{name: e, cluster: east, nodes: 5}, {name: w, cluster: west, nodes: 5}]
  workloads:
  - {name: web, cluster: east, kind: Rollout, image: v1, replicas: 5, steps: [{gate: {}}]}
  - {name: api, cluster: west, kind: Rollout, image: v1, replicas: 5, steps: [{gate: {}}]}
  timeline: [{at: 60s, setImage: {workload: web, image: v2}}, {at: 60s, setImage: {workload: api, image: v2}}]
  policies: [{name: pace, pace: {}}, {name: ten, fixedParallelism: {nodes: 10}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{"pace": "Budget", "ten": ""} {
		out := play(t, &s.Spec, policy)
		if len(out.Steps) != 2 || out.Unfinished != 0 || out.Pulls != 10 {
			t.Fatalf("%s: %d steps, %d pods unfinished, %d pulls; want two, none and ten", policy, len(out.Steps), out.Unfinished, out.Pulls)
		}
		for _, step := range out.Steps {
			if step.Went != want || step.Asked != 1 || step.Ended < step.Began {
				t.Errorf("%s: a gate of workload %d asked %d times and went because of %q, want once and %q", policy, step.Workload, step.Asked, step.Went, want)
			}
		}
	}
}
