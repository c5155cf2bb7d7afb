package quota

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// One hundred an hour: what is asked for in six windows in a row decides, once more
// waits than a window brings, and two windows of less end it.
func TestFlowByHand(t *testing.T) {
	t.Parallel()
	repeat := func(n, units int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = units
		}
		return out
	}
	tests := map[string]struct {
		asked []int // units an hour
		want  bool
	}{
		"five windows of too much":                      {repeat(5, 150), false},
		"six windows of too much":                       {repeat(6, 150), true},
		"one of them below":                             {append(append(repeat(3, 150), 50), repeat(3, 150)...), false},
		"a little too much, until a window of it waits": {repeat(9, 111), false},
		"and once more than that waits":                 {repeat(10, 111), true},
		"one calm window does not end it":               {append(repeat(6, 150), 50), true},
		"two calm windows end it":                       {append(repeat(6, 150), 50, 50), false},
		"a burst of thirty windows":                     {append([]int{3000}, repeat(9, 0)...), false},
		"exactly what it gives":                         {repeat(20, 100), false},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{Fixed: &Fixed{Pulls: 100, Window: time.Hour}}, false)
		now, held := epoch, 0
		l.Watch(now, 0)
		for _, asked := range tc.asked {
			held += asked
			now = now.Add(time.Hour)
			went := min(held, 100)
			l.spend(now, "", core.Units(went))
			held -= went
			l.Watch(now, core.Units(held))
		}
		if got := l.Hopeless(); got != tc.want {
			t.Errorf("%s: hopeless %v, want %v; %+v", name, got, tc.want, l.flow)
		}
	}
}

// Others and a share make the supply less, and what is not limited has none.
func TestFlowKnowsWhatIsOurs(t *testing.T) {
	t.Parallel()
	shared := New(epoch, Settings{Fraction: 0.5, MaxPerWindow: 60}, false)
	read(shared, says(1, 100))
	if got := shared.given(at(1), time.Hour); got != 60 {
		t.Errorf("60 of 100 an hour at most, of what others leave: gives %v", got)
	}
	declared := New(epoch, Settings{Fraction: 0.5, Fixed: &Fixed{Pulls: 100, Window: time.Hour}}, false)
	if got := declared.given(at(1), time.Hour); got != 50 {
		t.Errorf("half of a declared 100 an hour: gives %v", got)
	}
	taken := New(epoch, Settings{}, false)
	read(taken, says(0, 100))
	read(taken, says(1, 70))
	if got := taken.given(at(1), time.Hour); got > 70 {
		t.Errorf("others take 30 of 100: gives %v", got)
	}
	silence := New(epoch, Settings{}, false)
	silence.Watch(at(10), 1000)
	if !silence.flow.begun.IsZero() {
		t.Errorf("a limit that is not known: %+v is compared with nothing", silence.flow)
	}
}

func TestHopelessSurvivesARestart(t *testing.T) {
	t.Parallel()
	for name, since := range map[string]time.Time{"it was": at(5), "it was not": {}} {
		l := New(epoch, Settings{}, false)
		l.flow.since = since
		after := New(at(10), Settings{}, false)
		after.Restore(at(10), l.Export(at(9)))
		if got := after.Flow().Hopeless; !got.Equal(since) {
			t.Errorf("%s: hopeless since %v, want %v", name, got, since)
		}
	}
}
