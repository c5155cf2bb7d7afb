//go:build linux

package cell

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper collects the end of every process below PID 1, those that it did not
// start itself included: shims and containers are handed over to it by the
// kernel when their parents end.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]*child
}

// child is a process that somebody may wait for.
type child struct {
	done   chan struct{}
	ended  bool // done is closed; its number may be another process's now
	status int  // set before done is closed
}

func newReaper() *reaper {
	return &reaper{waiting: map[int]*child{}}
}

// start runs fork while no end is collected, so that a process that ends at
// once is still known.
func (r *reaper) start(fork func() (int, error)) (int, *child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return 0, nil, err
	}
	c := &child{done: make(chan struct{})}
	r.waiting[pid] = c
	return pid, c, nil
}

// child returns the process with that number, or nil if it was never started
// or its end was already reported by forget.
func (r *reaper) child(pid int) *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting[pid]
}

// forget ends the bookkeeping of a process that has ended.
func (r *reaper) forget(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, pid)
}

// run collects ends for ever.
func (r *reaper) run() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for range ended {
		for r.collect() {
		}
	}
}

// collect takes one ended process, if there is one.
func (r *reaper) collect() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if c := r.waiting[pid]; c != nil && !c.ended {
		c.ended, c.status = true, exitStatus(status)
		close(c.done)
	}
	return true
}

func exitStatus(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
