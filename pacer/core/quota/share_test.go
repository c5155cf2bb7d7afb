package quota

import (
	"testing"

	"github.com/pullpace/pace/pacer/core"
)

func TestShareOfAnAccount(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fraction: 0.1, Guard: 3}, false)
	read(l, says(1, 100))
	if got := l.Available(at(1), core.ClassNodeCritical, endless); got != 9 {
		t.Errorf("a tenth of 100 less 3: available %d, want 9", got)
	}
	l.Configure(Settings{MaxPerWindow: 20}, false)
	l.Set(at(2), "a", Claim{Units: 15})
	l.Close(at(2), "a", Pulled)
	read(l, says(10, 85))
	if got := l.Available(at(10), core.ClassNodeCritical, endless); got != 5 {
		t.Errorf("15 of 20 spent: available %d, want 5", got)
	}
}

// Half of what remains, at a reading and not again and again of what is then left;
// what others left of their part is there at the next.
func TestFractionIsOfTheReading(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fraction: 0.5}, false)
	read(l, says(1, 100))
	steps := []struct {
		what string
		do   func()
		want core.Units
	}{
		{"at a reading", func() {}, 50},
		{"20 of them set aside", func() { l.Set(at(2), "a", Claim{Units: 20}) }, 30},
		{"all of them", func() { l.Set(at(2), "b", Claim{Units: 30}) }, 0},
		{"seen as spent by a reading", func() {
			l.Close(at(3), "a", Pulled)
			l.Close(at(3), "b", Pulled)
			read(l, says(10, 50))
		}, 25},
		{"a window later", func() { read(l, says(3700, 100)) }, 50},
	}
	for _, s := range steps {
		s.do()
		if got := l.Available(l.last.SentAt, core.ClassNodeCritical, endless); got != s.want {
			t.Errorf("%s: available %d, want %d", s.what, got, s.want)
		}
	}
}

// What a rollout keeps back is kept of the reading: a fraction of 100 less 5, and not a
// fraction of 100, less 5.
func TestAFractionIsTakenBesideTheReserve(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fraction: 0.1, ReservePercent: 5, RollbackReserve: true}, false)
	read(l, says(1, 100))
	for class, want := range map[core.Class]core.Units{core.ClassNodeCritical: 10, core.ClassServing: 8, core.ClassRollout: 7} {
		if got := l.Available(at(1), class, Demand{Rollback: 20, Held: -1}); got != want {
			t.Errorf("class %v: %d, want %d of 100 less the reserve", class, got, want)
		}
	}
	if got := l.Most(core.ClassRollout, Demand{Rollback: 20}); got != 7 {
		t.Errorf("a rollout is given %d at most, want a tenth of 100 less 20 and 5", got)
	}
}

// What cannot be read is counted, and there a fraction is of the limit in a window.
func TestAFractionOfWhatIsCountedIsOfTheLimit(t *testing.T) {
	t.Parallel()
	declared := New(epoch, Settings{Fraction: 0.25, Fixed: &Fixed{Pulls: 100, Window: 3600e9}}, false)
	lost := New(epoch, Settings{Fraction: 0.25}, false)
	read(lost, says(1, 100))
	read(lost, Observation{SentAt: at(2), Status: 200})
	for name, l := range map[string]*Ledger{"a declared limit": declared, "a limit that went missing": lost} {
		if got := l.Available(at(3), core.ClassNodeCritical, endless); got != 25 {
			t.Errorf("%s: available %d, want 25", name, got)
		}
		l.Set(at(3), "a", Claim{Units: 20})
		l.Close(at(4), "a", Pulled)
		if got := l.Available(at(5), core.ClassNodeCritical, endless); got != 5 {
			t.Errorf("%s: available %d after 20, want 5", name, got)
		}
	}
}

func TestCeilingIsWhatIsGivenAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings        Settings
		once, perWindow core.Units
	}{
		"alone":             {Settings{}, 100, 100},
		"a guard":           {Settings{Guard: 4}, 96, 100},
		"a fraction":        {Settings{Fraction: 0.29}, 29, 100},
		"beside a guard":    {Settings{Fraction: 0.1, Guard: 3}, 9, 100},
		"a cap":             {Settings{MaxPerWindow: 40}, 40, 40},
		"the less of both":  {Settings{Fraction: 0.5, MaxPerWindow: 60}, 50, 60},
		"a fraction of one": {Settings{Fraction: 1}, 100, 100},
		"all is guarded":    {Settings{Guard: 200}, 1, 100},
	} {
		l := New(epoch, tc.settings, false)
		read(l, says(1, 100))
		if once, most := l.Ceiling(), l.perWindow(false); once != tc.once || most != tc.perWindow {
			t.Errorf("%s: %d at once and %d in a window, want %d and %d", name, once, most, tc.once, tc.perWindow)
		}
	}
}
