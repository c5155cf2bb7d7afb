package limiter

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/kernel"
)

const sixHours = 6 * time.Hour

// TestBounds holds what can be worked out by hand: 250 pulls at 100 in six hours
// are 100, 100 and 50, and so on.
func TestBounds(t *testing.T) {
	t.Parallel()
	window := func(kind Type) Config { return Config{Type: kind, Limit: 100, Window: sixHours} }
	fixed4h := window(FixedWindow)
	fixed4h.Phase = 4 * time.Hour
	bucket := Config{Type: TokenBucket, Limit: 100, Refill: 100, Every: sixHours}
	seconds := Config{Type: TokenBucket, Limit: 10, Refill: 10, Every: time.Second}
	tests := map[string]struct {
		config Config
		n      int64
		drain  Drain
		left   int64
		want   float64 // seconds
	}{
		"rolling log: 100, 100, 50":                 {window(RollingLog), 250, Drain{}, 0, 43_200},
		"rolling log: all at once":                  {window(RollingLog), 100, Drain{}, 0, 0},
		"rolling log: one too many":                 {window(RollingLog), 101, Drain{}, 0, 21_600},
		"rolling log: a reserve that costs nothing": {window(RollingLog), 250, Drain{}, 16, 43_200},
		"rolling log: a reserve that costs":         {window(RollingLog), 250, Drain{}, 17, 64_800},
		"rolling log: others take 20":               {window(RollingLog), 240, Drain{20, sixHours}, 0, 43_200},
		"rolling log: others take half a second's":  {window(RollingLog), 240, Drain{10, sixHours / 2}, 0, 43_200},
		"fixed window, edge in four hours":          {fixed4h, 250, Drain{}, 0, 36_000},
		"fixed window, edge now":                    {window(FixedWindow), 250, Drain{}, 0, 43_200},
		"fixed window, with a reserve":              {fixed4h, 250, Drain{}, 20, 57_600},
		"bucket: 150 after the first 100":           {bucket, 250, Drain{}, 0, 32_400},
		"bucket: others take a fifth":               {bucket, 250, Drain{20, sixHours}, 0, 40_500},
		"bucket: a reserve is wanted once":          {bucket, 250, Drain{}, 5, 33_480},
		"bucket of seconds":                         {seconds, 1000, Drain{}, 0, 99},
		"bucket without limit":                      {Config{Type: TokenBucket, Limit: 1}, 1000, Drain{}, 0, 0},
		"sliding counter":                           {window(SlidingCounter), 250, Drain{}, 0, 54_000},
		"sliding counter: all at once":              {window(SlidingCounter), 100, Drain{}, 0, 0},
		"concurrency":                               {Config{Type: Concurrency, Limit: 1}, 1000, Drain{}, 0, 0},
		"nothing to pull":                           {window(RollingLog), 0, Drain{}, 100, 0},
		"nothing allowed":                           {Config{Type: RollingLog, Window: sixHours}, 1, Drain{}, 0, math.Inf(1)},
		"others take all":                           {bucket, 250, Drain{100, sixHours}, 0, math.Inf(1)},
		"all is left":                               {window(FixedWindow), 250, Drain{}, 100, math.Inf(1)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tc.config.Bound(tc.n, tc.drain, tc.left)
			want := kernel.Never
			if !math.IsInf(tc.want, 0) {
				want = kernel.Time(tc.want * 1e9)
			}
			if got != want {
				t.Errorf("bound is %v, want %v", got, want)
			}
		})
	}
}

// greedy takes every unit as soon as the limiter has it, which no order beats:
// all four types are such that a unit taken now costs no more than one later.
func greedy(t interface{ Fatal(...any) }, c Config, n int64) kernel.Time {
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	now := kernel.Time(0)
	for range n {
		now = l.Next(now, 1)
		l.Charge(now, 1)
	}
	return now
}

// TestGreedyAttainsTheBound: to the nanosecond, for any numbers, but for the
// sliding counter. Its windows are half open: the last unit of a full window
// comes at its very end, which is in the next, so from the second edge on each
// window has one less to forget, and greedy is later than the bound by less than
// a window divided by the limit for each window that passed.
func TestGreedyAttainsTheBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		c.Limit = rapid.Int64Range(2, 50).Draw(t, "at least two")
		c.Window *= 1_000_003
		c.Phase = min(c.Phase*1_000_003, c.Window)
		c.Every *= 1_000_003
		if c.Type == Concurrency {
			c.Type = RollingLog
		}
		n := rapid.Int64Range(1, 300).Draw(t, "n")
		bound, got := c.Bound(n, Drain{}, 0), greedy(t, c, n)
		slack := kernel.Time(1) // the bound is rounded to a nanosecond
		if c.Type == SlidingCounter {
			windows := int64(bound)/int64(c.Window) + 1
			slack = kernel.Time(windows * windows * int64(c.Window) / c.Limit)
		}
		if got < bound-1 || got > bound+slack {
			t.Fatalf("%+v: greedy starts the last of %d at %d, the bound is %d", c, n, got, bound)
		}
	})
}

// TestGreedyOnASlidingCounter: 100 at once, 99 in the second window, then the
// 51st of the third when 50 of those 99 are forgotten, at 2 50/99 windows.
func TestGreedyOnASlidingCounter(t *testing.T) {
	t.Parallel()
	got := greedy(t, Config{Type: SlidingCounter, Limit: 100, Window: sixHours}, 250).Seconds()
	if want := 21_600 * (2 + 50./99); math.Abs(got-want) > 1e-6 {
		t.Errorf("the last of 250 starts at %v s, want %v", got, want)
	}
}

func BenchmarkLimiter(b *testing.B) {
	for _, c := range []Config{
		{Type: RollingLog, Limit: 1000, Window: time.Second},
		{Type: FixedWindow, Limit: 1000, Window: time.Second},
		{Type: TokenBucket, Limit: 1000, Refill: 1000, Every: time.Second},
		{Type: SlidingCounter, Limit: 1000, Window: time.Second},
	} {
		b.Run(string(c.Type), func(b *testing.B) {
			l, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			now := kernel.Time(0)
			b.ReportAllocs()
			for b.Loop() {
				now += 700_000
				if l.Allows(now, 1) {
					l.Charge(now, 1)
				}
			}
		})
	}
}
