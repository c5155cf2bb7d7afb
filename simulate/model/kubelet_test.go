package model

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/flowcontrol"
	testingclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// denied is a registry that never grants a pull.
func denied(s *scenario.Spec) {
	s.Registries[0].Limiters = []scenario.Limiter{{Type: scenario.RollingLog, Counts: scenario.CountPull, Window: time.Hour}}
	s.Horizon = time.Hour
}

// TestLadder is when pods that are denied for ever try: at once, then at means that
// were measured on twenty thousand runs of the kubelet's rule, written down anew
// for that.
func TestLadder(t *testing.T) {
	t.Parallel()
	const pods = 4000
	attempts := make([][]float64, pods)
	o := play(t, spec(func(s *scenario.Spec) {
		apart(pods)(s)
		denied(s)
	}), &watcher{observe: func(w *World, e Event) {
		if e.Kind == PullBegan {
			attempts[e.Pod] = append(attempts[e.Pod], w.Now().Seconds())
		}
	}})
	want := []float64{0, 14.5, 40.5, 89, 177, 344, 651, 958}
	for len(want) < 16 {
		want = append(want, want[len(want)-1]+307.1)
	}
	got := make([]float64, len(want))
	for i, a := range attempts {
		if len(a) != len(want) {
			t.Fatalf("pod %d tried %d times in an hour, want 16", i, len(a))
		}
		for j := range a {
			got[j] += a[j] / pods
		}
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > want[i]/100 {
			t.Errorf("attempt %d came at %.1f s in the mean, want %.1f within 1 %%", i+1, got[i], want[i])
		}
	}
	if o.Throttled != 80*pods || o.ThrottledAttempts != 16*pods || o.Unfinished != pods {
		t.Errorf("%d refusals by %d attempts of %d pods, want 80 and 16 each", o.Throttled, o.ThrottledAttempts, pods)
	}
}

// TestBackoffIsClientGos drives the back-off that the kubelet has and ours through
// the same failures and looks.
func TestBackoffIsClientGos(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(0, 0)
		clock := testingclock.NewFakeClock(start)
		theirs := flowcontrol.NewFakeBackOff(backoffFirst, backoffMax, clock)
		w := newWorld(spec(func(*scenario.Spec) {}), 0, nil)
		w.begin()
		w.start()
		w.planes[0].scheduler.add(0)
		id := PodID(0)
		w.planes[0].scheduler.queue.pop()
		w.put(id, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.now += kernel.Time(rapid.Int64Range(1, int64(700*time.Second)).Draw(t, "pause"))
			clock.SetTime(start.Add(time.Duration(w.now)))
			p := &w.pods[id]
			if got, want := w.backsOff(p), theirs.IsInBackOffSinceUpdate("pod_image", clock.Now()); got != want {
				t.Fatalf("at %v: backs off %v, client-go says %v", w.now, got, want)
			}
			if rapid.Bool().Draw(t, "fails") {
				clock.SetTime(start.Add(time.Duration(w.now) + 1)) // a failure takes a moment
				theirs.Next("pod_image", clock.Now())
				w.calm(p)
				w.fail(id, Throttled, 0)
				if got, want := backoff(w.pods[id].level), theirs.Get("pod_image"); got != want {
					t.Fatalf("at %v: a back-off of %v, client-go has %v", w.now, got, want)
				}
			}
		}
	})
}

// TestAQuietGapForgetsTheLadder: after more than ten minutes without a failure, and
// for a new pod, the back-off begins at 10 s.
func TestAQuietGapForgetsTheLadder(t *testing.T) {
	t.Parallel()
	w := newWorld(spec(denied), 0, nil)
	w.begin()
	w.start()
	w.put(0, 0)
	levels := []uint8{}
	for _, pause := range []time.Duration{0, 600 * time.Second, 601 * time.Second, time.Second} {
		w.now = w.after(pause)
		w.calm(&w.pods[0])
		w.fail(0, Throttled, 0)
		levels = append(levels, w.pods[0].level)
	}
	if diff := cmp.Diff([]uint8{1, 2, 1, 2}, levels); diff != "" {
		t.Errorf("failures in a row (-want +got):\n%s", diff)
	}
}

// TestAPodThatBacksOffTakesWhatAnotherBrought: when the image has come to its node
// a pod need not wait for the end of its back-off, only for the next look.
func TestAPodThatBacksOffTakesWhatAnotherBrought(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		s.Registries[0].Limiters = []scenario.Limiter{{Type: scenario.RollingLog, Counts: scenario.CountPull, Limit: 1, Window: time.Hour}}
		s.Faults = []scenario.Fault{{At: 0, For: 500 * time.Second, Quota: &scenario.QuotaFault{Registry: "hub", Limit: 0}}}
		s.Workloads[0].Replicas = 2
		s.Timeline = []scenario.Entry{{At: 505 * time.Second, Scale: &scenario.Scale{Workload: "web", Replicas: 3}}}
	}), nil)
	// the third pod pulls at 505 s; the others have their back-off of 300 s until 644 s
	// at the earliest, but look within 16 s
	if o.Pulls != 1 || len(o.ReadyAt) != 3 || o.ReadyAt[0] != 505*time.Second || o.ReadyAt[2] > 521*time.Second {
		t.Errorf("%d pulls, ready at %v; want one at 505 s and the others within 16 s", o.Pulls, o.ReadyAt)
	}
}
