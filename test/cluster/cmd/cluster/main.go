//go:build linux

// Command cluster starts the test cluster for people, and warms its caches.
//
//	go run ./test/cluster/cmd/cluster build|up|down|clean
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/cluster/binaries"
	"github.com/pullpace/pace/test/cluster/slot"
)

const usage = `usage: cluster VERB

build   build the programs of the cluster into the cache folder (-all: those of suites too)
up      start a cluster and keep it until Ctrl-C (-nodes N)
down    end every cluster that "up" keeps
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
		return build(ctx, args[1:])
	case "up":
		return up(ctx, args[1:])
	case "down":
		return down(ctx)
	case "clean":
		return clean()
	default:
		return fmt.Errorf("unknown verb %q\n%s", args[0], usage)
	}
}

func build(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	all := flags.Bool("all", false, "also what only some suites need")
	if err := flags.Parse(args); err != nil {
		return err
	}
	builder, err := binaries.New(ctx, os.Stderr)
	if err != nil {
		return err
	}
	sets := []func(context.Context) (string, error){builder.Components}
	if *all {
		sets = append(sets, builder.Helm, builder.Autoscaler, builder.Argo)
	}
	for _, set := range sets {
		dir, err := set(ctx)
		if err != nil {
			return err
		}
		fmt.Println(dir)
	}
	return nil
}

func up(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	nodes := flags.Int("nodes", 2, "number of nodes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Config{Log: os.Stderr}, cluster.Options{Nodes: make([]cluster.NodeOptions, *nodes)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	owner := filepath.Join(filepath.Dir(c.Kubeconfig()), ownerFile)
	if err := os.WriteFile(owner, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return fmt.Errorf("noting who keeps the cluster: %w", err)
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintln(os.Stderr, "Ctrl-C ends the cluster")
	<-ctx.Done()
	return nil
}

// ownerFile, in the cluster's folder, holds the process number of the "up" that
// keeps it.
const ownerFile = "up"

// down asks every "up" to end, and returns when their clusters are gone.
func down(ctx context.Context) error {
	// What has no living owner goes first: its process number may be another's.
	if err := clean(); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(slot.Base, "*", ownerFile))
	if err != nil {
		return fmt.Errorf("looking for clusters: %w", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return fmt.Errorf("reading who keeps a cluster: %w", err)
		}
		pid, err := strconv.Atoi(string(content))
		if err != nil {
			return fmt.Errorf("reading who keeps a cluster: %w", err)
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d: %w", pid, err)
		}
		if err := gone(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// gone returns when the file does not exist any more.
func gone(ctx context.Context, file string) error {
	for {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func clean() error {
	swept, err := slot.SweepAll()
	for _, index := range swept {
		fmt.Printf("removed what cluster %d had left\n", index)
	}
	return err
}
