//go:build linux

package main

import (
	"testing"
	"time"
)

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
