package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

func TestEveryReplicaHonoursTheBoundOfAHold(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePod(1), makePod(2), makePod(3, foreignGate))
	beat := &pulse{reader: b.client, clock: b.clock, namespace: v1alpha1.Namespace}
	follower := &bound{client: b.client, releaser: b.turn.releaser, events: b.events, metrics: b.turn.metrics, clock: b.clock, beating: beat.beating}
	look := func(want ...int) {
		t.Helper()
		if err := beat.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := follower.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.held(1, 2, 3)); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
	}
	look(1, 2, 3) // no hold is overdue
	b.clock.Step(2 * time.Hour)
	if err := b.turn.heart.Beat(t.Context(), b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	look(1, 2, 3) // turns complete: the engine lets them go in its order
	b.clock.Step(time.Minute)
	look(2, 3) // nobody takes turns: one at a time
	look(3)
	look(3) // another owner holds it too
	mark, err := v1alpha1.ParseReleaseMark(b.pod(1).Annotations[v1alpha1.AnnotationRelease])
	if err != nil || mark.Reason != string(core.HoldExpired) {
		t.Errorf("mark %+v, %v: want HoldExpired", mark, err)
	}
}
