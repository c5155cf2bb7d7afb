package feedback

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// half draws the middle of every back-off: 15 s of the first.
var half = Wait{Base: 30 * time.Second, Max: 30 * time.Minute, Lot: 0.5}

func TestBreaker(t *testing.T) {
	t.Parallel()
	budget, reset := Cause{Class: Throttled, Kind: KindPull}, Cause{Class: Reset, Failed: 5, Pods: 20}
	readable := half
	readable.Readable = true
	told := readable
	told.Told = 2 * time.Minute
	at := func(d time.Duration) time.Time { return start.Add(d) }
	// A step happens at its time; then time passes, with somebody to ask.
	type step struct {
		at   time.Duration
		do   func(b *Breaker, now time.Time)
		want State
	}
	open := func(c Cause, w Wait) func(*Breaker, time.Time) {
		return func(b *Breaker, now time.Time) { b.Open(now, c, w) }
	}
	tryFails := func(c Cause, w Wait) func(*Breaker, time.Time) {
		return func(b *Breaker, now time.Time) { b.TryFailed(now, c, w) }
	}
	passes := func(b *Breaker, now time.Time) { b.Passes(now) }
	heard := func(good, empty bool) func(*Breaker, time.Time) {
		return func(b *Breaker, now time.Time) { b.Heard(now, good, empty) }
	}
	nothing := func(*Breaker, time.Time) {}
	tests := map[string][]step{
		"a 429 of an account that can be read waits for a HEAD alone": {
			{0, open(budget, readable), Paused},
			{time.Second, nothing, Paused},
			{2 * time.Second, heard(true, false), Trying},
		},
		"an empty account waits for units": {
			{0, open(budget, readable), Paused},
			{time.Second, heard(true, true), Paused},
			{time.Minute, heard(true, true), Paused},
			{2 * time.Minute, heard(true, false), Trying},
		},
		"what was asked for is waited for whatever a HEAD says, and is not waived": {
			{0, open(budget, told), Paused},
			{time.Second, heard(true, true), Paused},
			{119 * time.Second, heard(true, false), Paused},
			{120 * time.Second, nothing, Trying},
		},
		"a rate waits for its back-off and for a HEAD": {
			{0, open(reset, half), Paused},
			{5 * time.Second, heard(true, false), Paused},
			{15 * time.Second, nothing, Trying},
		},
		"a HEAD that is refused keeps it open": {
			{0, open(reset, half), Paused},
			{5 * time.Second, heard(true, false), Paused},
			{10 * time.Second, heard(false, false), Paused},
			{time.Minute, nothing, Paused},
			{time.Minute + time.Second, heard(true, false), Trying},
		},
		"one that nobody wants anything of closes by itself": {
			{0, open(reset, half), Paused},
			{16 * time.Second, heard(true, false), Trying},
			{16*time.Second + quietFor - 1, nothing, Trying},
			{16*time.Second + quietFor, nothing, OK},
		},
		"a pull that fails again keeps it from that": {
			{0, open(reset, half), Paused},
			{16 * time.Second, heard(true, false), Trying},
			{5 * time.Minute, open(reset, half), Trying},
			{5*time.Minute + time.Second, heard(true, false), Trying},
			{16*time.Second + quietFor, nothing, Trying},
			{5*time.Minute + quietFor, nothing, OK},
		},
		"each try that fails doubles the back-off": {
			{0, open(reset, half), Paused},
			{16 * time.Second, heard(true, false), Trying},
			{20 * time.Second, tryFails(reset, half), Paused},
			{21 * time.Second, heard(true, false), Paused},
			{35 * time.Second, nothing, Trying},
			{40 * time.Second, tryFails(reset, half), Paused},
			{41 * time.Second, heard(true, false), Paused},
			{69 * time.Second, nothing, Paused},
			{70 * time.Second, nothing, Trying},
		},
		"a reading that explains a failed try waives its back-off": {
			{0, open(budget, readable), Paused},
			{time.Second, heard(true, false), Trying},
			{2 * time.Second, tryFails(budget, readable), Paused},
			{3 * time.Second, heard(true, true), Paused},
			{4 * time.Second, heard(true, false), Trying},
		},
		"three pulls in a row close it": {
			{0, open(budget, readable), Paused},
			{time.Second, heard(true, false), Trying},
			{2 * time.Second, passes, Trying},
			{3 * time.Second, passes, Trying},
			{4 * time.Second, passes, OK},
		},
		"a failure between them begins anew, and another HEAD is wanted": {
			{0, open(budget, readable), Paused},
			{time.Second, heard(true, false), Trying},
			{2 * time.Second, passes, Trying},
			{3 * time.Second, passes, Trying},
			{4 * time.Second, open(budget, readable), Trying},
			{5 * time.Second, passes, Trying},
			{6 * time.Second, passes, Trying},
			{7 * time.Second, passes, OK},
		},
		"pulls of before do not end what was asked for": {
			{0, open(budget, told), Paused},
			{time.Second, passes, Paused},
			{2 * time.Second, passes, Paused},
			{3 * time.Second, passes, Paused},
			{2 * time.Minute, nothing, OK},
		},
		"a person closes it": {
			{0, open(budget, told), Paused},
			{time.Second, func(b *Breaker, now time.Time) { b.Close(now) }, OK},
		},
		"a closed one hears and counts nothing": {
			{0, heard(false, true), OK},
			{time.Second, passes, OK},
			{2 * time.Second, nothing, OK},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b Breaker
			for i, s := range steps {
				s.do(&b, at(s.at))
				b.Turn(at(s.at), true)
				if got := b.View().State; got != s.want {
					t.Fatalf("step %d at %v: %s, want %s", i, s.at, got, s.want)
				}
			}
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	var b Breaker
	b.Open(start, Cause{Class: Throttled}, half)
	if b.Turn(start.Add(14*time.Second), false); b.State != Paused {
		t.Errorf("%s before its back-off is over", b.State)
	}
	if b.Turn(start.Add(15*time.Second), false); b.State != Trying {
		t.Errorf("%s after its back-off, want %s", b.State, Trying)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		wait Wait
		k    int
		want time.Duration
	}{
		"the first":             {half, 0, 15 * time.Second},
		"the third":             {half, 2, time.Minute},
		"the longest":           {half, 30, 15 * time.Minute},
		"no lot is never none":  {Wait{Base: time.Minute, Max: time.Hour}, 0, time.Second},
		"a base above the most": {Wait{Base: time.Hour, Max: time.Minute, Lot: 0.5}, 3, 30 * time.Second},
	}
	for name, tc := range tests {
		if got := tc.wait.backoff(tc.k); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestBreakerSurvivesARestart(t *testing.T) {
	t.Parallel()
	cause := Cause{Class: Throttled, Kind: KindPull}
	tests := map[string]struct {
		kept Kept
		want View
	}{
		"closed": {Kept{State: OK, Since: start, Opened: 3}, View{State: OK, Since: start, Opened: 3}},
		"paused": {Kept{State: Paused, Cause: cause, Since: start, Until: start.Add(time.Hour), Opened: 1, Failed: 2},
			View{State: Paused, Cause: cause, Since: start, Until: start.Add(time.Hour), Opened: 1, Failed: 2}},
		"trying one is tried again, after a HEAD": {Kept{State: Trying, Cause: cause, Since: start, Opened: 1}, View{State: Paused, Cause: cause, Since: start, Opened: 1}},
		"for ever":            {Kept{State: Paused, Until: start.AddDate(100, 0, 0)}, View{State: Paused, Until: start.Add(time.Minute + 24*time.Hour)}},
		"a state of tomorrow": {Kept{State: "melted", Until: start.AddDate(100, 0, 0)}, View{State: OK}},
		"numbers of nobody":   {Kept{State: Paused, Opened: -1, Failed: -7, Passed: 99}, View{State: Paused}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b Breaker
			b.Restore(start.Add(time.Minute), tc.kept)
			if diff := cmp.Diff(tc.want, b.View()); diff != "" {
				t.Errorf("view (-want +got):\n%s", diff)
			}
			b.Turn(b.Until.Add(time.Hour), true)
			if b.State == Trying {
				t.Error("tries one, and no HEAD was answered since the restart")
			}
		})
	}
}
