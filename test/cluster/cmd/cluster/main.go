//go:build linux

// Command cluster starts the test cluster for people, and warms its caches.
//
//	go run ./test/cluster/cmd/cluster build|up|clean
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/cluster/binaries"
	"github.com/pullpace/pace/test/cluster/slot"
)

const usage = `usage: cluster VERB

build   build the programs of the cluster into the cache folder
up      start a cluster and keep it until Ctrl-C (-nodes N)
down    same as Ctrl-C for every cluster that "up" has started: not needed, end "up"
clean   remove what clusters with a dead owner have left
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no verb given\n%s", usage)
	}
	switch args[0] {
	case "build":
		return build(ctx)
	case "up":
		return up(ctx, args[1:])
	case "clean":
		return clean()
	default:
		return fmt.Errorf("unknown verb %q\n%s", args[0], usage)
	}
}

func build(ctx context.Context) error {
	builder, err := binaries.New(ctx, os.Stderr)
	if err != nil {
		return err
	}
	dir, err := builder.Components(ctx)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	nodes := flags.Int("nodes", 2, "number of nodes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Config{Log: os.Stderr}, cluster.Options{Nodes: make([]cluster.NodeOptions, *nodes)})
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintln(os.Stderr, "Ctrl-C ends the cluster")
	<-ctx.Done()
	return c.Stop()
}

func clean() error {
	swept, err := slot.SweepAll()
	for _, index := range swept {
		fmt.Printf("removed what cluster %d had left\n", index)
	}
	return err
}
