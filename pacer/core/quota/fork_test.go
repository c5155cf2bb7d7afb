package quota

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
)

// TestForkedBooksGoTheirOwnWay sets something aside in each of two books that were one.
func TestForkedBooksGoTheirOwnWay(t *testing.T) {
	t.Parallel()
	now := epoch
	l := New(now, Settings{}, false)
	l.Read(now.Add(time.Second), forkReading(now.Add(time.Second), 50))
	l.Set(now.Add(2*time.Second), "open", Claim{Units: 5})
	l.Set(now.Add(2*time.Second), "closed", Claim{Units: 3})
	l.Close(now.Add(3*time.Second), "closed", Pulled)
	f := l.Fork()
	now = now.Add(4 * time.Second)
	if got := f.Available(now, core.ClassNodeCritical, Demand{Held: -1}); got != 47 {
		t.Errorf("free after the fork %d, want 47: the closed pull weighs in both, the open one is set again", got)
	}
	f.Set(now, "mine", Claim{Units: 40})
	if got := l.Available(now, core.ClassNodeCritical, Demand{Held: -1}); got != 42 {
		t.Errorf("free in the first books %d, want 42: the other's claims are not theirs", got)
	}
	l.Throttled(now, 0)
	if !f.Usable(now) {
		t.Error("a 429 in one book made the other's reading worthless")
	}
}

// TestAFollowerTakesBackNothingOfOthers: books that follow learn of foreign use and find
// that a late pull of theirs explains it. That is theirs to think.
func TestAFollowerTakesBackNothingOfOthers(t *testing.T) {
	t.Parallel()
	from := New(epoch, Settings{}, false)
	read(from, says(1, 100))
	f := from.Fork()
	read(from, says(30, 97))
	f.Follow(from, 0)
	f.Set(at(32), "late", Claim{Units: 3})
	f.Close(at(32), "late", Pulled)
	read(from, says(40, 97))
	want := foreignPerHour(from, 40)
	f.Follow(from, 0)
	if got := foreignPerHour(from, 40); got != want {
		t.Errorf("foreign use in the first books is %v an hour, want %v as before", got, want)
	}
	if got := foreignPerHour(f, 40); got != want {
		t.Errorf("foreign use in the follower's is %v an hour, want %v as in the first", got, want)
	}
	from.Set(at(41), "late", Claim{Units: 3})
	from.Close(at(41), "late", Pulled)
	read(from, says(50, 97))
	if got := foreignPerHour(from, 50); got != 0 {
		t.Errorf("foreign use in the first books is %v an hour, want none: it was a pull of their own", got)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	at := epoch.Add(10 * time.Second)
	tests := map[string]struct {
		before func(from, l *Ledger)
		moved  core.Units
		want   core.Units
	}{
		"the reading is taken over":       {want: 50},
		"pulls were moved to later":       {moved: 7, want: 57},
		"pulls were moved to earlier":     {moved: -7, want: 43},
		"never more than the limit":       {moved: 80, want: 100},
		"what is set aside stays its own": {before: func(from, l *Ledger) { from.Set(at, "a", Claim{Units: 20}); l.Set(at, "b", Claim{Units: 4}) }, want: 46},
		"a reading covers what was closed": {before: func(_, l *Ledger) {
			l.Set(epoch, "b", Claim{Units: 4})
			l.Close(epoch.Add(time.Second), "b", Pulled)
		}, want: 50},
		"a 429 that the other met counts there only": {before: func(from, _ *Ledger) { from.Throttled(at.Add(time.Second), 0) }, want: 50},
		"a 429 of its own counts":                    {before: func(_, l *Ledger) { l.Throttled(at.Add(time.Second), 0) }, want: 0},
		"a lost limit stays what it was": {before: func(from, _ *Ledger) {
			from.Read(at.Add(time.Second), Observation{SentAt: at.Add(time.Second), Status: 200})
		}, want: 50},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := New(epoch, Settings{}, false)
			l := from.Fork()
			from.Read(at, forkReading(at, 50))
			if tc.before != nil {
				tc.before(from, l)
			}
			l.Follow(from, tc.moved)
			if got := l.Available(at.Add(2*time.Second), core.ClassNodeCritical, Demand{Held: -1}); got != tc.want {
				t.Errorf("free %d, want %d", got, tc.want)
			}
			if diff := cmp.Diff(from.Grade(at), l.Grade(at)); diff != "" {
				t.Errorf("grade (-from +follower):\n%s", diff)
			}
		})
	}
}

func forkReading(at time.Time, remaining core.Units) Observation {
	return Observation{SentAt: at, Status: 200, Header: Header{Limit: 100, HasLimit: true, Remaining: remaining, HasRemaining: true, Window: time.Hour}}
}
