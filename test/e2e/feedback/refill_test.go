//go:build linux

package feedback

import (
	"slices"
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
	late := at(15, 16, 17, 18, 19, 20, 21, 22)
	just := at(-2, -2, -2, -2, -2, -2, -2, -2)
	some := at(-4, -4, -4, -4, 3, 3, 3, 4)
	for name, c := range map[string]struct {
		pulls pulls
		letGo int
		want  time.Duration
	}{
		"nothing under way":               {pulls{early, early}, 8, 0},
		"one under way":                   {pulls{slices.Concat(early, at(5)), slices.Concat(early, at(5))}, 9, 0},
		"as many as the limit":            {pulls{slices.Concat(early, late), slices.Concat(early, late)}, 16, 25 * time.Second},
		"charged just before":             {pulls{just, just}, 8, 8 * time.Second},
		"charged, and told of later":      {pulls{just, at(-1, -1, -1, -1, -1, -1, 11, 12)}, 8, 8 * time.Second},
		"charged, and none told of":       {pulls{just, at(12, 12, 13, 13, 14, 14, 15, 15)}, 8, 12 * time.Second},
		"both":                            {pulls{some, some}, 8, 6 * time.Second},
		"others that were let go later":   {pulls{slices.Concat(early, at(1, 2, 3)), slices.Concat(early, at(2, 3, 4))}, 8, 0},
		"under way and never seen to end": {pulls{early, early}, 16, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refill(c.pulls, to, c.letGo).Sub(to); got != c.want {
				t.Errorf("the refill is %s after, want %s", got, c.want)
			}
		})
	}
}
