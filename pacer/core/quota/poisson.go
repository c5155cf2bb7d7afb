package quota

import (
	"math"

	"github.com/pullpace/pace/pacer/core"
)

func poissonQuantile(mean, tail float64) core.Units {
	if !(mean > 0) || math.IsInf(mean, 0) {
		return 0
	}
	if mean > 500 {
		return core.Units(mean + 4*math.Sqrt(mean) + 2)
	}
	p := math.Exp(-mean)
	sum, k := p, 0
	for 1-sum > tail {
		k++
		p *= mean / float64(k)
		sum += p
	}
	return core.Units(k)
}
