//go:build linux

package cell

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Confine moves this process, PID 1 of a cell that does not serve yet, to the
// cgroup of that path in every hierarchy, makes it the root of a cgroup
// namespace of its own, and executes the command in its place. What runs in the
// cell then sees the cgroup as its machine's.
func Confine(cgroup string, command []string) error {
	if os.Getpid() != 1 {
		return errors.New("a cell must be process 1 of a PID namespace of its own")
	}
	// A namespace belongs to a thread until the thread executes a program.
	runtime.LockOSThread()
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	hierarchies, err := mountedHierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		if err := h.enter(cgroup); err != nil {
			return fmt.Errorf("entering cgroup %q of %q: %w", cgroup, h.dir, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	for _, h := range hierarchies {
		if err := h.remount(); err != nil {
			return fmt.Errorf("mounting cgroups on %q: %w", h.dir, err)
		}
	}
	return unix.Exec(command[0], command, os.Environ())
}

// hierarchy is one mounted tree of cgroups.
type hierarchy struct {
	dir     string
	v2      bool
	options string // that name the hierarchy, version 1 only
}

// mountedHierarchies reads them from this process's mounts.
func mountedHierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading mounts: %w", err)
	}
	defer file.Close()
	var found []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if h, ok := parseHierarchy(lines.Text()); ok {
			found = append(found, h)
		}
	}
	return found, lines.Err()
}

// parseHierarchy reads a line of mountinfo, proc(5): the mount point is field
// 5; the type and the options of the file system follow a separator.
func parseHierarchy(line string) (hierarchy, bool) {
	mount, system, _ := strings.Cut(line, " - ")
	left, right := strings.Fields(mount), strings.Fields(system)
	if len(left) < 5 || len(right) < 3 || !strings.HasPrefix(right[0], "cgroup") {
		return hierarchy{}, false
	}
	h := hierarchy{dir: left[4], v2: right[0] == "cgroup2"}
	if h.v2 {
		return h, true
	}
	var options []string
	for option := range strings.SplitSeq(right[2], ",") {
		if !slices.Contains([]string{"rw", "ro", "xattr", "clone_children", "noprefix"}, option) &&
			!strings.HasPrefix(option, "release_agent=") {
			options = append(options, option)
		}
	}
	h.options = strings.Join(options, ",")
	return h, true
}

// enter moves this process to the cgroup, making it and those above it.
func (h hierarchy) enter(cgroup string) error {
	dir := h.dir
	for name := range strings.SplitSeq(strings.Trim(cgroup, "/"), "/") {
		parent := dir
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if h.v2 {
			delegate(parent)
		} else if err := inheritCPUs(parent, dir); err != nil {
			return err
		}
	}
	return join(dir)
}

// remount shows the namespace's root where the machine's was.
func (h hierarchy) remount() error {
	if err := unix.Unmount(h.dir, unix.MNT_DETACH); err != nil {
		return err
	}
	if !h.v2 {
		return unix.Mount("cgroup", h.dir, "cgroup", 0, h.options)
	}
	if err := unix.Mount("cgroup2", h.dir, "cgroup2", 0, ""); err != nil {
		return err
	}
	// A cgroup of version 2 with processes cannot hand its controllers down.
	leaf := filepath.Join(h.dir, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := join(leaf); err != nil {
		return err
	}
	delegate(h.dir)
	return nil
}

// join moves this process: 0 is whoever writes.
func join(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
}

// delegate hands down the controllers of a cgroup of version 2, one by one:
// some cannot be, and what needs one of those says so itself.
func delegate(dir string) {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, controller := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
}

// inheritCPUs fills in what a new cgroup of the cpuset controller, version 1,
// lacks and without which no process may enter it.
func inheritCPUs(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0); err != nil {
			return err
		}
	}
	return nil
}
