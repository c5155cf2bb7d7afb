package model

import (
	"strings"
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/scenario"
)

// TestTheCheckerFindsWhatCannotBe breaks worlds and wants that named.
func TestTheCheckerFindsWhatCannotBe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		disturb func(w *World)
		want    string
	}{
		"room that nobody takes":   {func(w *World) { w.nodes[3].room-- }, "room for"},
		"a pod that nobody counts": {func(w *World) { w.open-- }, "are not Running"},
		"a pod lost by its set":    {func(w *World) { w.sets[0].pending.count-- }, "the sets miss"},
		"a pod on no node":         {func(w *World) { w.pods[5].node = None }, "of node -1"},
		"a slot taken twice":       {func(w *World) { w.nodes[0].slots++ }, "downloads"},
		"a pull forgotten":         {func(w *World) { w.series.inFlight++ }, "pulls are under way"},
		"a back-off forgotten":     {func(w *World) { w.nodes[9].failing++ }, "back off"},
		"a pod that nobody wakes":  {func(w *World) { w.pods[20].timer = 0 }, "pod 20 in phase 2 waits for nothing"},
		"the clock goes back":      {func(w *World) { w.check.last = w.now + 1e9 }, "the clock goes back"},
		"more than the limit": {func(w *World) {
			l := &w.registries[0].limiters[0]
			for range 11 {
				w.check.charged(w, l.accounts[0], l.config, 1)
			}
		}, "TokenBucket granted"},
		"bytes from nowhere": {func(w *World) { w.links[w.cards].bytes += 100 }, "bytes of"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(spec(apart(30, bucket(10, 10))), 0, nil)
			w.begin()
			w.check = newChecker(1)
			w.horizon = 100
			w.run() // the ten pods that may pull do, the others back off
			if w.check.err != nil {
				t.Fatalf("before anything is wrong: %v", w.check.err)
			}
			tc.disturb(w)
			w.check.before(w, w.now)
			w.check.end(w)
			if w.check.err == nil || !strings.Contains(w.check.err.Error(), tc.want) {
				t.Errorf("the checker said %v, want something with %q", w.check.err, tc.want)
			}
		})
	}
}

// TestLimitsHoldForGrantsOfOneSpan is which grants the checker adds up.
func TestLimitsHoldForGrantsOfOneSpan(t *testing.T) {
	t.Parallel()
	hour := limiter.Config{Type: limiter.FixedWindow, Window: time.Hour, Phase: 10 * time.Minute}
	rolling := limiter.Config{Type: limiter.RollingLog, Window: time.Hour}
	tests := map[string]struct {
		config       limiter.Config
		earlier, now time.Duration
		want         bool
	}{
		"before the first edge":    {hour, 0, 9 * time.Minute, true},
		"across the first edge":    {hour, 9 * time.Minute, 10 * time.Minute, false},
		"in a window":              {hour, 10 * time.Minute, 69 * time.Minute, true},
		"across an edge":           {hour, 69 * time.Minute, 70 * time.Minute, false},
		"within the last hour":     {rolling, 69 * time.Minute, 70 * time.Minute, true},
		"an hour ago":              {rolling, 10 * time.Minute, 70 * time.Minute, false},
		"a bucket forgets nothing": {limiter.Config{Type: limiter.TokenBucket}, 0, 99 * time.Hour, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := together(tc.config, kernel.Time(tc.earlier), kernel.Time(tc.now)); got != tc.want {
				t.Errorf("together is %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAPullOfSeveralAttemptsIsOne: a limit on all requests refuses in the middle of
// pulls, and what came stays; each image that lands is one pull.
func TestAPullOfSeveralAttemptsIsOne(t *testing.T) {
	t.Parallel()
	o := play(t, spec(apart(250, scenario.Limiter{Type: scenario.TokenBucket, Per: scenario.PerEgressIP, Counts: scenario.CountRequest,
		Burst: 100, Rate: scenario.Rate{Units: 1, Every: time.Second}})), nil)
	if o.Pulls != 250 || len(o.ReadyAt) != 250 || o.FirstPullStart != 0 {
		t.Errorf("%d pulls, %d ready, the first at %v; want 250, 250, at once", o.Pulls, len(o.ReadyAt), o.FirstPullStart)
	}
	if o.LastPullStart > o.ReadyAt[249] || o.LastPullStart < time.Minute {
		t.Errorf("the last pull started at %v, and was ready at %v", o.LastPullStart, o.ReadyAt[249])
	}
	// HEAD twice, both manifests, config and layer: six requests each at least
	if o.UnitsCharged < 6*250 || o.Throttled == 0 {
		t.Errorf("%d requests were charged and %d refused, want 1,500 or more and some", o.UnitsCharged, o.Throttled)
	}
}
