//go:build linux

package feedback

import (
	"testing"
	"time"
)

// TestRefillWaitsForPullsUnderWay: with 8 units in 10 s, a pull more than those that were
// let go before has room when the first of them is 10 s old.
func TestRefillWaitsForPullsUnderWay(t *testing.T) {
	to := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds ...int) (out []time.Time) {
		for _, s := range seconds {
			out = append(out, to.Add(time.Duration(s)*time.Second))
		}
		return out
	}
	early := at(-30, -30, -30, -30, -30, -30, -30, -30)
	for name, c := range map[string]struct {
		charged []time.Time
		letGo   int
		want    time.Duration
	}{
		"nothing under way":               {early, 8, 0},
		"one under way":                   {append(early, at(5)...), 9, 0},
		"as many as the limit":            {append(early, at(15, 16, 17, 18, 19, 20, 21, 22)...), 16, 25 * time.Second},
		"charged just before":             {at(-2, -2, -2, -2, -2, -2, -2, -2), 8, 8 * time.Second},
		"both":                            {append(at(-4, -4, -4, -4), at(3, 3, 3, 4)...), 8, 6 * time.Second},
		"others that were let go later":   {append(early, at(1, 2, 3)...), 8, 0},
		"under way and never seen to end": {early, 16, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refill(c.charged, to, c.letGo).Sub(to); got != c.want {
				t.Errorf("the refill is %s after, want %s", got, c.want)
			}
		})
	}
}
