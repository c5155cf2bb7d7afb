//go:build linux

package cell

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces are those that a cell has of its own.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET

// Serve makes this process, which must be PID 1 of its own namespaces, a cell
// that answers on the socket. It returns when lifeline ends or the socket
// fails; the process has to exit then.
func Serve(socket string, lifeline io.Reader) error {
	if os.Getpid() != 1 {
		return errors.New("a cell must be process 1 of a PID namespace of its own")
	}
	if err := isolate(); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listening for requests: %w", err)
	}
	r := newReaper()
	go r.run()
	server := rpc.NewServer()
	if err := server.RegisterName("Cell", &requests{reaper: r}); err != nil {
		return fmt.Errorf("registering requests: %w", err)
	}
	go server.Accept(listener)
	_, err = io.Copy(io.Discard, lifeline)
	return err
}

// isolate keeps mounts from leaking to the parent and shows only the processes
// of this cell in /proc.
func isolate() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

// requests are the methods that a Client calls.
type requests struct {
	reaper *reaper
}

// Start executes a process and answers with its number in this cell.
func (q *requests) Start(p Process, pid *int) error {
	out, err := os.OpenFile(orNull(p.Log), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	defer out.Close()
	*pid, _, err = q.fork(p, out.Fd())
	return err
}

// Run executes a command and answers with its output and status.
func (q *requests) Run(p Process, result *Result) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making pipe: %w", err)
	}
	defer read.Close()
	pid, c, err := q.fork(p, write.Fd())
	write.Close()
	if err != nil {
		return err
	}
	result.Output, err = io.ReadAll(read)
	<-c.done
	q.reaper.forget(pid)
	result.Status = c.status
	return err
}

// Wait answers with the exit status of a started process when it has ended.
func (q *requests) Wait(pid int, status *int) error {
	c := q.reaper.child(pid)
	if c == nil {
		return fmt.Errorf("no process %d was started here", pid)
	}
	<-c.done
	*status = c.status
	return nil
}

// Signal sends a signal to a process that was started here and still runs.
func (q *requests) Signal(s Signal, _ *None) error {
	c := q.reaper.child(s.PID)
	if c == nil {
		return fmt.Errorf("no process %d was started here", s.PID)
	}
	select {
	case <-c.done:
		return nil
	default:
		return unix.Kill(s.PID, unix.Signal(s.Number))
	}
}

// Mount does the mounts in order.
func (q *requests) Mount(mounts []Mount, _ *None) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
	}
	return nil
}

func (q *requests) fork(p Process, out uintptr) (int, *child, error) {
	if len(p.Args) == 0 {
		return 0, nil, errors.New("no command given")
	}
	path, err := exec.LookPath(p.Args[0])
	if err != nil {
		return 0, nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{Env: p.Env, Files: []uintptr{null.Fd(), out, out}, Sys: &syscall.SysProcAttr{Setsid: true}}
	if len(p.Env) == 0 {
		attr.Env = os.Environ()
	}
	if p.Cell {
		attr.Sys.Cloneflags = namespaces
	}
	pid, c, err := q.reaper.start(func() (int, error) { return syscall.ForkExec(path, p.Args, attr) })
	if err != nil {
		return 0, nil, fmt.Errorf("starting %q: %w", p.Args[0], err)
	}
	return pid, c, nil
}

func orNull(path string) string {
	if path == "" {
		return os.DevNull
	}
	return path
}
