//go:build linux

package ground

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what processes have used: processor time since they were started, and
// bytes of memory now and at most since then.
type Usage struct {
	CPU          time.Duration
	Memory, Peak int64
}

// Usage is that of a pod's containers together.
func (g *Ground) Usage(ctx context.Context, namespace, name string) (Usage, error) {
	pids, err := g.podProcesses(ctx, namespace, name)
	if err != nil {
		return Usage{}, fmt.Errorf("measuring pod %s/%s: %w", namespace, name, err)
	}
	var all Usage
	for _, pid := range pids {
		used, err := usage(os.DirFS("/proc"), pid)
		if err != nil {
			return all, fmt.Errorf("measuring process %d of pod %s/%s: %w", pid, namespace, name, err)
		}
		all.CPU, all.Memory, all.Peak = all.CPU+used.CPU, all.Memory+used.Memory, all.Peak+used.Peak
	}
	return all, nil
}

// tick is the unit of processor time in /proc: USER_HZ, which is 100 on every
// architecture that Kubernetes runs on.
const tick = 10 * time.Millisecond

// usage reads one process. Source: proc_pid_stat(5); fields are counted after the
// name in parentheses, which may hold anything.
func usage(proc fs.FS, pid int) (Usage, error) {
	text, err := fs.ReadFile(proc, strconv.Itoa(pid)+"/stat")
	if err != nil {
		return Usage{}, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("%q has too few fields", text)
	}
	var numbers [3]int64
	for i, field := range []int{11, 12, 21} { // utime, stime, rss
		if numbers[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("reading field %d: %w", field, err)
		}
	}
	most, err := peak(proc, pid)
	return Usage{CPU: time.Duration(numbers[0]+numbers[1]) * tick, Memory: numbers[2] * int64(os.Getpagesize()), Peak: most}, err
}

// peak is the most memory that a process has had. Source: proc_pid_status(5).
func peak(proc fs.FS, pid int) (int64, error) {
	text, err := fs.ReadFile(proc, strconv.Itoa(pid)+"/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the peak of memory: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("it has no peak of memory")
}
