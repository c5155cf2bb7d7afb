package kernel

import (
	"cmp"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const second = Time(1e9)

// TestPipe is a hundred nodes that each fetch 500 MB over 1.25 GB/s, with cards of
// 125 MB/s: every order takes 40 s, and waves of ten, which fill the link as well,
// are ready after 22 s on the mean instead of 40.
func TestPipe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wave int
		mean float64
	}{
		"all at once":  {100, 40},
		"waves of ten": {10, 22},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := NewLink(1.25e9)
			for range 100 {
				l.AddNode(125e6)
			}
			begun := 0
			start := func(now Time) {
				if begun < 100 {
					l.Start(now, begun, 500e6, begun)
					begun++
				}
			}
			for range tc.wave {
				start(0)
			}
			var sum, last float64
			for l.Next() != Never {
				now := l.Next()
				if _, ok := l.Finish(now); !ok {
					t.Fatalf("nothing is over at %v, which is next", now)
				}
				sum, last = sum+now.Seconds(), now.Seconds()
				start(now)
			}
			if math.Abs(last-40) > 1e-6 || math.Abs(sum/100-tc.mean) > 1e-6 {
				t.Errorf("the last is over after %v s and they are on the mean after %v s, want 40 and %v", last, sum/100, tc.mean)
			}
			if got := l.Moved(); math.Abs(got-50e9) > 100 {
				t.Errorf("%v bytes were moved, want 50e9", got)
			}
		})
	}
}

// TestCardsAndLink works through one small case: a link of 10, a card of 2 with two
// flows, one of 3 and one of 20 with one each. They have 1, 1, 3 and the other 5.
func TestCardsAndLink(t *testing.T) {
	t.Parallel()
	l := NewLink(10)
	slow, middle, fast := l.AddNode(2), l.AddNode(3), l.AddNode(20)
	l.Start(0, slow, 2, 1)
	l.Start(0, slow, 4, 2)
	l.Start(0, middle, 9, 3)
	cut := l.Start(0, fast, 100, 4)
	type over struct {
		At  float64
		Ref int
	}
	var got []over
	step := func() {
		at := l.Next()
		ref, _ := l.Finish(at)
		got = append(got, over{at.Seconds(), ref})
	}
	step() // 2 at 1 a second; the other flow of the card has 2 left and the card to itself
	l.Cancel(2*second, cut)
	l.SetCapacity(2*second, 2)
	step() // 2 at 1 a second; of the 9 bytes 6 were moved by second 2, and 2 are since
	step() // 1 at 2 a second
	want := []over{{2, 1}, {4, 2}, {4.5, 3}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("flows over (-want +got):\n%s", diff)
	}
	if got := l.Next(); got != Never {
		t.Errorf("something is over at %v, want nothing more", got)
	}
}

func TestCancelSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	l := NewLink(0)
	n := l.AddNode(10)
	a, b := l.Start(0, n, 100, 1), l.Start(0, n, 1000, 2)
	if got := l.Cancel(4*second, a); got != 80 { // 5 a second
		t.Errorf("%d bytes of the first are left, want 80", got)
	}
	if got := l.Cancel(14*second, b); got != 880 { // 20, then 10 a second
		t.Errorf("%d bytes of the second are left, want 880", got)
	}
	if l.Flows() != 0 || l.Next() != Never {
		t.Errorf("%d flows are left and %v is next, want none", l.Flows(), l.Next())
	}
}

func TestWithoutAnyLimitAFlowIsOverAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLink(0)
	n := l.AddNode(0)
	l.Start(5, n, 1e12, 1)
	l.Start(5, n, 0, 2)
	for _, want := range []int{2, 1} { // in order of size
		if ref, ok := l.Finish(5); !ok || ref != want {
			t.Errorf("%d is over (%v), want %d", ref, ok, want)
		}
	}
}

// fluid is the same link computed anew at every event: rates by raising all alike
// until the link or a card is full, and no clocks.
type fluid struct {
	capacity float64
	cards    []float64
	flows    []fluidFlow
}

type fluidFlow struct {
	node, ref int
	rest      float64
}

func (f *fluid) rates() []float64 {
	rates := make([]float64, len(f.flows))
	fixed := make([]bool, len(f.flows))
	for range f.flows {
		rise := math.Inf(1)
		used, open := 0.0, 0
		card, cardOpen := make([]float64, len(f.cards)), make([]int, len(f.cards))
		for i, flow := range f.flows {
			used += rates[i]
			card[flow.node] += rates[i]
			if !fixed[i] {
				open++
				cardOpen[flow.node]++
			}
		}
		if open == 0 {
			break
		}
		rise = min(rise, (f.capacity-used)/float64(open))
		for n := range f.cards {
			if cardOpen[n] > 0 {
				rise = min(rise, (f.cards[n]-card[n])/float64(cardOpen[n]))
			}
		}
		for i := range f.flows {
			if !fixed[i] {
				rates[i] += rise
			}
		}
		full := used+rise*float64(open) >= f.capacity*(1-1e-12)
		for i, flow := range f.flows {
			if full || card[flow.node]+rise*float64(cardOpen[flow.node]) >= f.cards[flow.node]*(1-1e-12) {
				fixed[i] = true
			}
		}
	}
	return rates
}

// move advances to the next end of a flow or by span, whichever is first, and
// returns how far and which flow is over, -1 if none.
func (f *fluid) move(span float64) (float64, int) {
	rates, over := f.rates(), -1
	for i, flow := range f.flows {
		if d := flow.rest / rates[i]; d <= span {
			span, over = d, i
		}
	}
	for i := range f.flows {
		f.flows[i].rest -= rates[i] * span
	}
	if over < 0 {
		return span, -1
	}
	ref := f.flows[over].ref
	f.flows = slices.Delete(f.flows, over, over+1)
	return span, ref
}

// TestLinkIsFair runs random flows through random cards beside the link that is
// computed anew, and compares when each is over.
func TestLinkIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		speed := rapid.Float64Range(1, 100)
		f := &fluid{capacity: speed.Draw(t, "link")}
		l := NewLink(f.capacity)
		for range rapid.IntRange(1, 6).Draw(t, "nodes") {
			f.cards = append(f.cards, speed.Draw(t, "card"))
			l.AddNode(f.cards[len(f.cards)-1])
		}
		got, want := map[int]float64{}, map[int]float64{}
		now, clock := Time(0), 0.0
		until := func(at Time) {
			for l.Next() <= at && l.Next() != Never {
				end := l.Next()
				ref, _ := l.Finish(end)
				got[ref] = end.Seconds()
			}
			for len(f.flows) > 0 {
				span, ref := f.move(at.Seconds() - clock)
				clock += span
				if ref < 0 {
					break
				}
				want[ref] = clock
			}
			now, clock = at, at.Seconds()
		}
		for i := range rapid.IntRange(1, 25).Draw(t, "flows") {
			until(now + Time(rapid.Int64Range(0, int64(second)).Draw(t, "pause")))
			node, size := rapid.IntRange(0, len(f.cards)-1).Draw(t, "node"), rapid.Int64Range(1, 50).Draw(t, "size")
			l.Start(now, node, size, i)
			f.flows = append(f.flows, fluidFlow{node, i, float64(size)})
		}
		until(now + 10_000*second)
		if len(got) != len(want) {
			t.Fatalf("%d flows are over, want %d", len(got), len(want))
		}
		for ref, at := range want { // a nanosecond is rounded away for each flow that ends
			if math.Abs(got[ref]-at) > 1e-6 {
				t.Fatalf("flow %d is over after %v s, want %v", ref, got[ref], at)
			}
		}
	})
}

// TestLinkOrdersTies: flows that are over together are over in the order in which
// they began, on one node and on several.
func TestLinkOrdersTies(t *testing.T) {
	t.Parallel()
	l := NewLink(100)
	for range 10 {
		l.AddNode(0)
	}
	for i := range 40 {
		l.Start(0, i*7%10, 1000, i)
	}
	var order []int
	for l.Next() != Never {
		ref, _ := l.Finish(l.Next())
		order = append(order, ref)
	}
	if !slices.IsSortedFunc(order, cmp.Compare) || len(order) != 40 {
		t.Errorf("over in the order %v, want 0 to 39", order)
	}
}

func TestLinkAllocatesNothingInTheSteadyState(t *testing.T) {
	l := NewLink(1000)
	for range 50 {
		l.AddNode(100)
	}
	now := Time(0)
	i := 0
	step := func() {
		for range 3 {
			l.Start(now, i%50, int64(1000+i%7), i)
			i++
		}
		for range 3 {
			now = l.Next()
			l.Finish(now)
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("three flows allocate %v times", n)
	}
}

func BenchmarkLink(b *testing.B) {
	for _, nodes := range []struct {
		name string
		n    int
	}{{"100", 100}, {"100k", 100_000}} {
		b.Run("nodes="+nodes.name, func(b *testing.B) {
			l := NewLink(1.25e9)
			for range nodes.n {
				l.AddNode(125e6)
			}
			for i := range nodes.n {
				l.Start(0, i, int64(500e6+i), i)
			}
			b.ReportAllocs()
			for b.Loop() { // one flow ends and another begins
				now := l.Next()
				ref, _ := l.Finish(now)
				l.Start(now, ref, 500e6, ref)
			}
		})
	}
}
