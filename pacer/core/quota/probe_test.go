package quota

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNextProbe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do      func(*Ledger)
		waiting bool
		want    float64
	}{
		"first: at once":   {func(*Ledger) {}, true, 0},
		"idle":             {func(l *Ledger) { read(l, says(1, 50)) }, false, 301},
		"while work waits": {func(l *Ledger) { read(l, says(1, 50)) }, true, 21},
		"idle, and the first answer did not come": {func(l *Ledger) { read(l, Observation{SentAt: at(1)}) }, false, 21},
		"idle, and none of three came": {func(l *Ledger) {
			for i := range 3 {
				read(l, Observation{SentAt: at(1 + float64(i))})
			}
		}, false, 303},
		"a second answer without a limit":     {func(l *Ledger) { read(l, silent(1)) }, false, 2},
		"when a closed claim will be covered": {func(l *Ledger) { read(l, says(1, 50)); l.Set(at(2), "a", Claim{Units: 1}); l.Close(at(4), "a", Pulled) }, true, 9},
		"idle, and a pull may teach its price": {func(l *Ledger) {
			read(l, says(1, 50))
			l.Set(at(2), "a", Claim{Units: 2, Manifests: 2})
			l.Close(at(4), "a", Pulled)
		}, false, 9},
		"when what was charged last leaves the window, not just before": {func(l *Ledger) { l.spend(at(2), "", 5); read(l, says(3581.5, 50)) }, true, 3602},
		"not put off for longer than the floor":                         {func(l *Ledger) { l.spend(at(2), "", 5); read(l, says(3580.5, 50)) }, true, 3600.5},
		"idle, and nothing to learn":                                    {func(l *Ledger) { read(l, says(1, 50)); l.Set(at(2), "a", Claim{Units: 1}); l.Close(at(4), "a", Pulled) }, false, 301},
		"not before a refusal's Retry-After": {func(l *Ledger) {
			read(l, Observation{SentAt: at(1), Status: 429, Header: Header{RetryAfter: 30 * time.Second}})
		}, true, 31},
		"when a reading counts again after 429": {func(l *Ledger) { read(l, says(1, 50)); l.Throttled(at(2), 8*time.Second) }, true, 10},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		tc.do(l)
		if got := l.NextProbe(tc.waiting, 0).Sub(epoch).Seconds(); got != tc.want {
			t.Errorf("%s: next probe at %gs, want %gs", name, got, tc.want)
		}
	}
}

// Ten of a hundred an hour are missing: a steady refill brings them in 360 s; a
// rolling window when our own charge of 100 s (its bucket ends at 112.5 s) leaves.
func TestExpectedIsARangeOverLimiters(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(90), "a", Claim{Units: 100})
	l.Close(at(100), "a", Pulled)
	read(l, says(110, 0))
	want := Range{From: at(110 + 360), To: at(112.5 + 3600)}
	if diff := cmp.Diff(want, l.Expected(at(110), 10)); diff != "" {
		t.Errorf("expected (-want +got):\n%s", diff)
	}
	if got := l.Expected(at(110), 0); !got.IsZero() {
		t.Errorf("nothing missing: expected %v", got)
	}
}
