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
			l.spend(start.Add(10*time.Second), tc.spend)
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
