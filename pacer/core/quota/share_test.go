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
// and half of the limit in a window, whatever the readings say.
func TestFractionIsOfTheReadingAndOfTheWindow(t *testing.T) {
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
		}, 0},
		{"a window later", func() { read(l, says(3700, 100)) }, 50},
	}
	for _, s := range steps {
		s.do()
		if got := l.Available(l.last.SentAt, core.ClassNodeCritical, endless); got != s.want {
			t.Errorf("%s: available %d, want %d", s.what, got, s.want)
		}
	}
}

func TestCeilingIsOurPartOfTheLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings Settings
		want     core.Units
	}{
		"alone":             {Settings{}, 100},
		"a fraction":        {Settings{Fraction: 0.29}, 29},
		"a cap":             {Settings{MaxPerWindow: 40}, 40},
		"the less of both":  {Settings{Fraction: 0.5, MaxPerWindow: 60}, 50},
		"a fraction of one": {Settings{Fraction: 1}, 100},
	} {
		l := New(epoch, tc.settings, false)
		read(l, says(1, 100))
		if got := l.Ceiling(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
