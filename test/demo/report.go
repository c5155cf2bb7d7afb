//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/pullpace/pace/test/registry"
)

// outcome is one run as the registry saw it.
type outcome struct {
	requests, throttled int
	units               int64
	// spread is from the first charged request to the last.
	spread time.Duration
	// took is from the first change until all pods were Ready.
	took time.Duration
}

func (d *demo) measure(account string, took time.Duration) outcome {
	log, mine := d.ground.Registry.Log(), registry.Filter{Host: hub, Account: account}
	o := outcome{
		requests: log.Count(mine), throttled: log.Throttled(mine), units: log.Charged(mine), took: took,
	}
	from, ok := log.FirstCharged(mine)
	if to, also := log.LastCharged(mine); ok && also {
		o.spread = to.Time.Sub(from.Time)
	}
	return o
}

// bound is the least time between the first and the last of so many units on a
// rolling log that starts empty: (ceil(units/limit)-1) windows.
func bound(units, limit int64, window time.Duration) time.Duration {
	return time.Duration((units+limit-1)/limit-1) * window
}

// ratio compares the paced run with the bound.
func (o outcome) ratio(s settings) float64 {
	b := bound(o.units, s.limit, s.window)
	if b <= 0 {
		return 0
	}
	return o.spread.Seconds() / b.Seconds()
}

// report writes a table for people and a line for programs.
func report(w io.Writer, s settings, alone, paced outcome) {
	fmt.Fprintf(w, "\n%d nodes, %d pods, %d units, %d in any %s\n\n",
		s.nodes, s.nodes*len(workloads), paced.units, s.limit, s.window)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "\tANSWERS OF 429\tALL READY\tFIRST TO LAST PULL\tBOUND")
	for _, row := range []struct {
		name string
		outcome
	}{{"left alone", alone}, {"paced", paced}} {
		fmt.Fprintf(t, "%s\t%d\t%.0fs\t%.0fs\t%.0fs\n", row.name, row.throttled, row.took.Seconds(),
			row.spread.Seconds(), bound(row.units, s.limit, s.window).Seconds())
	}
	t.Flush()
	fmt.Fprintf(w, "\ndemo nodes=%d pods=%d pulls=%d limit=%d window_s=%.0f unpaced_429=%d unpaced_s=%.0f paced_429=%d paced_s=%.0f bound_s=%.0f ratio=%.3f\n",
		s.nodes, s.nodes*len(workloads), s.nodes*len(workloads), s.limit, s.window.Seconds(),
		alone.throttled, alone.took.Seconds(), paced.throttled, paced.took.Seconds(),
		bound(paced.units, s.limit, s.window).Seconds(), paced.ratio(s))
}

// verdict is an error when the paced run did not keep what is promised.
func verdict(s settings, paced outcome) error {
	var errs []error
	if paced.throttled > 0 {
		errs = append(errs, fmt.Errorf("the paced run met %d answers of 429, want 0", paced.throttled))
	}
	if r := paced.ratio(s); r > 1.10 {
		errs = append(errs, fmt.Errorf("the paced run took %.3f of the bound, want 1.10 at most", r))
	}
	return errors.Join(errs...)
}
