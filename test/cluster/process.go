//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/pullpace/pace/test/cluster/cell"
)

// process is one program inside a cell, watched until its end.
type process struct {
	name string
	log  string
	cell *cell.Cell
	pid  int

	ending atomic.Bool // its end is wanted
	done   chan struct{}
	err    error // set before done is closed; nil for a wanted end
}

// launch starts a program in a cell, with its output in a log of that name.
func (c *Cluster) launch(ctx context.Context, in *cell.Cell, name string, args, env []string) (*process, error) {
	p := &process{name: name, log: filepath.Join(c.logs, name+".log"), cell: in, done: make(chan struct{})}
	pid, err := in.Start(ctx, cell.Process{Args: args, Env: append(c.environment(), env...), Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = pid
	go p.watch()
	return p, nil
}

// environment is that of every process: nothing of the caller's, whose proxies
// and tokens are not for the cluster.
func (c *Cluster) environment() []string {
	return []string{"PATH=" + c.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
}

func (p *process) watch() {
	defer close(p.done)
	status, err := p.cell.Wait(context.Background(), p.pid)
	switch {
	case p.ending.Load() || err != nil: // an error means that the cell is gone
	default:
		p.err = fmt.Errorf("%s ended by itself with status %d; the end of its log %s:\n%s", p.name, status, p.log, tail(p.log, 15))
	}
}

// failed returns why the process is not running although it should be.
func (p *process) failed() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// freeze stops the process until thaw is called, which may be after ctx has ended.
func (p *process) freeze(ctx context.Context) (thaw func() error, err error) {
	if err := p.cell.Signal(ctx, p.pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stopping %s: %w", p.name, err)
	}
	return func() error {
		if err := p.cell.Signal(context.WithoutCancel(ctx), p.pid, syscall.SIGCONT); err != nil {
			return fmt.Errorf("letting %s go on: %w", p.name, err)
		}
		return nil
	}, nil
}

// kill ends the process and waits for it.
func (p *process) kill(ctx context.Context) error {
	p.ending.Store(true)
	if err := p.cell.Signal(ctx, p.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of %s: %w", p.name, ctx.Err())
	}
}

// tail returns the last lines of a log, or says why it cannot.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
