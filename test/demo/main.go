//go:build linux

// Command demo shows the main job on a real local cluster: the same rollout
// twice, left to the kubelets and paced, against two accounts of one registry
// that allows 8 manifest requests a minute.
//
//	go run ./test/demo [-nodes N] [-limit N] [-window D]
//
// Its last line is key=value for programs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are the size of the demo.
type settings struct {
	nodes  int
	limit  int64
	window time.Duration
	logs   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := settings{}
	flag.IntVar(&s.nodes, "nodes", 4, "nodes of the cluster, and replicas of each workload")
	flag.Int64Var(&s.limit, "limit", 8, "manifest requests that the registry allows in a window")
	flag.DurationVar(&s.window, "window", time.Minute, "the registry's window")
	flag.StringVar(&s.logs, "logs", "", "folder that keeps the logs of all processes")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	d, err := prepare(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.ground.Stop()) }()
	alone, err := d.leftAlone(ctx)
	if err != nil {
		return d.failed(err)
	}
	paced, err := d.paced(ctx)
	if err != nil {
		return d.failed(err)
	}
	report(os.Stdout, s, alone, paced)
	return verdict(s, paced)
}

// failed keeps the logs and says where they are.
func (d *demo) failed(err error) error {
	d.ground.Cluster.KeepLogs()
	return fmt.Errorf("%w\nlogs are kept in %s", err, d.ground.Cluster.LogsDir())
}
