package limiter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/kernel"
)

// reference answers from the list of all charges, counted anew for every
// question.
type reference struct {
	config  Config
	limit   int64
	charges []charge
	limits  []change // of a bucket's limit
}

type change struct {
	at    kernel.Time
	limit int64
}

func (r *reference) within(from, to kernel.Time) int64 { // [from, to]
	var n int64
	for _, c := range r.charges {
		if c.at >= from && c.at <= to {
			n += c.units
		}
	}
	return n
}

// begin is the start of the window that now is in, found by walking the edges.
func (r *reference) begin(now kernel.Time) kernel.Time {
	edge := kernel.Time(r.config.Phase)
	for edge > 0 {
		edge -= kernel.Time(r.config.Window)
	}
	for edge+kernel.Time(r.config.Window) <= now {
		edge += kernel.Time(r.config.Window)
	}
	return edge
}

func (r *reference) remaining(now kernel.Time) int64 {
	window := kernel.Time(r.config.Window)
	switch r.config.Type {
	case RollingLog:
		return r.limit - r.within(now-window+1, now)
	case FixedWindow:
		return r.limit - r.within(r.begin(now), now)
	case SlidingCounter:
		begin := r.begin(now)
		weight := r.within(begin-window, begin-1) * int64(begin+window-now)
		part := weight / int64(window)
		if weight%int64(window) > 0 {
			part++
		}
		return r.limit - r.within(begin, now) - part
	case Concurrency:
		return r.limit - r.within(0, now)
	}
	return r.bucket(now)
}

// bucket replays a bucket nanosecond by nanosecond. A unit has Every*burst parts,
// of which Refill*limit come each.
func (r *reference) bucket(now kernel.Time) int64 {
	burst := max(r.config.Limit, 1)
	unit := int64(r.config.Every) * burst
	limit := r.config.Limit
	level := limit * unit
	for t := kernel.Time(0); t <= now; t++ {
		if t > 0 {
			level = min(level+r.config.Refill*limit, limit*unit)
		}
		for _, c := range r.limits {
			if c.at == t {
				limit = c.limit
				level = min(level, limit*unit)
			}
		}
		for _, c := range r.charges {
			if c.at == t {
				level -= c.units * unit
			}
		}
	}
	whole := level / unit
	if level%unit < 0 {
		whole--
	}
	return whole
}

func drawConfig(t *rapid.T) Config {
	return Config{
		Type:         rapid.SampledFrom([]Type{RollingLog, FixedWindow, TokenBucket, SlidingCounter, Concurrency}).Draw(t, "type"),
		Limit:        rapid.Int64Range(0, 12).Draw(t, "limit"),
		Window:       time.Duration(rapid.Int64Range(1, 40).Draw(t, "window")),
		Phase:        time.Duration(rapid.Int64Range(0, 90).Draw(t, "phase")),
		Refill:       rapid.Int64Range(1, 9).Draw(t, "refill"),
		Every:        time.Duration(rapid.Int64Range(1, 30).Draw(t, "every")),
		CountsDenied: rapid.Bool().Draw(t, "counts denied"),
	}
}

// TestLimitersAgreeWithTheListOfAllCharges runs every type through random
// requests, at times a few nanoseconds apart, with limits that change.
func TestLimitersAgreeWithTheListOfAllCharges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		l, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		r := &reference{config: c, limit: c.Limit}
		now := kernel.Time(0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += kernel.Time(rapid.Int64Range(0, 15).Draw(t, "after"))
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				r.limit = rapid.Int64Range(0, 20).Draw(t, "new limit")
				now++ // a nanosecond apart from charges, whose order the list does not keep
				r.limits = append(r.limits, change{now, r.limit})
				l.SetLimit(now, r.limit)
				now++
			}
			units := rapid.Int64Range(1, 4).Draw(t, "units")
			want := r.remaining(now)
			if got := l.Remaining(now); got != want {
				t.Fatalf("%+v at %d: %d remain, want %d", c, now, got, want)
			}
			if got := l.Allows(now, units); got != (want >= units) {
				t.Fatalf("%+v at %d: %d of %d allowed: %v", c, now, units, want, got)
			}
			if next := l.Next(now, units); next != kernel.Never && next-now < 200 {
				checkNext(t, r, now, next, units)
			}
			if want >= units {
				l.Charge(now, units)
				r.charges = append(r.charges, charge{now, units})
			} else if l.Deny(now, units); c.CountsDenied && c.Type != Concurrency {
				r.charges = append(r.charges, charge{now, units})
			}
		}
	})
}

// checkNext asks the reference at every nanosecond until next.
func checkNext(t *rapid.T, r *reference, now, next kernel.Time, units int64) {
	t.Helper()
	for at := now; at <= next; at++ {
		if allowed := r.remaining(at) >= units; allowed != (at == next) {
			t.Fatalf("%+v with %v at %d: Next said %d, but at %d %d units are allowed: %v", r.config, r.charges, now, next, at, units, allowed)
		}
	}
}

// TestBucketAgreesWithPackageRate compares with golang.org/x/time/rate at times
// whole milliseconds apart and rates that divide a second, where its float64 are
// exact enough to have no opinion of their own.
func TestBucketAgreesWithPackageRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		burst := rapid.Int64Range(1, 50).Draw(t, "burst")
		perSecond := rapid.SampledFrom([]int64{1, 2, 4, 8, 125, 250}).Draw(t, "rate")
		l, err := New(Config{Type: TokenBucket, Limit: burst, Refill: perSecond, Every: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(1_700_000_000, 0)
		other := rate.NewLimiter(rate.Limit(perSecond), int(burst))
		other.AllowN(start, 0)
		var now time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now += time.Duration(rapid.Int64Range(0, 400).Draw(t, "after")) * 8 * time.Millisecond
			units := rapid.Int64Range(1, 5).Draw(t, "units")
			got := l.Allows(kernel.Time(now), units)
			if want := other.AllowN(start.Add(now), int(units)); got != want {
				t.Fatalf("at %v %d units of burst %d at %d/s are allowed: %v, rate says %v", now, units, burst, perSecond, got, want)
			}
			if got {
				l.Charge(kernel.Time(now), units)
			}
		}
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	hour := kernel.Time(time.Hour)
	tests := map[string]struct {
		config Config
		want   Header
		silent bool
	}{
		"a window says its limit and length": {
			config: Config{Type: RollingLog, Limit: 100, Window: 6 * time.Hour, Headers: true},
			want:   Header{100, 6 * time.Hour, 97},
		},
		"a bucket says its burst and how long that takes to refill": {
			config: Config{Type: TokenBucket, Limit: 50, Refill: 10, Every: time.Hour, Headers: true},
			want:   Header{50, 5 * time.Hour, 47},
		},
		"nobody says less than nothing": {
			config: Config{Type: FixedWindow, Limit: 2, Window: time.Hour, Headers: true},
			want:   Header{2, time.Hour, 0},
		},
		"headers off":            {config: Config{Type: RollingLog, Limit: 100, Window: time.Hour}, silent: true},
		"a limit of concurrency": {config: Config{Type: Concurrency, Limit: 9, Headers: true}, silent: true},
		"a bucket without limit": {config: Config{Type: TokenBucket, Limit: 9, Headers: true}, silent: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := New(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			l.Charge(hour, 3)
			got, said := l.Header(hour)
			if said == tc.silent {
				t.Errorf("said something: %v, want %v", said, !tc.silent)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// TestALimitThatChangesIsSaid cuts a limit and gives it back: the bucket then
// refills as fast as before, and its header never changes its window.
func TestALimitThatChangesIsSaid(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Type: TokenBucket, Limit: 10, Refill: 10, Every: time.Second, Headers: true})
	if err != nil {
		t.Fatal(err)
	}
	second := kernel.Time(time.Second)
	var got []Header
	see := func(now kernel.Time) {
		h, _ := l.Header(now)
		got = append(got, h)
	}
	see(0)
	l.SetLimit(0, 4)
	l.Charge(0, 4)
	see(0)
	see(second / 2) // 4 a second
	l.SetLimit(second, 10)
	see(second)
	see(second + second/2)
	want := []Header{{10, time.Second, 10}, {4, time.Second, 0}, {4, time.Second, 2}, {10, time.Second, 4}, {10, time.Second, 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestFreeRequestsAreRefusedOnlyWhereAskedFor(t *testing.T) {
	t.Parallel()
	for _, deny := range []bool{false, true} {
		l, err := New(Config{Type: RollingLog, Limit: 1, Window: time.Hour, DenyHeadWhenEmpty: deny})
		if err != nil {
			t.Fatal(err)
		}
		if !l.AllowsFree(0) {
			t.Errorf("deny %v: refused while a unit remains", deny)
		}
		l.Charge(0, 1)
		if l.AllowsFree(1) == deny {
			t.Errorf("deny %v: answered %v when empty", deny, !deny)
		}
	}
}

// TestAConcurrencyIsFreedByReleases takes both places and gives one back.
func TestAConcurrencyIsFreedByReleases(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Type: Concurrency, Limit: 2, CountsDenied: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Charge(0, 1)
	l.Charge(0, 1)
	l.Deny(5, 1) // what was refused holds no place
	if l.Allows(5, 1) {
		t.Error("a third is allowed")
	}
	l.Release(6, 1)
	if got := l.Remaining(6); got != 1 {
		t.Errorf("%d remain after a release, want 1", got)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	tests := map[string]Config{
		"no type":                {},
		"window of zero":         {Type: RollingLog, Limit: 1},
		"phase before the start": {Type: FixedWindow, Window: time.Hour, Phase: -1},
		"limit below zero":       {Type: SlidingCounter, Window: time.Hour, Limit: -1},
		"refill below zero":      {Type: TokenBucket, Limit: 1, Refill: -1, Every: time.Second},
		"refill in no time":      {Type: TokenBucket, Limit: 1, Refill: 1},
		"bucket too large":       {Type: TokenBucket, Limit: 1 << 40, Refill: 7, Every: 24 * time.Hour},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(c); err == nil {
				t.Errorf("%+v was accepted", c)
			}
		})
	}
}
