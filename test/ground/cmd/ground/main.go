//go:build linux

// Command ground keeps a proving ground up for a person to try things on: a real
// cluster, a registry "hub.test" that allows so many manifest requests in a window
// to each address, and images hub.test/team/{api,web,cart,mail}:{1,2,3}.
//
//	go run ./test/ground/cmd/ground [-nodes 4] [-limit 8] [-window 1m] [-install]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/dialect"
	"github.com/pullpace/pace/test/registry/limit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nodes := flag.Int("nodes", 4, "nodes of the cluster")
	units := flag.Int64("limit", 8, "manifest requests that the registry allows in a window")
	window := flag.Duration("window", time.Minute, "the registry's window")
	install := flag.Bool("install", false, "install Pace, enforcing, with a budget for hub.test")
	flag.Parse()
	if err := run(ctx, *nodes, *units, *window, *install); err != nil {
		fmt.Fprintln(os.Stderr, "ground:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, nodes int, units int64, window time.Duration, install bool) (err error) {
	g, err := ground.Start(ctx, ground.Options{Nodes: make([]cluster.NodeOptions, nodes), Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	if err := furnish(ctx, g, units, window); err != nil {
		return err
	}
	if install {
		if err := g.Install(ctx, "--enforce"); err != nil {
			g.Cluster.KeepLogs()
			return fmt.Errorf("%w\nlogs are kept in %s", err, g.Cluster.LogsDir())
		}
		if err := g.Apply(ctx, budget(g)); err != nil {
			return err
		}
	}
	fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", g.Cluster.Kubeconfig(), g.Bin())
	fmt.Fprintln(os.Stderr, "Ctrl-C ends it")
	<-ctx.Done()
	return nil
}

// furnish adds the registry and its images, and a namespace with one workload at
// its first version.
func furnish(ctx context.Context, g *ground.Ground, units int64, window time.Duration) error {
	_, err := g.AddHost(registry.HostConfig{
		Name: "hub.test", Dialect: dialect.DockerHub, Denial: registry.HubDenial(),
		Limiters: []registry.Limiter{{
			Spec:   limit.Spec{Kind: limit.RollingLog, Limit: units, Window: window},
			Counts: registry.CountsManifestGET,
		}},
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"api", "web", "cart", "mail"} {
		for _, tag := range []string{"1", "2", "3"} {
			if err := g.Push(ctx, "hub.test/team/"+name+":"+tag); err != nil {
				return err
			}
		}
	}
	if err := g.Push(ctx, ground.Infra+"/team/api:0"); err != nil {
		return err
	}
	if err := g.Namespace(ctx, "shop", true); err != nil {
		return err
	}
	return g.Create(ctx, ground.Deployment("shop", "api", ground.Infra+"/team/api:0", 4))
}

func budget(g *ground.Ground) string {
	ca := strings.ReplaceAll(strings.TrimSpace(string(g.Registry.CA().PEM())), "\n", "\n      ")
	return fmt.Sprintf(`apiVersion: pullpace.dev/v1alpha1
kind: PullBudget
metadata: {name: hub}
spec:
  registry: hub.test
  probe:
    repository: team/api:1
    caBundle: |
      %s
`, ca)
}
