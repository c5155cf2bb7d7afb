package quota

import (
	"math"
	"math/big"
	"testing"

	"github.com/pullpace/pace/pacer/core"
)

// TestPoissonQuantile compares with values summed with 60 decimal digits.
func TestPoissonQuantile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mean, tail float64
		want       core.Units
	}{
		"next to nothing":          {0.0001, 1e-4, 0},
		"just more than the tail":  {0.00011, 1e-4, 1},
		"1 %":                      {0.01, 1e-4, 1},
		"10 %":                     {0.1, 1e-4, 3},
		"half":                     {0.5, 1e-4, 5},
		"one":                      {1, 1e-4, 6},
		"one, a tail of 1 %":       {1, 1e-2, 4},
		"one, the median":          {1, 0.5, 1},
		"two":                      {2, 1e-4, 9},
		"five":                     {5, 1e-4, 15},
		"ten":                      {10, 1e-4, 24},
		"ten, a tail of 1 %":       {10, 1e-2, 18},
		"fifty":                    {50, 1e-4, 78},
		"a hundred":                {100, 1e-4, 139},
		"five hundred":             {500, 1e-4, 585},
		"five hundred, the median": {500, 0.5, 500},
		"zero":                     {0, 1e-4, 0},
		"below zero":               {-1, 1e-4, 0},
		"not a number":             {math.NaN(), 1e-4, 0},
		"infinite":                 {math.Inf(1), 1e-4, 0},
		"tail of everything":       {10, 1, 0},
		"tail not a number":        {10, math.NaN(), 0},
		"bounded":                  {1e300, 1e-4, maxUnits},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := poissonQuantile(tc.mean, tc.tail); got != tc.want {
				t.Errorf("poissonQuantile(%v, %v) = %d, want %d", tc.mean, tc.tail, got, tc.want)
			}
		})
	}
}

// TestPoissonQuantileOfLargeMeansBoundsTheExactOne sums with 200 bits.
func TestPoissonQuantileOfLargeMeansBoundsTheExactOne(t *testing.T) {
	t.Parallel()
	for _, mean := range []float64{500.5, 501, 600, 1000, 2000, 4321.5} {
		for _, tail := range []float64{1e-2, 1e-4, 1e-6} {
			exact, got := exactQuantile(mean, tail), poissonQuantile(mean, tail)
			if got < exact || got > exact+2 {
				t.Errorf("poissonQuantile(%v, %v) = %d, the exact one is %d", mean, tail, got, exact)
			}
		}
	}
}

// exactQuantile starts from P(X = 0) as 1 and compares with tail times the sum of
// everything, so that no power of e is needed.
func exactQuantile(mean, tail float64) core.Units {
	number := func(f float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(f) }
	terms, total := []*big.Float{number(1)}, number(1)
	for k := 1; float64(k) < 3*mean; k++ {
		next := number(mean)
		next.Mul(next, terms[k-1]).Quo(next, number(float64(k)))
		terms = append(terms, next)
		total.Add(total, next)
	}
	allowed, above := number(tail), number(0)
	allowed.Mul(allowed, total)
	for k := len(terms) - 1; k >= 0; k-- {
		if above.Add(above, terms[k]); above.Cmp(allowed) > 0 {
			return core.Units(k) // P(X > k-1) is too much, P(X > k) is not
		}
	}
	return 0
}

func TestPoissonQuantileEndsForEveryTail(t *testing.T) {
	t.Parallel()
	for _, tail := range []float64{0, -1, 1e-300, 1e-17, math.Inf(-1)} {
		if got, least := poissonQuantile(400, tail), poissonQuantile(400, 1e-4); got < least {
			t.Errorf("poissonQuantile(400, %v) = %d, less than %d for a larger tail", tail, got, least)
		}
	}
}
