package quota

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
)

// TestSumsAreThoseOfTheClaims holds the sums that are kept to the claims, counted
// anew, after anything that changes them.
func TestSumsAreThoseOfTheClaims(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var settings Settings
		if rapid.Bool().Draw(t, "declared") {
			settings.Fixed = &Fixed{Pulls: 100, Window: time.Hour}
		}
		l := New(now, settings, false)
		id := func() string { return fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id")) }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "seconds")) * time.Second)
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3:
				c := Claim{Units: core.Units(rapid.IntRange(0, 3).Draw(t, "units")), Ungated: rapid.Bool().Draw(t, "ungated"), Manifests: rapid.IntRange(0, 2).Draw(t, "manifests")}
				if rapid.IntRange(0, 9).Draw(t, "child") == 0 {
					c.Parent = id()
				}
				l.Set(now, id(), c)
			case 4, 5:
				l.Close(now, id(), rapid.SampledFrom([]Outcome{Pulled, Present, Gone}).Draw(t, "outcome"))
			case 6, 7:
				l.Read(now, Observation{SentAt: now, Status: 200, Header: Header{Limit: 100, HasLimit: true, HasRemaining: true, Window: time.Hour,
					Remaining: core.Units(rapid.IntRange(0, 100).Draw(t, "remaining"))}})
			case 8:
				l.Throttled(now, 0)
			case 9:
				other := l.Fork()
				if rapid.Bool().Draw(t, "follow") {
					other.Follow(l, 1)
				}
				l = other
			}
			checkSums(t, l)
		}
		l.Reset()
		checkSums(t, l)
	})
}

func checkSums(t *rapid.T, l *Ledger) {
	t.Helper()
	var want sums
	for _, c := range l.claims {
		want.count(c, 1)
	}
	if l.sums != want {
		t.Fatalf("sums are %+v, want %+v", l.sums, want)
	}
	a, b, c := l.outstanding()
	if d, e, f := l.walk(); a != d || b != e || c != f {
		t.Fatalf("outstanding are %d, %d, %d, want %d, %d, %d", a, b, c, d, e, f)
	}
}
