//go:build linux

package ground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/pullpace/pace/release"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/cluster/binaries"
	"github.com/pullpace/pace/test/cluster/images"
	"github.com/pullpace/pace/test/registry"
)

// Infra is the registry host that nothing meters: for the product's own image
// and for what runs before a test begins.
const Infra = "infra.test"

// Options say how large the ground is.
type Options struct {
	Nodes []cluster.NodeOptions
	// Clock is the registry's; nil is the machine's.
	Clock func() time.Time
	// Helm puts helm beside kubectl; it takes minutes to build once.
	Helm bool
	// Registries says how nodes reach a registry, by its host, where that is not at
	// its own name.
	Registries map[string]cluster.Registry
	// ControllerManagerArgs and SchedulerArgs are further arguments of those.
	ControllerManagerArgs, SchedulerArgs []string
	// LogsDir keeps the logs of all processes; empty: only when something fails.
	LogsDir string
	// Log receives progress for a person; nil discards it.
	Log io.Writer
}

// Ground is a cluster, a registry and the product. Its methods may be called
// from several goroutines.
type Ground struct {
	Cluster  *cluster.Cluster
	Registry *registry.Server
	// Maker makes images that idle.
	Maker *images.Maker
	// bin holds kubectl and kubectl-pace.
	bin string
	// image is the product's once it was published.
	image      string
	log        io.Writer
	neighbours []*Ground
	close      []func() error
}

// Start brings the ground up without the product. Stop must be called also when
// it fails halfway, which Start does itself.
func Start(ctx context.Context, o Options) (*Ground, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	g := &Ground{log: o.Log}
	if err := g.start(ctx, o); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

func (g *Ground) start(ctx context.Context, o Options) (err error) {
	if g.Registry, err = registry.New(registry.Options{DefaultHost: Infra, Clock: o.Clock}); err != nil {
		return fmt.Errorf("making the registry: %w", err)
	}
	if g.Cluster, err = cluster.Prepare(ctx, cluster.Config{LogsDir: o.LogsDir, Log: o.Log}); err != nil {
		return err
	}
	if err := g.serve(); err != nil {
		return err
	}
	if _, err := g.AddHost(registry.HostConfig{Name: Infra}); err != nil {
		return err
	}
	err = g.Cluster.Start(ctx, cluster.Options{
		Nodes: o.Nodes, Registries: o.Registries, RegistryCA: g.Registry.CA().PEM(),
		ControllerManagerArgs: o.ControllerManagerArgs, SchedulerArgs: o.SchedulerArgs,
	})
	if err != nil {
		return err
	}
	if g.Maker, err = g.Cluster.Images(ctx); err != nil {
		return err
	}
	return g.programs(ctx, o.Helm)
}

// serve lets the registry answer where the nodes look for it.
func (g *Ground) serve() error {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(g.Cluster.HostAddress(), 443).String())
	if err != nil {
		return fmt.Errorf("listening for the registry: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Registry.Serve(ctx, listener) }()
	g.close = append(g.close, func() error { cancel(); return <-done })
	return nil
}

// programs puts kubectl and the plugin where a shell would find them, and helm where
// it is asked for.
func (g *Ground) programs(ctx context.Context, helm bool) error {
	builder, err := binaries.New(ctx, g.log)
	if err != nil {
		return err
	}
	built, err := builder.Components(ctx)
	if err != nil {
		return err
	}
	if g.bin, err = os.MkdirTemp("", "pace-bin-"); err != nil {
		return fmt.Errorf("making a folder for programs: %w", err)
	}
	g.close = append(g.close, func() error { return os.RemoveAll(g.bin) })
	if err := os.Symlink(filepath.Join(built, "kubectl"), filepath.Join(g.bin, "kubectl")); err != nil {
		return fmt.Errorf("linking kubectl: %w", err)
	}
	if helm {
		if built, err = builder.Helm(ctx); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join(built, "helm"), filepath.Join(g.bin, "helm")); err != nil {
			return fmt.Errorf("linking helm: %w", err)
		}
	}
	return builder.Program(ctx, "cmd/kubectl-pace", filepath.Join(g.bin, "kubectl-pace"))
}

// Stop ends everything and leaves nothing behind. It may be called again.
func (g *Ground) Stop() error {
	var errs []error
	for _, n := range g.neighbours {
		errs = append(errs, n.Stop())
	}
	if g.Cluster != nil {
		errs = append(errs, g.Cluster.Stop())
	}
	for _, c := range g.close {
		errs = append(errs, c())
	}
	g.close = nil
	return errors.Join(errs...)
}

// Push makes an image of that name and puts it into the registry, past every
// limit and log. Images of different names share no layer but the program's.
func (g *Ground) Push(ctx context.Context, ref string, platforms ...string) error {
	spec := images.Spec{Name: ref, Layers: []images.Layer{{Name: ref, Size: 64 << 10}}}
	var what remote.Taggable
	var err error
	if len(platforms) > 0 {
		what, err = g.Maker.Index(spec, platforms...)
	} else {
		what, err = g.Maker.Image(spec)
	}
	if err != nil {
		return fmt.Errorf("making image %q: %w", ref, err)
	}
	return images.Push(ctx, ref, what, g.Registry.PushTransport())
}

// Product is the repository of the product's image.
const Product = Infra + "/pullpace/pacer"

// Publish builds the product's image as a release does, for this machine alone,
// and puts it into the registry. It returns the reference by digest.
func (g *Ground) Publish(ctx context.Context, version string) (string, error) {
	tree, err := release.Find(ctx)
	if err != nil {
		return "", err
	}
	commit := release.Commit{Version: version, At: time.Unix(0, 0)}
	image, err := tree.Image(ctx, commit, release.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH})
	if err != nil {
		return "", err
	}
	if err := images.Push(ctx, Product+":"+version, image, g.Registry.PushTransport()); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("making the product's image: %w", err)
	}
	return Product + "@" + digest.String(), nil
}

// installWithin is more than replicas take to read a cluster of thousands of nodes, on a
// machine that is busy.
const installWithin = 5 * time.Minute

// Install publishes the product once and installs it as a user would.
func (g *Ground) Install(ctx context.Context, flags ...string) (err error) {
	if g.image == "" {
		if g.image, err = g.Publish(ctx, "dev"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, installWithin)
	defer cancel()
	// What is paced is what a test says, and not what happens to run.
	out := g.Kubectl(ctx, append([]string{"pace", "install", "--image", g.image, "--budgets", "none"}, flags...)...)
	if out.Code != 0 {
		return fmt.Errorf("installing the product: %s", out)
	}
	fmt.Fprint(g.log, out.Stdout)
	return nil
}
