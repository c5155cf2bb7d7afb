//go:build linux

package measure

import (
	"math"
	"testing"
)

func TestQuantilesOfAHistogram(t *testing.T) {
	t.Parallel()
	before := Histogram{0.005: 10, 0.025: 10, 0.1: 10, math.Inf(1): 10}
	after := Histogram{0.005: 60, 0.025: 108, 0.1: 109, math.Inf(1): 110}
	for q, want := range map[float64]float64{0.5: 0.005, 0.98: 0.025, 0.99: 0.1, 1: math.Inf(1)} {
		if got := after.Quantile(before, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

// The estimates are those of histogram_quantile in Prometheus' documentation of it: linear
// within the bucket, the lower bound of the last one.
func TestEstimatesOfAHistogram(t *testing.T) {
	t.Parallel()
	before := Histogram{0.005: 10, 0.025: 10, 0.1: 10, math.Inf(1): 10}
	after := Histogram{0.005: 60, 0.025: 108, 0.1: 109, math.Inf(1): 110}
	for q, want := range map[float64]float64{0.25: 0.0025, 0.5: 0.005, 0.74: 0.005 + 0.02*24/48, 0.99: 0.1, 1: 0.1} {
		if got := after.Estimate(before, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v is estimated %v, want %v", q, got, want)
		}
	}
	if got := after.Estimate(after, 0.99); !math.IsNaN(got) {
		t.Errorf("quantile of nothing is estimated %v", got)
	}
}
