package controller

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/gate"
)

// TestATurnStartsAndEndsWithoutLeavingAnything is not parallel, since goleak
// looks at every goroutine of the process.
func TestATurnStartsAndEndsWithoutLeavingAnything(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var beats atomic.Int32
	beat := make(chan struct{}, 1)
	note := func() {
		beats.Add(1)
		select {
		case beat <- struct{}{}:
		default:
		}
	}
	b := makeBench(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		defer note() // the heartbeat is the only thing that a turn creates
		return c.Create(ctx, o, opts...)
	}}, makeNamespace(nil), makePolicy(), makeBudget(1))
	b.turn.clock, b.turn.explainer.clock = clock.RealClock{}, clock.RealClock{}
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	synced := true
	b.turn.cache = &informertest.FakeInformers{Scheme: scheme, Synced: &synced}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- b.turn.Start(ctx) }()
	go func() { ended <- b.turn.explainer.Start(ctx) }()
	select {
	case <-beat:
	case err := <-ended:
		t.Fatalf("ended before a turn was completed: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("no turn was completed")
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestTheFeedKeepsTheLastStateAndTheOrder(t *testing.T) {
	t.Parallel()
	f := newFeed()
	f.put(podKind, makePod(2), false)
	f.put(podKind, makePod(1), false)
	f.put(podKind, makePod(3, func(p *corev1.Pod) { gate.Release(p, gate.Letting{}) }), false)
	f.put(podKind, makePod(4), false)
	f.put(podKind, makePod(4), true)
	f.put(3, makeNode("n1"), false)
	f.put(0, makeNamespace(nil), false)
	var got []string
	for _, c := range f.take() {
		name := c.object.GetName()
		if c.gone {
			name += " gone"
		}
		got = append(got, name)
	}
	want := []string{"shop", "n1", "web-v1-4 gone", "web-v1-3", "web-v1-1", "web-v1-2"}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if again := f.take(); len(again) != 0 {
		t.Errorf("taken twice: %d changes", len(again))
	}
	select {
	case <-f.signal:
	default:
		t.Error("no signal after changes")
	}
}
