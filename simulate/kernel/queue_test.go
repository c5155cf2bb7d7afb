package kernel

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestQueueIsAStableSort compares the queue with a list that is sorted anew for
// every pop, through any mix of pushes and pops.
func TestQueueIsAStableSort(t *testing.T) {
	t.Parallel()
	type event struct {
		at     Time
		kind   uint8
		index  int
		ticket Ticket
	}
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var list []event
		var after [3]Time
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "push or pop") < 3 {
				e := event{
					at:    Time(rapid.Int64Range(0, 20).Draw(t, "at")),
					kind:  rapid.Uint8Range(0, MaxKind).Draw(t, "kind"),
					index: rapid.IntRange(0, MaxIndex).Draw(t, "index"),
				}
				if line := rapid.IntRange(-1, 2).Draw(t, "line"); line < 0 {
					e.ticket = q.Push(e.at, e.kind, e.index)
				} else {
					e.at += after[line]
					after[line] += Time(rapid.Int64Range(0, 3).Draw(t, "later"))
					e.ticket = q.PushInLine(line, e.at, e.kind, e.index)
				}
				list = append(list, e)
			} else {
				slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.at, b.at) })
				got, ok := q.Pop()
				if ok != (len(list) > 0) {
					t.Fatalf("Pop said %v with %d events in the queue", ok, len(list))
				}
				if ok {
					if is := (event{got.At, got.Kind(), got.Index(), got.Ticket()}); is != list[0] {
						t.Fatalf("popped %+v, want %+v", is, list[0])
					}
					list = list[1:]
				}
			}
			if q.Len() != len(list) {
				t.Fatalf("Len is %d, want %d", q.Len(), len(list))
			}
		}
	})
}

func TestQueueKeepsTheOrderOfPushesAtOneTime(t *testing.T) {
	t.Parallel()
	var q Queue
	for i := range 1000 {
		q.Push(7, uint8(i%3), 999-i)
	}
	for i := range 1000 {
		e, ok := q.Pop()
		if !ok || e.Index() != 999-i {
			t.Fatalf("pop %d gave index %d (%v), want %d", i, e.Index(), ok, 999-i)
		}
		if i == 500 { // pushed while its time is handled: after all that waited
			q.Push(7, 0, 1000)
		}
	}
	if e, ok := q.Pop(); !ok || e.Index() != 1000 {
		t.Errorf("the event pushed last came as %d (%v), want last", e.Index(), ok)
	}
}

// TestALineGoesOnOverItsPages lets lines become several pages long and short again, and
// compares with events that were pushed as any other.
func TestALineGoesOnOverItsPages(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, len(page{}) - 1, len(page{}), len(page{}) + 1, 3*len(page{}) + 7} {
		var lined, heaped Queue
		pushed := 0
		push := func(n int) {
			for range n {
				lined.PushInLine(pushed%2, Time(pushed/3), 1, pushed)
				heaped.Push(Time(pushed/3), 1, pushed)
				pushed++
			}
		}
		pop := func(n int) {
			for range n {
				got, ok := lined.Pop()
				want, _ := heaped.Pop()
				if got != want || !ok {
					t.Fatalf("lines of %d: popped %+v (%v), want %+v", most, got, ok, want)
				}
			}
		}
		for range 5 {
			push(2 * most)
			pop(most)
			push(most)
			pop(2 * most)
		}
	}
}

// TestATicketTellsAStaleEvent follows the recipe of Ticket: of three timers of an
// entity, each set anew before it fires, one is heard.
func TestATicketTellsAStaleEvent(t *testing.T) {
	t.Parallel()
	var q Queue
	var timer Ticket
	for _, at := range []Time{30, 10, 20} {
		timer = q.Push(at, 1, 5)
	}
	var heard []Time
	for e, ok := q.Pop(); ok; e, ok = q.Pop() {
		if e.Ticket() == timer {
			heard = append(heard, e.At)
			timer = NoTicket
		}
	}
	if diff := gocmp.Diff([]Time{20}, heard); diff != "" {
		t.Errorf("times heard (-want +got):\n%s", diff)
	}
}

func TestQueueRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	tests := map[string]func(q *Queue){
		"time negative":   func(q *Queue) { q.Push(-1, 0, 0) },
		"index too large": func(q *Queue) { q.Push(0, 0, MaxIndex+1) },
		"index negative":  func(q *Queue) { q.Push(0, 0, -1) },
		"kind too large":  func(q *Queue) { q.Push(0, MaxKind+1, 0) },
		"pushes used up":  func(q *Queue) { q.last = maxSequence; q.Push(0, 0, 0) },
	}
	for name, push := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it was pushed")
				}
			}()
			push(&Queue{})
		})
	}
}

func TestQueueAllocatesNothingInTheSteadyState(t *testing.T) {
	q := NewQueue(1000)
	for i := range 1000 {
		q.Push(Time(i), 0, i)
		q.PushInLine(0, Time(i), 2, i)
	}
	push := func(e Event) {
		if e.Kind() == 2 {
			q.PushInLine(0, e.At+1000, 2, e.Index())
			return
		}
		q.Push(e.At+500, 1, e.Index())
	}
	if n := testing.AllocsPerRun(1000, func() { e, _ := q.Pop(); push(e) }); n != 0 {
		t.Errorf("a pop and a push allocate %v times", n)
	}
}

// BenchmarkQueue is the hold model: one event is popped and pushed again an
// exponential time later, with so many pending.
func BenchmarkQueue(b *testing.B) {
	for _, pending := range []struct {
		name string
		n    int
	}{{"1k", 1e3}, {"10k", 1e4}, {"100k", 1e5}, {"1M", 1e6}} {
		b.Run("pending="+pending.name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			var delays [1 << 14]Time // drawn before, so that the queue alone is measured
			for i := range delays {
				delays[i] = Time(random.ExpFloat64() * 1e9)
			}
			q := NewQueue(pending.n)
			for i := range pending.n {
				q.Push(delays[i%len(delays)], 0, i%MaxIndex)
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				e, _ := q.Pop()
				q.Push(e.At+delays[i%len(delays)], 0, e.Index())
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
