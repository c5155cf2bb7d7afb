package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStreamsAreWhatTheyWere pins the first numbers of streams: a change of them
// changes every simulation that was ever recorded.
func TestStreamsAreWhatTheyWere(t *testing.T) {
	t.Parallel()
	streams := Streams{Seed: 42, Replication: 1}
	got := map[string]string{}
	for name, d := range map[string]Delay{
		"uniform":     Uniform(time.Second, 2*time.Second),
		"exponential": Exponential(time.Second),
		"lognormal":   LogNormal(120*time.Millisecond, 600*time.Millisecond),
	} {
		s := streams.Stream(7, "rtt")
		got[name] = fmt.Sprint(d.Draw(&s), d.Draw(&s), d.Draw(&s))
	}
	want := map[string]string{
		"uniform":     "1.21613056s 1.312059641s 1.364022833s",
		"exponential": "1.531872611s 1.164560951s 1.010538686s",
		"lognormal":   "69.698434ms 85.496942ms 94.341774ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first draws (-want +got):\n%s", diff)
	}
}

func TestStreamsDifferInEveryPartOfTheirName(t *testing.T) {
	t.Parallel()
	first := map[uint64]string{}
	for seed := range uint64(5) {
		for replication := range 5 {
			for entity := range uint64(40) {
				for _, purpose := range []string{"", "rtt", "boot", "ttr"} {
					s := Streams{seed, replication}.Stream(entity, purpose)
					name := fmt.Sprintf("%d/%d/%d/%s", seed, replication, entity, purpose)
					draw := s.Uint64()
					if other := first[draw]; other != "" {
						t.Fatalf("streams %s and %s begin alike", name, other)
					}
					first[draw] = name
				}
			}
		}
	}
}

// TestDelaysHaveTheirMoments draws 200,000 of each: the mean of n draws is within
// 4.5 deviations of the mean of it in all but 7 of a million seeds, and this one
// is fixed; likewise the shares below the quantiles.
func TestDelaysHaveTheirMoments(t *testing.T) {
	t.Parallel()
	const n, second = 200_000, float64(time.Second)
	sigma := math.Log(5) / normal99
	tests := map[string]struct {
		delay     Delay
		deviation float64 // of one draw, in seconds
		below     map[time.Duration]float64
	}{
		"constant":    {Constant(3 * time.Second), 0, nil},
		"uniform":     {Uniform(time.Second, 3*time.Second), 2 / math.Sqrt(12), map[time.Duration]float64{1500 * time.Millisecond: .25}},
		"exponential": {Exponential(2 * time.Second), 2, map[time.Duration]float64{2 * time.Second: 1 - 1/math.E}},
		"lognormal": {LogNormal(120*time.Millisecond, 600*time.Millisecond),
			.12 * math.Exp(sigma*sigma/2) * math.Sqrt(math.Expm1(sigma*sigma)),
			map[time.Duration]float64{120 * time.Millisecond: .5, 600 * time.Millisecond: .99}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Streams{Seed: 1}.Stream(0, name)
			draws := make([]time.Duration, n)
			var sum float64
			for i := range draws {
				draws[i] = tc.delay.Draw(&s)
				sum += float64(draws[i]) / second
			}
			want := tc.delay.Mean().Seconds()
			if got, slack := sum/n, 4.5*tc.deviation/math.Sqrt(n)+1e-9; math.Abs(got-want) > slack {
				t.Errorf("mean %v s, want %v +- %v", got, want, slack)
			}
			slices.Sort(draws)
			for q, share := range tc.below {
				i, _ := slices.BinarySearch(draws, q)
				if got, slack := float64(i)/n, 4.5*math.Sqrt(share*(1-share)/n); math.Abs(got-share) > slack {
					t.Errorf("%v of draws are below %v, want %v +- %v", got, q, share, slack)
				}
			}
		})
	}
}

func TestDelaysAtTheEdges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		delay Delay
		want  time.Duration
	}{
		"zero value":               {Delay{}, 0},
		"negative":                 {Constant(-time.Second), 0},
		"no spread":                {LogNormal(time.Second, time.Second), time.Second},
		"p99 below the median":     {LogNormal(time.Second, time.Millisecond), time.Second},
		"uniform of one":           {Uniform(time.Second, time.Second), time.Second},
		"exponential of mean zero": {Exponential(0), 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Streams{}.Stream(0, "")
			if got := tc.delay.Draw(&s); got != tc.want {
				t.Errorf("drew %v, want %v", got, tc.want)
			}
		})
	}
}

func TestIntN(t *testing.T) {
	t.Parallel()
	s := Streams{Seed: 3}.Stream(0, "choice")
	const n, draws = 7, 70_000
	var seen [n]int
	for range draws {
		seen[s.IntN(n)]++
	}
	for i, got := range seen { // 10,000 each, deviation 93
		if got < 9_580 || got > 10_420 {
			t.Errorf("%d came %d times of %d, want 10,000 +- 420", i, got, draws)
		}
	}
}

// TestFunctionsAgreeWithPackageMath bounds the error against math, whose own is
// below a unit of the last place (log, exp), or 1e-13 and 1e-12 (the others).
func TestFunctionsAgreeWithPackageMath(t *testing.T) {
	t.Parallel()
	s := Streams{Seed: 9}.Stream(0, "points")
	const ulp = 1. / (1 << 52)
	for range 100_000 {
		u := s.openFloat()
		wide := math.Exp2(120*u - 60)
		check(t, "log", wide, log(wide), math.Log(wide), 2*ulp)
		check(t, "exp", 80*u-40, exp(80*u-40), math.Exp(80*u-40), 2*ulp)
		check(t, "normal", u, normal(u), math.Sqrt2*math.Erfinv(2*u-1), 1e-13)
		tail := math.Exp(-30 * u)
		check(t, "the tail at normal", tail, math.Erfc(-normal(tail)/math.Sqrt2)/2/tail, 1, 1e-12)
	}
	if got := []float64{exp(1000), exp(-1000), exp(0), log(1)}; !slices.Equal(got, []float64{math.Inf(1), 0, 1, 0}) {
		t.Errorf("exp(1000), exp(-1000), exp(0), log(1) are %v, want +Inf, 0, 1, 0", got)
	}
}

func check(t *testing.T, name string, x, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*max(math.Abs(want), 1e-3) {
		t.Fatalf("%s(%v) = %v, want %v", name, x, got, want)
	}
}

func BenchmarkDelay(b *testing.B) {
	for name, d := range map[string]Delay{
		"exponential": Exponential(time.Second),
		"lognormal":   LogNormal(time.Second, 5*time.Second),
		"uniform":     Uniform(0, time.Second),
	} {
		b.Run(name, func(b *testing.B) {
			s := Streams{}.Stream(0, "")
			for b.Loop() {
				d.Draw(&s)
			}
		})
	}
}
