package policy

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// witness is an engine that keeps what its breaker did, and what went meanwhile that
// must not.
type witness struct {
	*engine.Engine
	states []feedback.View // each change of the account's breaker
	at     []time.Duration
	wrong  int
}

func (w *witness) Decide(now time.Time) engine.Decision {
	d := w.Engine.Decide(now)
	v := d.Accounts[0].Breaker
	if n := len(w.states); n == 0 && v.State != feedback.OK || n > 0 && w.states[n-1].State != v.State {
		w.states, w.at = append(w.states, v), append(w.at, since(now))
	}
	for _, r := range d.Releases {
		paced := r.Reason == core.Budget || r.Reason == core.FailOpen
		if paced && (v.State == feedback.Paused && !v.Cause.Head || v.State == feedback.Trying && r.Count > 1) {
			w.wrong++
		}
	}
	return d
}

// gameDay runs a rollout over 200 nodes, twenty of which pull at once, through a fault.
// An image takes ten seconds.
func gameDay(t *testing.T, limit, fault, more string) (*model.Outcome, *witness) {
	t.Helper()
	spec := cluster(t, "policy: {waves: {by: Node, size: 20}}", `  nodePools: [{name: general, nodes: 200, podsPerNode: 1, nic: 8Mbps}]
  workloads: [{name: web, image: v1, replicas: 200, cold: true}]
  faults: [`+fault+`]
`+more)
	spec.Images[0].Layers[0].Size = 10e6 // over cards of 1 MB a second
	spec.Registries[0].Limiters[0].Limit, spec.Registries[0].Limiters[0].Window = 1000, time.Hour
	if limit != "" {
		spec.Registries[0].Limiters[0].Limit, spec.Registries[0].Limiters[0].Window = 40, 10*time.Minute
	}
	return watched(t, spec)
}

// watched runs the last policy of a scenario.
func watched(t *testing.T, spec *scenario.Spec) (*model.Outcome, *witness) {
	t.Helper()
	pacer, err := New(spec, spec.Policies[len(spec.Policies)-1])
	if err != nil {
		t.Fatal(err)
	}
	seen := &witness{}
	h := pacer.(*host)
	h.make = func(seed uint64) decider {
		seen.Engine = engine.New(engine.Config{Seed: seed})
		return seen
	}
	return model.Run(spec, 0, h), seen
}

// TestGameDays breaks a registry in the middle of a rollout in each way that a scenario
// knows. The breaker opens for the right reason, where pulls fail; nothing that waits for
// the budget goes while it is open, one at a time goes until it closes, and all pods are
// ready in the end. Attempts that fail are at most those of the 20 pods under way, by the
// ladder of the kubelet (10, 20, 40, 80, 160, 300 s) in the time of the fault, and one
// more each for the tries.
func TestGameDays(t *testing.T) {
	t.Parallel()
	const underWay = 20
	tests := map[string]struct {
		fault, limit string
		class        feedback.Class // empty: it does not open
		lasts        time.Duration
		attempts     int64 // throttled ones at most
	}{
		"a registry refuses every HEAD for an hour":  {"{at: 25s, for: 1h, outage: {registry: hub, mode: HeadOnly429}}", "", feedback.Throttled, time.Hour, underWay*17 + 10},
		"it answers 503 for ten minutes":             {`{at: 25s, for: 10m, outage: {registry: hub, mode: "503"}}`, "", feedback.Reset, 10 * time.Minute, 0},
		"it closes connections for ten minutes":      {"{at: 25s, for: 10m, outage: {registry: hub, mode: Reset}}", "", feedback.Reset, 10 * time.Minute, 0},
		"it does not answer for ten minutes":         {"{at: 25s, for: 10m, outage: {registry: hub, mode: Timeout}}", "", feedback.Timeout, 10 * time.Minute, 0},
		"it allows a fifth for an hour, and says so": {"{at: 25s, for: 1h, quota: {registry: hub, limit: 8}}", "small", "", time.Hour, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, seen := gameDay(t, tc.limit, tc.fault, "")
			if out.Unfinished != 0 || seen.wrong != 0 || out.ThrottledAttempts > tc.attempts {
				t.Errorf("%d pods not ready, %d decisions let go what a breaker held, %d attempts were throttled, want none, none and %d at most", out.Unfinished, seen.wrong, out.ThrottledAttempts, tc.attempts)
			}
			if tc.class == "" {
				if len(seen.states) > 0 {
					t.Errorf("it opened at %v: %v", seen.at[0], seen.states[0])
				}
				return
			}
			if len(seen.states) < 2 {
				t.Fatalf("the breaker went through %v", seen.states)
			}
			if first := seen.states[0]; first.State != feedback.Paused || first.Cause.Class != tc.class || seen.at[0] < 25*time.Second || seen.at[0] > 2*time.Minute {
				t.Errorf("at %v it was %s by %s, want it paused by %s within two minutes of the fault", seen.at[0], first.State, first.Cause.Class, tc.class)
			}
			last := len(seen.states) - 1
			if seen.states[last].State != feedback.OK || seen.at[last] > 25*time.Second+tc.lasts+6*time.Minute {
				t.Errorf("at %v it is %s, want it closed soon after the fault and the kubelets' longest back-off", seen.at[last], seen.states[last].State)
			}
		})
	}
}

// TestARestartInEveryState begins anew at any time of such a day.
func TestARestartInEveryState(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"24s", "26s", "40s", "1m", "5m", "10m20s", "10m30s", "11m", "14m"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			out, seen := gameDay(t, "", "{at: 25s, for: 10m, outage: {registry: hub, mode: Reset}}, {at: "+at+", for: 10s, controllerRestart: {}}", "")
			if out.Unfinished != 0 || seen.wrong != 0 {
				t.Errorf("%d pods not ready, %d decisions let go what a breaker held", out.Unfinished, seen.wrong)
			}
		})
	}
}

// TestAMirrorThatIsLost plays the built-in scenario: pulls that were let go at no price
// fall through to the registry, and some are refused. The first refusal opens the breaker,
// and nothing goes while it is open.
func TestAMirrorThatIsLost(t *testing.T) {
	t.Parallel()
	stories, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		if story.Name != "mirror-loss" {
			continue
		}
		s, err := scenario.Decode(story.YAML)
		if err != nil {
			t.Fatal(err)
		}
		out, seen := watched(t, &s.Spec)
		if out.Unfinished != 0 || seen.wrong != 0 || out.Throttled >= 2000 {
			t.Errorf("%d pods not ready, %d decisions let go what a breaker held, %d answers of 429", out.Unfinished, seen.wrong, out.Throttled)
		}
		if len(seen.states) == 0 || seen.states[0].Cause.Class != feedback.Throttled || seen.at[0] < 30*time.Minute {
			t.Fatalf("the breaker went through %v", seen.states)
		}
		if last := seen.states[len(seen.states)-1]; last.State != feedback.OK {
			t.Errorf("in the end it is %s", last.State)
		}
		return
	}
	t.Fatal("no scenario mirror-loss")
}
