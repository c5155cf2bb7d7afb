//go:build linux

package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"crypto/tls"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/pullpace/pace/test/cluster/images"
)

// sandboxImage is the image of pod sandboxes. It is never pulled.
const sandboxImage = "sandbox.pace.test/sandbox:1"

// Start starts the control plane and the nodes, and returns when all nodes are
// Ready. On an error the cluster must still be stopped.
func (c *Cluster) Start(ctx context.Context, options Options) error {
	if err := c.controlled(); err != nil {
		return err
	}
	began := time.Now()
	c.options = options
	if err := c.start(ctx); err != nil {
		return c.fail(err)
	}
	c.say("cluster of %d nodes is up after %.0f s", len(options.Nodes), time.Since(began).Seconds())
	return nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.writeShared(ctx); err != nil {
		return err
	}
	var nodes []*Node
	for _, options := range c.options.Nodes {
		n, err := c.newNode(options)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	group, booting := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControlPlane(booting) })
	for _, n := range nodes {
		group.Go(func() error { return n.boot(booting) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.dns.setServices(c.serviceAddress)
	return c.join(ctx, nodes)
}

// join starts the kubelets of booted nodes and waits until they are Ready.
func (c *Cluster) join(ctx context.Context, nodes []*Node) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.awaitAccount(ctx) })
	for _, n := range nodes {
		group.Go(func() error {
			if err := n.startKubelet(ctx); err != nil {
				return err
			}
			if err := n.bringNetwork(ctx); err != nil {
				return err
			}
			return n.AwaitReady(ctx)
		})
	}
	return group.Wait()
}

// writeShared writes what all nodes read: trusted certificates, how registries
// are reached, and the archive of the images that they hold from the start.
func (c *Cluster) writeShared(ctx context.Context) error {
	bundle := append(slices.Clone(c.ca.pem), c.options.RegistryCA...)
	if err := os.WriteFile(c.path("trusted.crt"), bundle, 0o644); err != nil {
		return fmt.Errorf("writing trusted certificates: %w", err)
	}
	for host, registry := range c.options.Registries {
		file := c.path("registries", host, "hosts.toml")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("making the folder of a registry: %w", err)
		}
		if err := os.WriteFile(file, []byte(hostsFile(host, registry)), 0o644); err != nil {
			return fmt.Errorf("writing how a registry is reached: %w", err)
		}
	}
	return c.writeArchive(ctx)
}

func (c *Cluster) writeArchive(ctx context.Context) error {
	maker, err := c.Images(ctx)
	if err != nil {
		return err
	}
	sandbox, err := maker.Image(images.Spec{Name: "sandbox"})
	if err != nil {
		return fmt.Errorf("making the sandbox image: %w", err)
	}
	held := map[string]v1.Image{sandboxImage: sandbox}
	maps.Copy(held, c.options.Images)
	file, err := os.Create(c.path("images.tar"))
	if err != nil {
		return fmt.Errorf("writing images: %w", err)
	}
	defer file.Close()
	if err := images.Archive(file, held); err != nil {
		return err
	}
	return file.Close()
}

// Images returns a maker of images that run the workload program.
func (c *Cluster) Images(ctx context.Context) (*images.Maker, error) {
	program, err := c.Build(ctx, "test/cluster/images/workload")
	if err != nil {
		return nil, err
	}
	return images.New("workload", program)
}

// Build returns a program of this repository, by the folder of its main
// package, linked statically.
func (c *Cluster) Build(ctx context.Context, pkg string) ([]byte, error) {
	if err := c.controlled(); err != nil {
		return nil, err
	}
	file := c.path(filepath.Base(pkg))
	if err := c.builder.Program(ctx, pkg, file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// HostAddress is where a service of this process has to listen so that nodes
// and pods reach it.
func (c *Cluster) HostAddress() netip.Addr {
	if c.slot == nil {
		return netip.Addr{}
	}
	return c.plan.host()
}

// SetHost makes a name resolve to an address on all nodes and in pods; the
// zero address makes it unknown again.
func (c *Cluster) SetHost(name string, to netip.Addr) error {
	if err := c.controlled(); err != nil {
		return err
	}
	c.dns.set(name, to)
	return nil
}

// Transport makes requests as the cluster's machines would: names resolve as
// SetHost says and the cluster's CA is trusted. It is for pushing images. For an
// existing cluster it is an ordinary transport.
func (c *Cluster) Transport() *http.Transport {
	if c.slot == nil {
		return new(http.Transport)
	}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.ca.pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if known, ok := c.dns.lookup(host); ok {
				address = net.JoinHostPort(known.String(), port)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
}
