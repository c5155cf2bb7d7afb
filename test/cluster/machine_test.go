//go:build linux

package cluster_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pullpace/pace/test/cluster"
)

// machine is what no cluster may change, now or afterwards.
type machine struct {
	Dirs, Namespaces, Mounts, Rules, Settings []string
}

func look(t *testing.T) machine {
	t.Helper()
	m := machine{Namespaces: glob(t, "/run/netns/*")}
	for _, dir := range []string{"/var/lib/*", "/var/log/*", "/etc/cni*", "/opt/*", "/run/containerd*", "/usr/libexec/kubernetes*", "/sys/fs/cgroup/*", "/sys/fs/cgroup/*/k8s.io"} {
		m.Dirs = append(m.Dirs, glob(t, dir)...)
	}
	m.Mounts = lines(t, "/proc/self/mounts")
	rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	noError(t, err)
	m.Rules = strings.Split(string(rules), "\n")
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward"} {
		m.Settings = append(m.Settings, name+"="+strings.Join(lines(t, "/proc/sys/"+name), ""))
	}
	return m
}

// left returns what is on the machine of the cluster whose folder is dir. While
// that place is taken, by its janitor or by another test's cluster, that cannot
// be said.
func left(t *testing.T, dir string) (found []string, taken bool) {
	t.Helper()
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR, 0)
	noError(t, err)
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, true
	}
	index := filepath.Base(dir)
	found = append(glob(t, dir), glob(t, "/sys/class/net/pace"+index)...)
	return append(found, glob(t, "/sys/fs/cgroup/*/pullpace"+index)...), false
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	match, err := filepath.Glob(pattern)
	noError(t, err)
	return match
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	noError(t, err)
	defer file.Close()
	var all []string
	for s := bufio.NewScanner(file); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}

// namespacesOf are the process namespaces of everything that runs in the
// cluster, found by its folder, which command lines name.
func namespacesOf(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, process := range glob(t, "/proc/[0-9]*") {
		command, err := os.ReadFile(process + "/cmdline")
		if err != nil || !strings.Contains(string(command), dir+"/") {
			continue
		}
		if ns, err := os.Readlink(process + "/ns/pid"); err == nil && ns != ownNamespace(t) {
			found = append(found, ns)
		}
	}
	if slices.Sort(found); len(slices.Compact(found)) < 2 {
		t.Errorf("found the process namespaces %v, want those of the world and of its nodes", found)
	}
	return slices.Compact(found)
}

func ownNamespace(t *testing.T) string {
	t.Helper()
	ns, err := os.Readlink("/proc/self/ns/pid")
	noError(t, err)
	return ns
}

// processesIn are those in any of the namespaces.
func processesIn(t *testing.T, namespaces []string) []string {
	t.Helper()
	var found []string
	for _, process := range glob(t, "/proc/[0-9]*") {
		if ns, err := os.Readlink(process + "/ns/pid"); err == nil && slices.Contains(namespaces, ns) {
			found = append(found, process)
		}
	}
	return found
}

// ownerFile is where an owner that is to be killed says what it started.
const ownerFile = "PACE_CLUSTER_OWNER_FILE"

// TestKilledOwner has a process start a cluster and kills it, without any
// chance to clean up.
func TestKilledOwner(t *testing.T) {
	cluster.Require(t)
	before := look(t)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	owner := exec.Command(os.Args[0], "-test.run=^TestOwner$", "-test.v")
	owner.Env = append(os.Environ(), ownerFile+"="+file, "TMPDIR="+t.TempDir())
	var said bytes.Buffer
	owner.Stdout, owner.Stderr = &said, &said
	noError(t, owner.Start())
	ended := make(chan error, 1)
	go func() { ended <- owner.Wait() }()
	defer owner.Process.Kill()
	// Each of its steps is bounded, so that it starts a cluster or ends.
	for _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist); _, err = os.Stat(file) {
		select {
		case err := <-ended:
			t.Fatalf("the owner started no cluster: %v\n%s", err, said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	kubeconfig, err := os.ReadFile(file)
	noError(t, err)
	inside := namespacesOf(t, filepath.Dir(string(kubeconfig)))
	noError(t, owner.Process.Kill())
	var remains []string
	taken := true
	// What clears up looks every 5 s, may take 15 s, and then the kernel ends processes.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		remains, taken = left(t, filepath.Dir(string(kubeconfig)))
		remains = append(remains, processesIn(t, inside)...)
		if len(remains) == 0 && !taken {
			break
		}
	}
	if taken {
		t.Logf("another cluster has the place of the killed one, which it must have cleared first")
	}
	if len(remains) > 0 {
		t.Errorf("the killed owner left %v", remains)
	}
	if diff := cmp.Diff(before, look(t)); diff != "" {
		t.Errorf("the killed owner changed the machine (-before +after):\n%s", diff)
	}
}

// TestOwner is the process that TestKilledOwner kills.
func TestOwner(t *testing.T) {
	file := os.Getenv(ownerFile)
	if file == "" {
		t.Skip("this is run by TestKilledOwner in a process of its own")
	}
	c, err := cluster.Start(t.Context(), cluster.Config{}, cluster.Options{Nodes: make([]cluster.NodeOptions, 1)})
	noError(t, err)
	noError(t, os.WriteFile(file+".new", []byte(c.Kubeconfig()), 0o600))
	noError(t, os.Rename(file+".new", file))
	select {} // until killed
}
