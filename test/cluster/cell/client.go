//go:build linux

package cell

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Cell is the outer end of a cell: requests to it may be made from several
// goroutines at once.
type Cell struct {
	rpc *rpc.Client
}

// Root is a cell that this process itself started.
type Root struct {
	*Cell
	cmd      *exec.Cmd
	lifeline func() error
}

// RootOptions say what StartRoot starts.
type RootOptions struct {
	// Binary is a program that calls Serve with its argument and standard input.
	Binary string
	// Socket is where it will serve.
	Socket string
	// Log receives its output.
	Log string
	// Env is its environment, which processes in the cell inherit. Its PATH is
	// where their programs are looked up.
	Env []string
}

// StartRoot starts a cell that ends when this process does.
func StartRoot(ctx context.Context, o RootOptions) (*Root, error) {
	out, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(o.Binary, o.Socket)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, o.Env
	// A session of its own, or Ctrl-C would reach the processes of the cell
	// before their owner has decided what to do.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making lifeline: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process in namespaces of its own: %w", err)
	}
	r := &Root{cmd: cmd, lifeline: lifeline.Close}
	r.Cell, err = Dial(ctx, o.Socket)
	if err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// PID is the number of the cell's first process as its owner sees it.
func (r *Root) PID() int { return r.cmd.Process.Pid }

// Stop ends the cell and everything in it, and returns when all is gone.
func (r *Root) Stop() error {
	if r.Cell != nil {
		r.Close()
	}
	err := r.lifeline()
	if kill := r.cmd.Process.Kill(); kill != nil && !errors.Is(kill, os.ErrProcessDone) {
		err = errors.Join(err, kill)
	}
	// The status says only that it was killed. The kernel lets the first
	// process of a PID namespace end when all others have.
	_ = r.cmd.Wait()
	return err
}

// Dial connects to a cell that may still be starting.
func Dial(ctx context.Context, socket string) (*Cell, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		client, err := rpc.Dial("unix", socket)
		if err == nil {
			return &Cell{rpc: client}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to cell: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close ends the connection, not the cell.
func (c *Cell) Close() { _ = c.rpc.Close() }

// Start starts a process and returns its number inside the cell.
func (c *Cell) Start(ctx context.Context, p Process) (pid int, err error) {
	return ask[int](ctx, c, "Start", p)
}

// Wait returns the exit status of a process once it has ended.
func (c *Cell) Wait(ctx context.Context, pid int) (status int, err error) {
	return ask[int](ctx, c, "Wait", pid)
}

// Signal sends a signal to a process that Start returned; one that has ended
// already is no error.
func (c *Cell) Signal(ctx context.Context, pid int, signal syscall.Signal) error {
	_, err := ask[None](ctx, c, "Signal", Signal{PID: pid, Number: int(signal)})
	return err
}

// Mount does the mounts in order.
func (c *Cell) Mount(ctx context.Context, mounts ...Mount) error {
	_, err := ask[None](ctx, c, "Mount", mounts)
	return err
}

// Run executes a command to its end and returns what it wrote; a status other
// than 0 is an error that holds the output.
func (c *Cell) Run(ctx context.Context, args ...string) (string, error) {
	result, err := ask[Result](ctx, c, "Run", Process{Args: args})
	if err != nil {
		return "", fmt.Errorf("running %q: %w", strings.Join(args, " "), err)
	}
	output := string(result.Output)
	if result.Status != 0 {
		return output, fmt.Errorf("running %q: exit status %d: %s", strings.Join(args, " "), result.Status, strings.TrimSpace(output))
	}
	return output, nil
}

// ask makes one request. The answer has memory of its own, since it may still
// arrive after the caller has given up.
func ask[T any](ctx context.Context, c *Cell, method string, request any) (T, error) {
	answer := new(T)
	call := c.rpc.Go("Cell."+method, request, answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return *answer, call.Error
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
