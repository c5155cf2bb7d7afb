//go:build linux

package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesOfAHistogram(t *testing.T) {
	t.Parallel()
	before := histogram{0.005: 10, 0.025: 10, 0.1: 10, math.Inf(1): 10}
	after := histogram{0.005: 60, 0.025: 108, 0.1: 109, math.Inf(1): 110}
	for q, want := range map[float64]float64{0.5: 0.005, 0.98: 0.025, 0.99: 0.1, 1: math.Inf(1)} {
		if got := after.quantile(before, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestNearestRank(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for percent, want := range map[int]time.Duration{50: 50, 99: 99, 100: 100} {
		if got := at(hundred, percent); got != want {
			t.Errorf("%d %% is %d, want %d", percent, got, want)
		}
	}
	if got := at([]time.Duration{7}, 99); got != 7 {
		t.Errorf("of one value %d", got)
	}
}
