package quota

import (
	"testing"

	"github.com/pullpace/pace/pacer/core"
)

// Ten multi-platform pulls in each of two batches cost ten units each time: one a
// pull, where two are set aside as long as nobody knows better.
func TestPriceOfAPullIsLearned(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		falls []core.Units // of batches of ten pulls
		want  core.Units
	}{
		"nothing seen":             {nil, 2},
		"one batch is not enough":  {[]core.Units{10}, 2},
		"one unit a pull":          {[]core.Units{10, 10}, 1},
		"a mirror answered":        {[]core.Units{0, 0}, 0},
		"the dearest batch counts": {[]core.Units{0, 20}, 2},
		"never more than manifests; the rest is somebody else's": {[]core.Units{30, 30}, 2},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		remaining := core.Units(100)
		read(l, says(1, remaining))
		for i, fall := range tc.falls {
			begin := float64(20 + 20*i)
			read(l, says(begin, remaining))
			for p := range 10 {
				id := string(rune('a'+i)) + string(rune('a'+p))
				l.Set(at(begin+1), id, Claim{Units: 2, Manifests: 2})
				l.Close(at(begin+2), id, Pulled)
			}
			remaining -= fall
			read(l, says(begin+8, remaining))
		}
		if got := l.PerPull(2); got != tc.want {
			t.Errorf("%s: price %d, want %d", name, got, tc.want)
		}
	}
}

// A batch proves nothing while another pull is under way or after a charge of our
// own may have left the window in between.
func TestPriceIsNotLearnedInTroubledWater(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Ledger){
		"another pull under way":        func(l *Ledger) { l.Set(at(2), "other", Claim{Units: 1, Manifests: 1}) },
		"one of the batch failed":       func(l *Ledger) { l.Set(at(2), "bad", Claim{Units: 1, Manifests: 1}); l.Close(at(3), "bad", Failed) },
		"two shapes in one batch":       func(l *Ledger) { l.Set(at(2), "multi", Claim{Units: 2, Manifests: 2}); l.Close(at(3), "multi", Pulled) },
		"own charge leaving the window": func(l *Ledger) { l.spend(at(-3595), 5) },
	}
	for name, trouble := range tests {
		l := New(at(-4000), Settings{}, false)
		read(l, says(1, 100))
		trouble(l)
		for _, id := range []string{"a", "b", "c", "d"} {
			l.Set(at(2), id, Claim{Units: 1, Manifests: 1})
			l.Close(at(3), id, Pulled)
		}
		read(l, says(9, 98))
		if got := l.Charges(); len(got) > 0 {
			t.Errorf("%s: learned %v", name, got)
		}
	}
}
