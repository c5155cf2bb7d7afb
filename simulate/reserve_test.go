package simulate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/policy"
)

// undo is a rollout of 250 cold pulls against 100 in six hours, and a rollback of
// another workload whose 16 nodes have lost the image that it goes back to.
const undo = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: undo}
spec:
  horizon: 30h
  cluster: {createQPS: 0, bindQPS: 0}
  registries: [{name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 100, window: 6h}]}]
  egress: [{name: nat}]
  nodePools:
  - {name: wide, nodes: 250, egress: nat, podsPerNode: 1}
  - {name: narrow, nodes: 16, egress: nat, podsPerNode: 2, warm: [new]}
  images:
  - {name: app, registry: hub, layers: [{digest: app, size: 1Mi}]}
  - {name: old, registry: hub, layers: [{digest: old, size: 1Mi}]}
  - {name: new, registry: hub, layers: [{digest: new, size: 1Mi}]}
  workloads:
  - {name: web, image: app, replicas: 250, cold: true, nodePools: [wide]}
  - {name: api, image: old, replicas: 16, nodePools: [narrow], strategy: {maxSurge: 100%%, maxUnavailable: 0}}
  timeline:
  - {at: 0s, setImage: {workload: api, image: new}}
%s
  faults: [%s]
  policies:
  - {name: pace, pace: {budgets: {hub: {reserve: {percent: %d, rollback: None}}}}}
`

// watch is a pacer that also takes down when pods of a workload were ready.
type watch struct {
	model.Pacer
	world *model.World
	of    model.WorkloadID
	since time.Duration
	ready []time.Duration
}

func (w *watch) Begin(world *model.World) {
	w.world = world
	w.Pacer.Begin(world)
}

func (w *watch) Observe(e model.Event) {
	if e.Kind == model.PodReady && e.Pod != model.None && w.world.Pod(e.Pod).Workload == w.of && w.world.Now() >= w.since {
		w.ready = append(w.ready, w.world.Now())
	}
	w.Pacer.Observe(e)
}

// undone plays the scenario with a rollback at a time, none where that is 0, and
// returns when the last pull of all started and how long the rollback took.
func undone(t *testing.T, at time.Duration, percent int) (rollout, rollback time.Duration, out *model.Outcome) {
	t.Helper()
	timeline, faults := "", ""
	if at > 0 {
		timeline = fmt.Sprintf("  - {at: %v, rollback: {workload: api}}", at)
		faults = fmt.Sprintf("{at: %v, cachePurge: {pool: narrow, fraction: 1}}", at-10*time.Minute)
	}
	s := decoded(t, fmt.Sprintf(undo, timeline, faults, percent))
	pacer, err := policy.New(&s.Spec, s.Spec.Policies[0])
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{Pacer: pacer, of: 1, since: at}
	out, err = model.RunChecked(&s.Spec, 0, w)
	if err != nil {
		t.Fatal(err)
	}
	if at > 0 {
		if len(w.ready) != 16 {
			t.Fatalf("%d pods of the rollback were ready, want 16", len(w.ready))
		}
		rollback = w.ready[15] - at
	}
	return out.LastPullStart, rollback, out
}

// TestReserveMakesRollbacksWaitForNothing: 250 pulls of 100 in six hours take two
// windows, and so they do when 16 are always left, as 84, 84 and 82. A rollback of
// 16 then waits for nothing, whenever in the first window it comes. Without a
// reserve it is let go too, as every rollback is, and is refused until the first
// window is over: half a window on the mean, and up to 307 s more, which is how
// often a kubelet asks again in the end.
func TestReserveMakesRollbacksWaitForNothing(t *testing.T) {
	t.Parallel()
	const window = 6 * time.Hour
	if rollout, _, out := undone(t, 0, 16); !twoWindows(rollout) || out.Throttled != 0 || out.Unfinished != 0 {
		t.Errorf("without a rollback the last pull starts at %v with %d answers of 429, want 12h and none", rollout, out.Throttled)
	}
	total := time.Duration(0)
	for i := range 4 {
		at := window * time.Duration(2*i+1) / 8
		rollout, rollback, out := undone(t, at, 16)
		if rollback > time.Second || !twoWindows(rollout) || out.Throttled != 0 || out.Unfinished != 0 || out.UnitsCharged != 266 {
			t.Errorf("with a reserve of 16 a rollback at %v takes %v, the rollout %v, with %d answers of 429, want no wait, 12h and none", at, rollback, rollout, out.Throttled)
		}
		_, rollback, out = undone(t, at, 0)
		if wait := window - at; rollback < wait || rollback > wait+310*time.Second || out.Throttled == 0 {
			t.Errorf("without a reserve a rollback at %v takes %v with %d answers of 429, want what is left of the window, %v, and some", at, rollback, out.Throttled, wait)
		}
		total += rollback
	}
	if mean := total / 4; mean < window/2 || mean > window/2+310*time.Second {
		t.Errorf("without a reserve a rollback waits %v on the mean, want half a window", mean)
	}
}

// twoWindows allows what readings cost: half a per cent.
func twoWindows(rollout time.Duration) bool {
	return rollout >= 12*time.Hour && rollout <= 12*time.Hour*1005/1000
}
