package quota

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// TestNextUnit: what is counted here brings a unit at a time that nobody else tells.
func TestNextUnit(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		settings Settings
		spend    core.Units // ten seconds after the start
		after    time.Duration
		want     time.Duration // after the start; 0: never
	}{
		"a bucket in the middle of a unit": {Settings{Fixed: &Fixed{Rate: 4, Burst: 10}}, 10, 10*time.Second + 100*time.Millisecond, 10*time.Second + 250*time.Millisecond},
		"a bucket that has just had one":   {Settings{Fixed: &Fixed{Rate: 4, Burst: 10}}, 10, 10*time.Second + 250*time.Millisecond, 10*time.Second + 500*time.Millisecond},
		"a window, when what was spent leaves it": {Settings{Fixed: &Fixed{Pulls: 10, Window: 64 * time.Second}}, 10, 12 * time.Second,
			11*time.Second + 64*time.Second}, // noted in the bucket that ends with second 11
		"a window of which nothing was spent": {Settings{Fixed: &Fixed{Pulls: 10, Window: 64 * time.Second}}, 0, 12 * time.Second, 0},
		"a limit that is read":                {Settings{}, 10, 12 * time.Second, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(start, tc.settings, false)
			l.spend(start.Add(10*time.Second), "", tc.spend)
			var got time.Duration
			if at := l.NextUnit(start.Add(tc.after)); !at.IsZero() {
				got = at.Sub(start)
			}
			if got != tc.want {
				t.Errorf("the next unit comes after %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAPullOfADeclaredRateIsSpentAsItBegins: four units a second, four at once. What
// refills while pulls run may be given, and what was not charged comes back.
func TestAPullOfADeclaredRateIsSpentAsItBegins(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pull := Claim{Units: 1, Manifests: 1, Host: "hub"}
	tests := map[string]struct {
		then func(l *Ledger, now time.Time) // a second after four pulls began
		want core.Units                     // free right after
	}{
		"they run still": {func(*Ledger, time.Time) {}, 4},
		"they ended":     {func(l *Ledger, now time.Time) { l.Close(now, "a", Pulled); l.Close(now, "b", Gone) }, 4},
		"two more begin": {func(l *Ledger, now time.Time) { l.Set(now, "e", pull); l.Set(now, "f", pull) }, 2},
		"two more, one was there": {func(l *Ledger, now time.Time) {
			l.Set(now, "e", pull)
			l.Set(now, "f", pull)
			l.Close(now, "e", Present)
		}, 3},
		"two more, one cannot charge":  {func(l *Ledger, now time.Time) { l.Set(now, "e", pull); l.Set(now, "f", pull); l.Set(now, "e", Claim{}) }, 3},
		"one is dearer than was known": {func(l *Ledger, now time.Time) { l.Set(now, "a", Claim{Units: 2, Manifests: 2, Host: "hub"}) }, 3},
		"two are on no node yet":       {func(l *Ledger, now time.Time) { l.Set(now, "unbound", Claim{Units: 2}) }, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(start, Settings{Fixed: &Fixed{Rate: 4, Burst: 4}}, false)
			now := start.Add(10 * time.Second)
			for _, id := range []string{"a", "b", "c", "d"} {
				l.Set(now, id, pull)
			}
			if got := l.Available(now, core.ClassServing, Demand{}); got != 0 {
				t.Errorf("%d are free as four pulls begin, want 0", got)
			}
			now = now.Add(time.Second)
			tc.then(l, now)
			if got := l.Available(now, core.ClassServing, Demand{}); got != tc.want {
				t.Errorf("%d are free a second later, want %d", got, tc.want)
			}
		})
	}
}
