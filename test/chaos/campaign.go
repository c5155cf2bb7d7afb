//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pullpace/pace/test/e2e/stage"
)

// campaign is all rounds on one cluster.
type campaign struct {
	settings
	lab   *stage.Lab
	clock *registryClock
	began time.Time

	mu         sync.Mutex
	injected   map[string]int // by kind and name
	failed     map[string]int // what could not be done, the same
	violations []string
	rounds     int
}

func (c *campaign) run(ctx context.Context) error {
	c.injected, c.failed = map[string]int{}, map[string]int{}
	for i := range c.settings.rounds {
		if err := c.round(ctx, i+1); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		c.mu.Lock()
		c.rounds++
		c.mu.Unlock()
	}
	return nil
}

// say prints a line with the time since the start.
func (c *campaign) say(format string, args ...any) {
	fmt.Printf("%6.1f  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// violate notes that an invariant did not hold.
func (c *campaign) violate(round int, format string, args ...any) {
	text := fmt.Sprintf("round %d: ", round) + fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.violations = append(c.violations, text)
	c.mu.Unlock()
	c.say("VIOLATION  %s", text)
}

// count notes how a fault went.
func (c *campaign) count(f fault, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := c.injected
	if err != nil {
		to = c.failed
	}
	to[f.kind+" "+f.name]++
}

// report sums the campaign up; the last line is for programs.
func (c *campaign) report(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(w, "\n%-32s %8s %12s\n", "FAULT", "INJECTED", "COULD NOT BE")
	total := 0
	names := slices.Collect(maps.Keys(c.injected))
	for name := range c.failed {
		if c.injected[name] == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		total += c.injected[name]
		fmt.Fprintf(w, "%-32s %8d %12d\n", name, c.injected[name], c.failed[name])
	}
	for _, v := range c.violations {
		fmt.Fprintln(w, "VIOLATION", v)
	}
	fmt.Fprintf(w, "chaos seed=%d rounds=%d faults=%d violations=%d seconds=%.0f\n",
		c.seed, c.rounds, total, len(c.violations), time.Since(c.began).Seconds())
}

// dice are the choices of one thing in a round; nobody else's choices change them.
func (c *campaign) dice(round, thing int) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, uint64(round)<<32|uint64(thing)))
}
