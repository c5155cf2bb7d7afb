package quota

import (
	"math"

	"github.com/pullpace/pace/pacer/core"
)

// exactMean is the largest mean whose probabilities are summed one by one; e^-m
// is far from underflow there, and a sum has a few hundred terms.
const exactMean = 500

// leastTail keeps a tail within what sums of float64 can tell from zero.
const leastTail = 1e-12

// poissonQuantile is the smallest k with P(X > k) <= tail for X of a Poisson
// distribution: how many arrivals are exceeded no more often than tail. Exact up
// to a mean of 500; above, an upper bound that is at most two too large. A mean
// that is no positive number gives 0, as does a tail of 1 or more.
func poissonQuantile(mean, tail float64) core.Units {
	if !(mean > 0) || math.IsInf(mean, 0) || !(tail < 1) {
		return 0
	}
	tail = max(tail, leastTail)
	if mean > exactMean {
		return poissonBound(mean, tail)
	}
	p := math.Exp(-mean)
	k, sum := 0, p
	for 1-sum > tail {
		k++
		p *= mean / float64(k)
		sum += p
	}
	return core.Units(k)
}

// poissonBound is the normal quantile with the correction for skewness (Cornish
// and Fisher's first term); the terms left out are below 0.1 at these means, and
// one is added for them.
func poissonBound(mean, tail float64) core.Units {
	z := math.Sqrt2 * math.Erfcinv(2*tail)
	k := math.Ceil(mean+z*math.Sqrt(mean)+(z*z-1)/6) + 1
	return core.Units(min(max(k, 0), maxUnits))
}
