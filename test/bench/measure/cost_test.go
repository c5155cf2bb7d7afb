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
