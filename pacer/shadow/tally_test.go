package shadow

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTallyWithin(t *testing.T) {
	t.Parallel()
	tally := NewTally(start)
	// One pod an hour for two days, each held for as many minutes as its hour.
	for h := range 48 {
		now := start.Add(time.Duration(h)*time.Hour + 30*time.Minute)
		tally.holdOf(now, "Deployment/shop/web", h == 0)
		tally.count(now, func(c *Counts) { c.hold(time.Duration(h)*time.Minute, fmt.Sprint("hour ", h)) })
	}
	now := start.Add(48 * time.Hour)
	tests := map[string]struct {
		within time.Duration
		want   Counts
	}{
		"nothing":       {0, Counts{}},
		"an hour":       {time.Hour, Counts{Pods: 1, Longest: 47 * time.Minute, Whose: "hour 47"}},
		"half a day":    {12 * time.Hour, Counts{Pods: 12, Longest: 47 * time.Minute, Whose: "hour 47"}},
		"a day":         {24 * time.Hour, Counts{Pods: 24, Longest: 47 * time.Minute, Whose: "hour 47"}},
		"no more known": {40 * time.Hour, Counts{Pods: 25, Longest: 47 * time.Minute, Whose: "hour 47"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tally.Within(now, tc.within)); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
	if want := (Counts{Pods: 48, Rollouts: 1, Longest: 47 * time.Minute, Whose: "hour 47"}); tally.Total != want {
		t.Errorf("total %+v, want %+v", tally.Total, want)
	}
	again := Restore(tally.Since, tally.Total, tally.Hours, tally.Top(mostWorkloads))
	if diff := cmp.Diff(tally, again, cmp.AllowUnexported(Tally{})); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

func TestTallyKeepsFewWorkloads(t *testing.T) {
	t.Parallel()
	tally := NewTally(start)
	for i := range 3 * mostWorkloads {
		tally.holdOf(start, fmt.Sprintf("Deployment/shop/once-%03d", i), true)
		tally.holdOf(start, "Deployment/shop/often", false)
	}
	if len(tally.workloads) != mostWorkloads {
		t.Errorf("%d workloads are kept, want %d", len(tally.workloads), mostWorkloads)
	}
	if diff := cmp.Diff([]Workload{{"Deployment/shop/often", 3 * mostWorkloads}}, tally.Top(1)); diff != "" {
		t.Errorf("top (-want +got):\n%s", diff)
	}
}
