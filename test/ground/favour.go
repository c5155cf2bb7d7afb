//go:build linux

package ground

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// How much sooner favoured processes get time than others: the nice value of their
// threads, and the share of their control groups, of which others have 1024 or, in
// version 2, 100.
const (
	favouredNice   = -10
	favouredShares = "8192"
	favouredWeight = "800"
)

// Favour has the machine give time to the processes of a pod before others, as if they
// had processors of their own: where all of a cluster shares a machine of few, what a
// program takes and what it waits for cannot be told apart otherwise.
func (g *Ground) Favour(ctx context.Context, namespace, name string) error {
	pids, err := g.podProcesses(ctx, namespace, name)
	if err != nil {
		return fmt.Errorf("favouring pod %s/%s: %w", namespace, name, err)
	}
	for _, pid := range pids {
		if err := errors.Join(favourThreads(pid), favourGroups(pid)); err != nil {
			return fmt.Errorf("favouring process %d of pod %s/%s: %w", pid, namespace, name, err)
		}
	}
	return nil
}

// favourThreads sets the nice value of every thread; those to come inherit it.
func favourThreads(pid int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, favouredNice); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// favourGroups sets the share of the control group of a process and of those around it:
// what is no node's, as the API server, is in none of them.
func favourGroups(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	hierarchy, group := cpuGroup(string(text))
	file, share := "cpu.weight", favouredWeight
	if hierarchy != "" {
		file, share = "cpu.shares", favouredShares
	}
	for ; len(group) > 1; group = path.Dir(group) {
		err := os.WriteFile(filepath.Join("/sys/fs/cgroup", hierarchy, group, file), []byte(share), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // not every group of version 2 has the controller
			return err
		}
	}
	return nil
}

// cpuGroup is the control group that gives a process its time, and the hierarchy that it
// is in, "" in version 2. Source: cgroups(7), "/proc files".
func cpuGroup(text string) (hierarchy, group string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if controller == "cpu" {
				return controller, fields[2]
			}
		}
		if fields[0] == "0" {
			group = fields[2]
		}
	}
	return "", group
}
