package quota

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

func TestFixedLimitCountsHere(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Pulls: 10, Window: time.Minute}}, false)
	if got := l.Available(epoch, core.ClassNodeCritical, endless); got != 10 {
		t.Fatalf("fresh: available %d, want 10", got)
	}
	l.Set(epoch, "a", Claim{Units: 4})
	l.Set(epoch, "b", Claim{Units: 3})
	l.Close(at(5), "b", Pulled)
	for _, tc := range []struct {
		at   float64
		want core.Units
	}{
		{5, 3},  // 4 open, 3 spent
		{64, 3}, // still in the window of 60 s that began at 5 s
		{66, 6}, // b is out of it, within a 64th of the window
	} {
		if got := l.Available(at(tc.at), core.ClassNodeCritical, endless); got != tc.want {
			t.Errorf("at %gs: available %d, want %d", tc.at, got, tc.want)
		}
	}
	if got := l.Books(at(66), Demand{}).Reserved; got != 4 {
		t.Errorf("%d reserved, want the 4 that are open: what was spent waits for no reading", got)
	}
	if !l.NextProbe(true, 0).IsZero() {
		t.Error("a declared limit needs no probe")
	}
}

// A declared limit has no reading to wait for after a 429: it rests, for what the
// answer asked for and no shorter than the breaker's first step.
func TestFixedLimitRestsAfterA429(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		window, retryAfter time.Duration
		want               float64 // seconds until it is granted on again
	}{
		"nothing asked for":      {time.Hour, 0, 30},
		"a window that is short": {10 * time.Second, 0, 10},
		"a minute asked for":     {time.Hour, time.Minute, 60},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{Fixed: &Fixed{Pulls: 10, Window: tc.window}}, false)
		l.Throttled(at(1), tc.retryAfter)
		for now, want := range map[float64]core.Units{tc.want + 0.9: 0, tc.want + 1: 10} {
			if got := l.Available(at(now), core.ClassNodeCritical, endless); got != want {
				t.Errorf("%s: at %gs available %d, want %d", name, now, got, want)
			}
			if got := l.Usable(at(now)); got != (want > 0) {
				t.Errorf("%s: at %gs usable %v", name, now, got)
			}
		}
	}
}

func TestFixedRateFillsUpToItsBurst(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Rate: 2, Burst: 5}}, false)
	for _, tc := range []struct {
		at   float64
		want core.Units
	}{{0, 0}, {1, 2}, {2, 4}, {60, 5}} {
		if got := l.Available(at(tc.at), core.ClassNodeCritical, endless); got != tc.want {
			t.Errorf("at %gs: available %d, want %d", tc.at, got, tc.want)
		}
	}
	l.Set(at(60), "a", Claim{Units: 3})
	l.Close(at(61), "a", Pulled)
	if got := l.Available(at(61), core.ClassNodeCritical, endless); got != 2 {
		t.Errorf("after 3 of 5: available %d, want 2", got)
	}
}

// The window of a declared limit is known only when the engine is told of it; what was
// spent before must not be forgotten until then.
func TestADeclaredLimitRemembersItsWholeWindow(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	l.Restore(epoch, State{Spent: []Spent{{End: at(-3000), Units: 7}}, Open: 2})
	l.Configure(Settings{Fixed: &Fixed{Pulls: 10, Window: time.Hour}}, false)
	l.Reopened(epoch)
	if got := l.Available(at(1), core.ClassNodeCritical, endless); got != 1 {
		t.Errorf("available %d, want 10 less 7 of 50 minutes ago and 2 that ended while nobody looked", got)
	}
}

func TestSpentStaysWithin64Buckets(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Pulls: 1000, Window: time.Hour}}, false)
	for i := range 500 {
		l.spend(at(float64(i*7)), "", 1) // 3,500 s: all within the hour
	}
	if n := len(l.spent); n > maxSpent {
		t.Errorf("%d buckets, want %d at most", n, maxSpent)
	}
	if got := l.spentWithin(at(3500)); got != 500 {
		t.Errorf("spent %d, want all 500", got)
	}
}
