package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// What is withdrawn is booked no more and goes with the next decision, as if it had not
// been chosen; what was written stays booked.
func TestWhatIsWithdrawnGoesNext(t *testing.T) {
	t.Parallel()
	m := newMachine(6, time.Hour, 20, quota.Settings{})
	m.group("app", "shop", core.ClassRollout)
	m.advance(10 * time.Second)
	m.probe()
	for range 10 {
		m.create("app")
	}
	d := m.decide()
	if len(d.Releases) != 1 || d.Releases[0].Count != 6 {
		t.Fatalf("releases %+v, want 6 of the group", d.Releases)
	}
	m.carryOutFirst(d, 2)
	if got := m.reserved(); got != 2 {
		t.Errorf("%d units are set aside for 2 pods that went", got)
	}
	d = m.decide()
	want := []Release{{Group: "app", Count: 4, Reason: core.Budget, Cost: []Cost{{hub, 4}}}}
	if diff := cmp.Diff(want, d.Releases); diff != "" {
		t.Errorf("the next decision (-want +got):\n%s", diff)
	}
}
