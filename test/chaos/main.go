//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
)

// settings are those of the command line.
type settings struct {
	seed   uint64
	rounds int
	faults int
	logs   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The client's library tells of every watch that a fault breaks.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	s := settings{}
	flag.Uint64Var(&s.seed, "seed", 0, "seed of all choices; 0: another each time")
	flag.IntVar(&s.rounds, "rounds", 8, "rounds of installation, faults, judgement and removal")
	flag.IntVar(&s.faults, "faults", 30, "faults in a round")
	flag.StringVar(&s.logs, "logs", "", "folder that keeps the logs of all processes")
	flag.Parse()
	if s.seed == 0 {
		s.seed = uint64(time.Now().Unix())
	}
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1)
	}
}

// registryClock is the machine's clock and what faults have set it forward by.
type registryClock struct {
	mu    sync.Mutex
	steps []step
}

// step is what the registry's clock showed after it was set, and how far it then was
// ahead.
type step struct {
	at    time.Time
	ahead time.Duration
}

func (c *registryClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead())
}

func (c *registryClock) ahead() time.Duration {
	if len(c.steps) == 0 {
		return 0
	}
	return c.steps[len(c.steps)-1].ahead
}

// step sets the clock forward.
func (c *registryClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := c.ahead() + d
	c.steps = append(c.steps, step{time.Now().Add(ahead), ahead})
}

// machine is what the machine's clock showed when the registry's showed t.
func (c *registryClock) machine(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.steps) {
		if !t.Before(s.at) {
			return t.Add(-s.ahead)
		}
	}
	return t
}

func run(ctx context.Context, s settings) (err error) {
	began := time.Now()
	fmt.Printf("seed=%d\n", s.seed)
	clock := new(registryClock)
	options := ground.Options{LogsDir: s.logs, Clock: clock.now}
	for range stage.Nodes {
		options.Nodes = append(options.Nodes, cluster.NodeOptions{Kubelet: map[string]any{
			"serializeImagePulls": false, "registryPullQPS": 0,
			// What is killed again and again is to be there to be killed.
			"crashLoopBackOff": map[string]any{"maxContainerRestartPeriod": "2s"},
		}})
	}
	g, err := ground.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	lab, err := stage.On(ctx, g)
	if err != nil {
		return err
	}
	c := &campaign{settings: s, lab: lab, clock: clock, began: began}
	err = c.run(ctx)
	c.report(os.Stdout)
	if err != nil || len(c.violations) > 0 {
		g.Cluster.KeepLogs()
		err = errors.Join(err, fmt.Errorf("%d violations; logs are kept in %s", len(c.violations), g.Cluster.LogsDir()))
	}
	return err
}
