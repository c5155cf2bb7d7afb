//go:build linux

package feedback

import (
	"testing"
	"time"

	"github.com/pullpace/pace/test/e2e/stage"
)

// A kubelet waits 10 s, 20 s, 40 s... at least: tries at 0, 10, 30 and 70 s.
func TestLadderCountsTries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		within time.Duration
		want   int
	}{
		"at once":             {0, 1},
		"before the second":   {9 * time.Second, 1},
		"the second":          {10 * time.Second, 2},
		"what cases wait for": {throttledFor, 2},
		"the third":           {30 * time.Second, 3},
		"the fourth":          {70 * time.Second, 4},
		"before the fifth":    {149 * time.Second, 4},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := ladder(tc.within); got != tc.want {
				t.Errorf("%d tries within %s, want %d", got, tc.within, tc.want)
			}
		})
	}
}

func TestBetweenAndDecisions(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Date(2026, 3, 2, 14, 0, seconds, 0, time.UTC) }
	all := []stage.Release{{At: at(1), Decision: "a"}, {At: at(5), Decision: "b"}, {At: at(5), Decision: "b"}, {At: at(7), Decision: "c"}, {At: at(9), Decision: "d"}}
	tests := map[string]struct {
		from, to          time.Time
		want, wantDecided int
	}{
		"all":                     {time.Time{}, at(10), 5, 4},
		"from the very time on":   {at(5), at(10), 4, 3},
		"before the very time":    {at(1), at(5), 1, 1},
		"two of one decision":     {at(2), at(7), 2, 1},
		"nothing in the meantime": {at(2), at(4), 0, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			some := between(all, tc.from, tc.to)
			if got := decisions(some); len(some) != tc.want || got != tc.wantDecided {
				t.Errorf("%d releases of %d decisions, want %d of %d", len(some), got, tc.want, tc.wantDecided)
			}
		})
	}
}
