package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// arrival is forty nodes to which others come at once, each of which pulls an image for
// itself before pods of a service come to it, of a registry that gives 30 units in a
// window.
type arrival struct {
	nodes        int
	window, hold string // hold is the field nodes of the policy
	more         string // lines of the spec
}

func (a arrival) decode(t *testing.T) *scenario.Spec {
	t.Helper()
	file := fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: test}
spec:
  horizon: 24h
  cluster: {createQPS: 0, bindQPS: 0}
  registries:
  - {name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 30, window: %s}]}
  nodePools: [{name: general, nodes: 40, podsPerNode: 2, zones: [a, b], daemonSets: [logs]}]
  images:
  - {name: app, registry: hub, layers: [{digest: a, size: 1kB}]}
  - {name: logs, registry: hub, layers: [{digest: b, size: 1kB}]}
  workloads: [{name: web, image: app, replicas: 80}]
  timeline: [{at: 1m, addNodes: {pool: general, count: %d}}]
  policies: [{name: pace, pace: {policy: {nodes: %s}}}]
%s`, a.window, a.nodes, a.hold, a.more)
	s, err := scenario.Decode([]byte(file))
	if err != nil {
		t.Fatalf("%v in\n%s", err, file)
	}
	return &s.Spec
}

// nodesLetGo counts the nodes that were let go until a time.
func (l *listener) nodesLetGo(reason core.Reason, until time.Duration) int {
	count := 0
	for i, r := range l.releases {
		if strings.HasPrefix(string(r.Group), "NodePool/") && r.Reason == reason && l.at[i] <= until {
			count += len(r.Pods)
		}
	}
	return count
}

// Forty nodes need forty units of thirty. Held, thirty go at once and ten when the units
// are back after the window, which the hold outlasts; not held, ten are refused.
func TestNodesThatArriveAtOnceAreHeld(t *testing.T) {
	t.Parallel()
	free, _, _ := listen(t, arrival{nodes: 40, window: "8m", hold: "{hold: false}"}.decode(t))
	if free.Throttled == 0 {
		t.Error("nobody is refused without holds: the test shows nothing")
	}
	held, heard, _ := listen(t, arrival{nodes: 40, window: "8m", hold: "{hold: true}"}.decode(t))
	if held.Throttled != 0 || held.Pulls != 40 {
		t.Errorf("%d answers of 429, %d pulls, want none and 40", held.Throttled, held.Pulls)
	}
	if now, all := heard.nodesLetGo(core.Budget, 2*time.Minute), heard.nodesLetGo(core.Budget, time.Hour); now != 30 || all != 40 {
		t.Errorf("%d nodes went at once and %d in all, want 30 and 40", now, all)
	}
	if last := held.LastPullStart; last < 9*time.Minute || last > 10*time.Minute {
		t.Errorf("the last pull began at %v, want right after the window of the first", last)
	}
}

// No more than half of a pool is held, and of so many nodes a wave goes at a time.
func TestHalfOfAPoolIsNeverHeld(t *testing.T) {
	t.Parallel()
	_, heard, h := listen(t, arrival{nodes: 100, window: "1m", hold: "{hold: true, size: 5, maxHold: 2h}"}.decode(t))
	// The k-th to come is held while 2k <= 40+k: the first forty are. One more is at each
	// second node that comes after that, and not one of those is let go meanwhile.
	if all := heard.nodesLetGo(core.Budget, time.Hour); all != 70 || h.nodesPassed != 30 {
		t.Errorf("%d nodes were held and %d were not, want 70 and 30 of 100 in a pool of 140", all, h.nodesPassed)
	}
}

// Units come back after hours, and a hold ends after minutes: the thirty nodes that can
// be paid go at once, and the others at the pace of the refill, not all when their holds
// end.
func TestAHoldThatNoRefillWillEndIsADrip(t *testing.T) {
	t.Parallel()
	_, heard, _ := listen(t, arrival{nodes: 40, window: "6h", hold: "{hold: true}"}.decode(t))
	if paid := heard.nodesLetGo(core.Budget, 2*time.Minute); paid != 30 {
		t.Errorf("%d nodes that can be paid go at once, want 30", paid)
	}
	hopeless := heard.nodesLetGo(core.Hopeless, 2*time.Minute)
	expired := heard.nodesLetGo(core.HoldExpired, 30*time.Minute)
	if hopeless != 1 || expired > 2 {
		t.Errorf("%d nodes go that no wait could feed and %d as their holds end, within half an hour: want 1, and one in each 12 min", hopeless, expired)
	}
}

// Whenever the controller is away, be it while nodes are held or pull, no pull is
// refused, and all nodes go in the end.
func TestARestartKeepsHoldingNodes(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"1m40ms", "1m100ms", "1m30s", "8m", "9m5s"} {
		out, err := arrivalChecked(t, arrival{nodes: 40, window: "8m", hold: "{hold: true, maxHold: 1h}", more: "  faults: [{at: " + at + ", for: 20s, controllerRestart: {}}]\n"}.decode(t))
		if err != nil {
			t.Errorf("restart at %s: %v", at, err)
		}
		if out.Throttled != 0 || out.Pulls != 40 {
			t.Errorf("restart at %s: %d answers of 429, %d pulls, want none and 40", at, out.Throttled, out.Pulls)
		}
	}
}

func arrivalChecked(t *testing.T, spec *scenario.Spec) (*model.Outcome, error) {
	t.Helper()
	pacer, err := New(spec, spec.Policies[0])
	if err != nil {
		t.Fatal(err)
	}
	return model.RunChecked(spec, 0, pacer)
}
