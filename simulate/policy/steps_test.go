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

// TestPodsOfARolloutAreNotHeldTwice: neither those that a gate let go nor any others.
func TestPodsOfARolloutAreNotHeldTwice(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{"gated": gatedSteps, "without gates": "[{setWeight: 10}]", "without steps": "[]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := canaryFile(t, steps, onlyPace)
			pacer, err := New(spec, spec.Policies[0])
			if err != nil {
				t.Fatal(err)
			}
			held := &holding{host: pacer.(*host)}
			model.Run(spec, 0, held)
			if held.asked < 40 || held.held != 0 {
				t.Errorf("of %d pods %d were held, want none of forty at least", held.asked, held.held)
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
