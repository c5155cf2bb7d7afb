package controller

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestATurnWritesLessOfASlowServer(t *testing.T) {
	t.Parallel()
	var w writes
	steps := []struct {
		n    int
		took time.Duration
		want int
	}{
		{10, 100 * time.Millisecond, 100}, {100, 200 * time.Millisecond, 200}, {200, 250 * time.Millisecond, 400}, {400, 100 * time.Millisecond, 400},
		{400, time.Second, 200}, {200, 600 * time.Millisecond, 166}, {50, 400 * time.Millisecond, 166}, {166, 500 * time.Millisecond, 166},
		{166, 250 * time.Millisecond, 332}, {332, 100 * time.Millisecond, 400},
		{400, time.Minute, 16}, {16, time.Minute, 16}, {16, 100 * time.Millisecond, 32},
	}
	for i, s := range steps {
		w.took(s.n, s.took)
		if got := w.bound(1000); got != s.want {
			t.Errorf("step %d: %d writes at most after %d took %v, want %d", i, got, s.n, s.took, s.want)
		}
	}
}

// TestWhatATurnDoesNotWriteIsForTheNext has an API server that takes 10 s for each
// release: a turn begins none after the first that ended, and everything goes in the end.
func TestWhatATurnDoesNotWriteIsForTheNext(t *testing.T) {
	t.Parallel()
	var clk *clocktesting.FakeClock
	slow := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if _, ok := o.(*corev1.Pod); ok {
			clk.Step(10 * time.Second)
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	objects := []client.Object{makeNamespace(nil), makePolicy(), makeBudget(1000), makeNode("a")}
	var all []int
	for i := range 40 {
		objects, all = append(objects, makePod(i)), append(all, i)
	}
	b := makeBench(t, slow, objects...)
	clk = b.clock
	b.turn.writes.most = 32
	for held := len(all); held > 0; {
		if err := b.take(time.Second); err != nil {
			t.Fatal(err)
		}
		now := len(b.held(all...))
		if went := held - now; went < 1 || went > patchesInFlight {
			t.Fatalf("%d of %d pods went in a turn, want 1 to %d", went, held, patchesInFlight)
		}
		held = now
	}
	if b.turn.writes.most != leastWrites {
		t.Errorf("%d writes at most, want %d", b.turn.writes.most, leastWrites)
	}
}
