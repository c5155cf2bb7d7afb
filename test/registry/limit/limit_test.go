package limit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/test/registry/limit"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func mustNew(t *testing.T, s limit.Spec) *limit.Limiter {
	t.Helper()
	l, err := limit.New(s, start)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// step charges n units at a time and says how many were admitted one by one and what is left then.
type step struct {
	at            time.Duration
	n             int
	wantAdmitted  int
	wantRemaining int64
	wantNextFree  time.Duration // -1: never or unknown
	wantReset     time.Duration
}

func run(t *testing.T, l *limit.Limiter, steps []step, chargeDenied bool) {
	t.Helper()
	for i, s := range steps {
		now, admitted := at(s.at), 0
		for range s.n {
			ok := l.Allow(now, 1)
			if ok {
				admitted++
			}
			if ok || chargeDenied {
				l.Charge(now, 1)
			}
		}
		got := step{s.at, s.n, admitted, l.Remaining(now), -1, l.Reset(now).Sub(start)}
		if next, ok := l.NextFree(now); ok {
			got.wantNextFree = next.Sub(start)
		}
		if diff := cmp.Diff(s, got, cmp.AllowUnexported(step{})); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestLimiterSteps(t *testing.T) {
	t.Parallel()
	const s, ns = time.Second, time.Nanosecond
	tests := map[string]struct {
		spec         limit.Spec
		chargeDenied bool
		steps        []step
	}{
		"rolling log frees each unit one window after it was charged": {
			spec: limit.Spec{Kind: limit.RollingLog, Limit: 3, Window: 10 * s},
			steps: []step{
				{0, 2, 2, 1, 0, 10 * s},
				{4 * s, 2, 1, 0, 10 * s, 10 * s},     // 3 in use; the fourth is refused; first expiry at 0+10
				{10*s - ns, 1, 0, 0, 10 * s, 10 * s}, // (-1ns, 10s-1ns] still holds all 3
				{10 * s, 3, 2, 0, 14 * s, 14 * s},    // (0, 10] lost the 2 of t=0; next expiry is 4+10
				{14 * s, 0, 0, 1, 14 * s, 20 * s},    // those of t=10 leave at 20
				{20 * s, 0, 0, 3, 20 * s, 20 * s},
			},
		},
		"rolling log that counts refused requests is kept shut by them": {
			spec:         limit.Spec{Kind: limit.RollingLog, Limit: 2, Window: 10 * s},
			chargeDenied: true,
			steps: []step{
				{0, 3, 2, -1, 10 * s, 10 * s},     // 3 units in use: free when 2 of them left, all at 10
				{9 * s, 2, 0, -3, 19 * s, 10 * s}, // at 10 the two of t=9 still fill it: free at 19
				{10 * s, 1, 0, -1, 19 * s, 19 * s},
			},
		},
		"rolling log of limit 0 allows none": {
			spec:  limit.Spec{Kind: limit.RollingLog, Limit: 0, Window: 10 * s},
			steps: []step{{0, 1, 0, 0, -1, 0}},
		},
		"fixed window with its first edge at the phase": {
			spec: limit.Spec{Kind: limit.FixedWindow, Limit: 2, Window: 10 * s, Phase: 4 * s},
			steps: []step{
				{0, 3, 2, 0, 4 * s, 4 * s},
				{4*s - ns, 1, 0, 0, 4 * s, 4 * s},
				{4 * s, 2, 2, 0, 14 * s, 14 * s}, // 4 units within 4 s: a fixed window allows twice its limit across an edge
				{13 * s, 1, 0, 0, 14 * s, 14 * s},
				{35 * s, 1, 1, 1, 35 * s, 44 * s}, // edges at 4, 14, 24, 34, 44
			},
		},
		"fixed window of phase 0 has edges at 0, W, 2W": {
			spec:  limit.Spec{Kind: limit.FixedWindow, Limit: 1, Window: 10 * s},
			steps: []step{{0, 2, 1, 0, 10 * s, 10 * s}, {10 * s, 1, 1, 0, 20 * s, 20 * s}},
		},
		"token bucket refills to the nanosecond": {
			// 3 per 10 s: a token every 3.333333333... s, so the first is whole at 3333333334 ns.
			spec: limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 3, Per: 10 * s}, Burst: 2},
			steps: []step{
				{0, 3, 2, 0, 3333333334, 6666666667},
				{3333333333, 1, 0, 0, 3333333334, 6666666667},
				{3333333334, 1, 1, 0, 6666666667, 10 * s}, // third token since 0 is whole at exactly 10 s
				{10 * s, 3, 2, 0, 13333333334, 16666666667},
				{1000 * s, 3, 2, 0, 1003333333334, 1006666666667}, // never more than the burst
			},
		},
		"token bucket that counts refused requests loses its part of a token": {
			spec:         limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 1, Per: s}, Burst: 1},
			chargeDenied: true,
			steps: []step{
				{0, 1, 1, 0, 1 * s, 1 * s},
				{900 * time.Millisecond, 1, 0, 0, 1900 * time.Millisecond, 1900 * time.Millisecond},
				{1900 * time.Millisecond, 1, 1, 0, 2900 * time.Millisecond, 2900 * time.Millisecond},
			},
		},
		"token bucket without burst allows none": {
			spec:  limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 1, Per: s}},
			steps: []step{{5 * s, 1, 0, 0, -1, 5 * s}},
		},
		"sliding counter weighs the window before": {
			spec: limit.Spec{Kind: limit.SlidingCounter, Limit: 4, Window: 8 * s},
			steps: []step{
				{0, 5, 4, 0, 10 * s, 8 * s},                  // at 8+x*8 the 4 weigh 4(1-x): 4(1-x)+1 <= 4 from x = 1/4, t = 10
				{10*s - ns, 1, 0, 0, 10 * s, 16 * s},         // edges at 8, 16
				{10 * s, 2, 1, 0, 12 * s, 16 * s},            // next: 4(1-x)+2 <= 4 from x = 1/2
				{14 * s, 9, 2, 0, 16 * s, 16 * s},            // x = 3/4: weight 1, 3 in all; 4(1-x)+4 <= 4 at x = 1, t = 16
				{16 * s, 2, 1, 0, 16*s + 2666666667, 24 * s}, // previous 3, current 1: 3(1-x)+2 <= 4 from x = 1/3
				{40 * s, 0, 0, 4, 40 * s, 48 * s},            // two edges without use: nothing weighs
			},
		},
		"concurrency holds until released": {
			spec:  limit.Spec{Kind: limit.Concurrency, Limit: 2},
			steps: []step{{0, 3, 2, 0, -1, 0}},
		},
		"rate 0 is unlimited": {
			spec:  limit.Spec{Kind: limit.TokenBucket},
			steps: []step{{0, 1000, 1000, 1<<63 - 1, 0, 0}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, mustNew(t, tc.spec), tc.steps, tc.chargeDenied)
		})
	}
}

// TestGreedyMakespan takes 250 units as early as each limiter allows. B = 100, W = 6 h = 21600 s.
func TestGreedyMakespan(t *testing.T) {
	t.Parallel()
	const w = 6 * time.Hour
	tests := map[string]struct {
		spec limit.Spec
		want time.Duration
	}{
		// ceil(250/100)-1 = 2 windows.
		"rolling log": {limit.Spec{Kind: limit.RollingLog, Limit: 100, Window: w}, 43200 * time.Second},
		// 100 at once, 100 at the edge of 14400 s, 50 one window later.
		"fixed window, edge after 4 h": {limit.Spec{Kind: limit.FixedWindow, Limit: 100, Window: w, Phase: 4 * time.Hour}, 36000 * time.Second},
		// 150 tokens after the burst at 216 s each.
		"token bucket": {limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 100, Per: w}, Burst: 100}, 32400 * time.Second},
		// 100 at once; in the window from 21600 unit k comes at x = k/100, the hundredth at x = 1, which is the first of the
		// window from 43200 (99 weigh before it); its unit 51, the 250th in all, needs 99(1-x)+51 <= 100: x = 50/99.
		"sliding counter, edge at the start": {limit.Spec{Kind: limit.SlidingCounter, Limit: 100, Window: w}, 43200*time.Second + w*50/99 + 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, now := mustNew(t, tc.spec), start
			for range 250 {
				next, ok := l.NextFree(now)
				if !ok {
					t.Fatal("never free")
				}
				if next.After(now) && l.Allow(next.Add(-1), 1) {
					t.Fatalf("allowed before NextFree %v", next.Sub(start))
				}
				now = next
				if !l.Allow(now, 1) {
					t.Fatalf("refused at its own NextFree %v", now.Sub(start))
				}
				l.Charge(now, 1)
			}
			if got := now.Sub(start); got != tc.want {
				t.Errorf("last unit at %v, want %v", got, tc.want)
			}
		})
	}
}

func TestSetLimitKeepsWhatWasCharged(t *testing.T) {
	t.Parallel()
	for _, kind := range []limit.Kind{limit.RollingLog, limit.FixedWindow, limit.SlidingCounter} {
		l := mustNew(t, limit.Spec{Kind: kind, Limit: 100, Window: time.Hour})
		l.Charge(start, 60)
		l.SetLimit(start, 40)
		if got := l.Remaining(start); got != -20 {
			t.Errorf("%s: remaining %d after the limit fell to 40, want -20", kind, got)
		}
		l.SetLimit(start, 200)
		if got := l.Remaining(start); got != 140 {
			t.Errorf("%s: remaining %d after the limit rose to 200, want 140", kind, got)
		}
	}
	b := mustNew(t, limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 1, Per: time.Second}, Burst: 10})
	b.SetLimit(start, 4)
	b.SetLimit(start, 8) // the tokens cut off do not come back at once
	if got := b.Remaining(start); got != 4 {
		t.Errorf("TokenBucket: remaining %d, want 4", got)
	}
}

func TestReleaseAndQuota(t *testing.T) {
	t.Parallel()
	c := mustNew(t, limit.Spec{Kind: limit.Concurrency, Limit: 1})
	c.Charge(start, 1)
	if c.Allow(start, 1) {
		t.Error("a second unit was allowed while one is held")
	}
	c.Release(1)
	if !c.Allow(start, 1) {
		t.Error("no unit was allowed after the release")
	}
	b := mustNew(t, limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 10, Per: time.Second}, Burst: 40})
	if n, w := b.Quota(); n != 40 || w != 4*time.Second {
		t.Errorf("quota of a bucket is %d in %v, want burst 40 in burst/rate 4s", n, w)
	}
}

func TestClockThatStepsBack(t *testing.T) {
	t.Parallel()
	l := mustNew(t, limit.Spec{Kind: limit.FixedWindow, Limit: 1, Window: time.Second})
	l.Charge(at(1500*time.Millisecond), 1)
	if l.Allow(at(500*time.Millisecond), 1) {
		t.Error("a step back opened a window that was already over")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]limit.Spec{
		"unknown kind":     {Kind: "Leaky"},
		"no window":        {Kind: limit.RollingLog, Limit: 1},
		"negative limit":   {Kind: limit.FixedWindow, Limit: -1, Window: time.Second},
		"rate per nothing": {Kind: limit.TokenBucket, Rate: limit.Rate{Units: 1}, Burst: 1},
		"burst too large":  {Kind: limit.TokenBucket, Rate: limit.Rate{Units: 1, Per: time.Hour}, Burst: 1 << 60},
	}
	for name, spec := range tests {
		if _, err := limit.New(spec, start); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
