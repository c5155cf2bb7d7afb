//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pullpace/pace/test/cluster/binaries"
	"github.com/pullpace/pace/test/cluster/cell"
	"github.com/pullpace/pace/test/cluster/slot"
)

// ErrNoControl is returned by what needs control over nodes and network when
// the cluster is an existing one.
var ErrNoControl = errors.New("this is an existing cluster; its nodes and network are not under control here")

// Cluster is one cluster. Its methods may be called from several goroutines.
type Cluster struct {
	log        io.Writer
	logs       string
	ownLogs    bool // logs is ours to remove
	kubeconfig string
	rest       *rest.Config
	client     kubernetes.Interface

	// What follows is unset for an existing cluster.
	slot    *slot.Slot
	plan    plan
	built   string // folder of the programs
	bin     string // where the world sees it
	builder *binaries.Builder
	world   *cell.Root
	janitor *janitor
	dns     *nameServer
	ca      *authority
	options Options
	api     *process
	others  []*process

	mu     sync.Mutex
	egress map[string]netip.Addr
	nodes  []*Node
	broken bool // keep the logs
}

// Prepare checks the machine, builds what has to be built, and makes the
// cluster's network and name server, but starts nothing of Kubernetes yet: a
// registry can now listen at HostAddress. Stop must be called, also if Start
// fails.
func Prepare(ctx context.Context, config Config) (*Cluster, error) {
	if config.Log == nil {
		config.Log = io.Discard
	}
	if err := preflight(ctx, config.Log); err != nil {
		return nil, err
	}
	builder, err := binaries.New(ctx, config.Log)
	if err != nil {
		return nil, err
	}
	built, err := builder.Components(ctx)
	if err != nil {
		return nil, err
	}
	place, err := slot.Claim()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		log: config.Log, logs: config.LogsDir, slot: place, plan: plan{slot: place.Index},
		built: built, builder: builder, egress: map[string]netip.Addr{},
	}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(c.fail(err), c.Stop())
	}
	return c, nil
}

// Start is Prepare and then the method Start.
func Start(ctx context.Context, config Config, options Options) (*Cluster, error) {
	c, err := Prepare(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx, options); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) prepare(ctx context.Context) (err error) {
	c.bin = c.path("bin")
	for _, dir := range []string{c.path("pki"), c.bin} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the cluster's folder: %w", err)
		}
	}
	if c.logs == "" {
		c.ownLogs = true
		c.logs, err = os.MkdirTemp("", "pace-cluster-logs-")
	} else {
		err = os.MkdirAll(c.logs, 0o755)
	}
	if err != nil {
		return fmt.Errorf("making the folder of logs: %w", err)
	}
	if err := c.builder.Program(ctx, "test/cluster/cmd/cell", c.path("cell")); err != nil {
		return err
	}
	if c.janitor, err = startJanitor(c.path("cell"), c.slot.Index, filepath.Join(c.logs, "janitor.log")); err != nil {
		return err
	}
	if c.ca, err = newAuthority(); err != nil {
		return err
	}
	c.world, err = cell.StartRoot(ctx, cell.RootOptions{
		Binary: c.path("cell"), Socket: c.path("world.sock"), Log: filepath.Join(c.logs, "world.log"), Env: c.environment(),
	})
	if err != nil {
		return err
	}
	// The programs are in the user's home, which a node may cover with a folder
	// of its own.
	if err := c.world.Mount(ctx, cell.Mount{Source: c.built, Target: c.bin}); err != nil {
		return fmt.Errorf("showing the programs to the world: %w", err)
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	c.dns, err = newNameServer(c.world.PID(), dnsService())
	return err
}

// path is inside the cluster's folder.
func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.slot.Dir()}, elements...)...)
}

// fail adds to an error where the logs are, and keeps them. Giving up is no
// failure.
func (c *Cluster) fail(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	c.KeepLogs()
	return fmt.Errorf("%w\nlogs are kept in %s", err, c.logs)
}

// KeepLogs leaves the logs where they are after Stop.
func (c *Cluster) KeepLogs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

// LogsDir is where the logs of all processes are.
func (c *Cluster) LogsDir() string { return c.logs }

// Stop ends everything and removes it from the machine. It may be called more
// than once, and does nothing to an existing cluster.
func (c *Cluster) Stop() error {
	if c.slot == nil {
		return nil
	}
	var errs []error
	for _, p := range c.processes() {
		p.ending.Store(true)
	}
	if c.dns != nil {
		errs = append(errs, c.dns.close())
	}
	if c.world != nil {
		errs = append(errs, c.world.Stop())
	}
	errs = append(errs, c.slot.Release())
	if c.janitor != nil {
		errs = append(errs, c.janitor.dismiss())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ownLogs && !c.broken {
		errs = append(errs, os.RemoveAll(c.logs))
	}
	c.slot, c.world, c.dns, c.janitor = nil, nil, nil, nil
	return errors.Join(errs...)
}

// processes are all that are watched now.
func (c *Cluster) processes() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.others)
	if c.api != nil {
		all = append(all, c.api)
	}
	for _, n := range c.nodes {
		all = append(all, n.processes...)
	}
	return all
}

// Failed returns an error if a process of the cluster has ended by itself.
func (c *Cluster) Failed() error {
	var errs []error
	for _, p := range c.processes() {
		errs = append(errs, p.failed())
	}
	return errors.Join(errs...)
}

func (c *Cluster) controlled() error {
	if c.slot == nil {
		return ErrNoControl
	}
	return nil
}

func (c *Cluster) say(format string, args ...any) { fmt.Fprintf(c.log, format+"\n", args...) }

// until polls ok until it is true, a process of the cluster ends, or ctx does.
func (c *Cluster) until(ctx context.Context, what string, ok func(context.Context) error) error {
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		if failed := c.Failed(); failed != nil {
			return failed
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// janitor is a process that clears the slot if this one dies.
type janitor struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startJanitor(binary string, index int, log string) (*janitor, error) {
	// A file, since nobody is left to read from a pipe when it has to speak.
	said, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("opening the janitor's log: %w", err)
	}
	defer said.Close()
	j := &janitor{cmd: exec.Command(binary, "-janitor", fmt.Sprint(index))}
	j.cmd.Stderr = said
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if j.stdin, err = j.cmd.StdinPipe(); err == nil {
		err = j.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting the janitor: %w", err)
	}
	return j, nil
}

// dismiss ends the janitor, which finds that nothing is left to do.
func (j *janitor) dismiss() error {
	if err := errors.Join(j.stdin.Close(), j.cmd.Wait()); err != nil {
		return fmt.Errorf("ending the janitor: %w", err)
	}
	return nil
}
