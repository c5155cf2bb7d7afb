//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pullpace/pace/test/bench/measure"
)

// atRest measures while nothing happens.
func (b *bench) atRest(ctx context.Context) error {
	before, err := measure.Look(ctx, b.paced.Lab)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.rest):
	}
	after, err := measure.Look(ctx, b.paced.Lab)
	if err != nil {
		return err
	}
	took := after.At.Sub(before.At)
	fmt.Printf("rest seconds=%.0f cpu_millicores=%.1f memory_mib=%.0f api_requests_per_minute=%.0f\n", took.Seconds(),
		1000*(after.CPU-before.CPU)/took.Seconds(), after.Memory/(1<<20), (after.Requests-before.Requests)/took.Minutes())
	return nil
}

// wave prints what releases cost between two looks.
func wave(name string, before, after measure.Cost, pods int) {
	fmt.Printf("wave image=%s pods=%d cpu_ms_per_pod=%.1f memory_mib=%.0f api_requests_per_pod=%.2f webhook_p50_ms<=%.0f webhook_p99_ms<=%.0f\n", name, pods,
		1000*(after.CPU-before.CPU)/float64(pods), after.Memory/(1<<20), (after.Requests-before.Requests)/float64(pods),
		1000*after.Webhook.Quantile(before.Webhook, 0.5), 1000*after.Webhook.Quantile(before.Webhook, 0.99))
}
