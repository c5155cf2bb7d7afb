package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
)

// spentBy is who spent how much, by name.
func spentBy(all []Use) map[string]core.Units {
	out := map[string]core.Units{}
	for _, u := range all {
		out[u.Workload] += u.Units
	}
	return out
}

// An hour of 64 buckets of 56.25 s: what was spent in the first minute is out of the
// window when the buckets that it lies in are.
func TestUseIsOfTheWindow(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pull := func(l *Ledger, at time.Duration, id, by string) {
		l.Set(start.Add(at), id, Claim{Units: 1, Manifests: 1, Host: "hub", By: by})
		l.Close(start.Add(at), id, Pulled)
	}
	tests := map[string]struct {
		at   time.Duration
		want map[string]core.Units
	}{
		"all of it":            {40 * time.Minute, map[string]core.Units{"Deployment/shop/web": 2, "Job/ci/build": 1, "": 1}},
		"the first has left":   {61 * time.Minute, map[string]core.Units{"Deployment/shop/web": 1, "Job/ci/build": 1, "": 1}},
		"nothing is left":      {3 * time.Hour, map[string]core.Units{}},
		"nobody looks earlier": {-time.Minute, map[string]core.Units{"Deployment/shop/web": 2, "Job/ci/build": 1, "": 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(start, Settings{Fixed: &Fixed{Pulls: 100, Window: time.Hour}}, false)
			pull(l, 0, "a", "Deployment/shop/web")
			pull(l, 20*time.Minute, "b", "Job/ci/build")
			pull(l, 20*time.Minute, "c", "")
			pull(l, 30*time.Minute, "d", "Deployment/shop/web")
			l.Set(start.Add(30*time.Minute), "e", Claim{Units: 1, Manifests: 1, Host: "hub", By: "Job/ci/other"})
			l.Close(start.Add(30*time.Minute), "e", Present) // it was there: nothing was spent
			if diff := cmp.Diff(tc.want, spentBy(l.Use(start.Add(tc.at)))); diff != "" {
				t.Errorf("use (-want +got)\n%s", diff)
			}
		})
	}
}

// A pull of a declared rate is spent as it begins and taken back if it was free; one
// that changes keeps whose it is.
func TestUseOfADeclaredRateComesBack(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := New(start, Settings{Fixed: &Fixed{Rate: 1, Burst: 100}}, false)
	for i := range 3 {
		l.Set(start, fmt.Sprint(i), Claim{Units: 2, Manifests: 2, Host: "hub", By: "Deployment/shop/web"})
	}
	l.Close(start.Add(time.Second), "0", Present)
	l.Set(start.Add(time.Second), "1", Claim{Units: 1, Manifests: 1, Host: "hub"})
	l.Close(start.Add(time.Second), "1", Pulled)
	want := map[string]core.Units{"Deployment/shop/web": 3} // 6 less 2 of what was there, less 1 of the cheaper
	if diff := cmp.Diff(want, spentBy(l.Use(start.Add(2*time.Second)))); diff != "" {
		t.Errorf("use (-want +got)\n%s", diff)
	}
}

// However many workloads pull, so many are kept apart, so many are told of, and the sum
// is whole; also after it was written down and read back, twice.
func TestUseIsBounded(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	settings := Settings{Fixed: &Fixed{Pulls: 100000, Window: time.Hour}}
	l := New(start, settings, false)
	for i := range 3 * maxUsers {
		l.spend(start, fmt.Sprint("Pod/ci/build-", i), 1)
	}
	l.spend(start, "Deployment/shop/web", 7) // too late for a name
	l.spend(start, "Pod/ci/build-0", 7)
	if len(l.use.by) > maxUsers+1 {
		t.Errorf("%d workloads are kept apart, want %d at most", len(l.use.by), maxUsers+1)
	}
	for range 3 {
		all, sum := l.Use(start), core.Units(0)
		for _, u := range all {
			sum += u.Units
		}
		if len(all) != mostUse+1 || sum != 3*maxUsers+14 || all[0].Workload != "Pod/ci/build-0" || all[0].Units != 8 || all[mostUse].Workload != "" {
			t.Fatalf("%d told of, %d units, the first %+v, the last %+v", len(all), sum, all[0], all[len(all)-1])
		}
		next := New(start, settings, false)
		next.Restore(start, l.Export(start))
		l = next
	}
}

// Two books of one account keep their own record.
func TestAForkCountsItsOwnUse(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := New(start, Settings{Fixed: &Fixed{Pulls: 100, Window: time.Hour}}, false)
	l.spend(start, "Deployment/shop/web", 1)
	f := l.Fork()
	f.spend(start, "Job/ci/build", 2)
	f.Follow(l, 0)
	if diff := cmp.Diff(map[string]core.Units{"Deployment/shop/web": 1}, spentBy(l.Use(start))); diff != "" {
		t.Errorf("the first (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]core.Units{"Job/ci/build": 2}, spentBy(f.Use(start))); diff != "" {
		t.Errorf("the fork (-want +got)\n%s", diff)
	}
}
