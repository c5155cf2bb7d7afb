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
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KillPod kills the processes of a pod's containers at once, as kill -9 on its
// node would. The pod stays; its kubelet starts them again.
func (g *Ground) KillPod(ctx context.Context, namespace, name string) error {
	pids, err := g.podProcesses(ctx, namespace, name)
	if err != nil {
		return fmt.Errorf("killing pod %s/%s: %w", namespace, name, err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("killing process %d of pod %s/%s: %w", pid, namespace, name, err)
		}
	}
	return nil
}

// podProcesses are the processes of a pod's containers.
func (g *Ground) podProcesses(ctx context.Context, namespace, name string) ([]int, error) {
	pod, err := g.Cluster.Client().CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, status := range pod.Status.ContainerStatuses {
		if _, id, ok := strings.Cut(status.ContainerID, "://"); ok && status.State.Running != nil {
			ids = append(ids, id)
		}
	}
	pids, err := processes(os.DirFS("/proc"), ids)
	if err == nil && len(pids) == 0 {
		err = fmt.Errorf("no process of its containers %q is running", ids)
	}
	return pids, err
}

// processes are those whose control group bears the name of one of the
// containers. What ends while it is looked at is left out.
func processes(proc fs.FS, containers []string) ([]int, error) {
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		groups, err := fs.ReadFile(proc, e.Name()+"/cgroup")
		if err != nil {
			continue
		}
		for _, id := range containers {
			if strings.Contains(string(groups), id) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids, nil
}
