//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// fault is one thing that can go wrong, or that a person may do.
type fault struct {
	kind, name string
	// weight is how often it is picked, in relation to the others.
	weight int
	// do does it, undoes it if it lasts, and says what it picked.
	do func(ctx context.Context, r *round, dice *rand.Rand) (string, error)
	// lane lets only one of its faults run at a time; "" has no bound.
	lane string
}

// catalogue are all faults.
func catalogue() []fault {
	var all []fault
	for _, list := range [][]fault{kills(), restarts(), apiServer(), clocks(), registryFaults(), users()} {
		all = append(all, list...)
	}
	return all
}

// pick picks by weight.
func pick(all []fault, dice *rand.Rand) fault {
	total := 0
	for _, f := range all {
		total += f.weight
	}
	n := dice.IntN(total)
	for _, f := range all {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	panic("weights do not add up")
}

// between is a duration from least to most.
func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)))
}

// wait waits, unless ctx ends first.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// one picks an element.
func one[T any](dice *rand.Rand, list []T) T { return list[dice.IntN(len(list))] }
