//go:build linux

package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pullpace/pace/test/cluster/cell"
)

// Node is one node: a cell with a containerd and a kubelet. Its methods must
// not be called at the same time.
type Node struct {
	cluster *Cluster
	options NodeOptions
	number  int
	address netip.Addr
	pods    netip.Prefix
	egress  netip.Addr

	boots int
	// Those of the current boot; cell is nil while the node is off.
	cell      *cell.Cell
	pid       int // of the cell's first process, in the world
	bootID    string
	processes []*process
}

// Name is the name of the Node object.
func (n *Node) Name() string { return n.options.Name }

// Nodes returns the nodes in the order in which they were added.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// Node returns the node of that name, or nil.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes() {
		if n.options.Name == name {
			return n
		}
	}
	return nil
}

// AddNode adds a node to a started cluster and returns when it is Ready.
func (c *Cluster) AddNode(ctx context.Context, options NodeOptions) (*Node, error) {
	if err := c.controlled(); err != nil {
		return nil, err
	}
	n, err := c.newNode(options)
	if err != nil {
		return nil, err
	}
	return n, c.fail(n.Start(ctx))
}

// newNode reserves a number and addresses; nothing runs yet.
func (c *Cluster) newNode(options NodeOptions) (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number := len(c.nodes)
	if number == maxNodes {
		return nil, fmt.Errorf("adding a node: a cluster has room for %d", maxNodes)
	}
	if options.Name == "" {
		options.Name = fmt.Sprintf("node-%d", number+1)
	}
	for _, other := range c.nodes {
		if other.options.Name == options.Name {
			return nil, fmt.Errorf("adding a node: there is one of the name %q", options.Name)
		}
	}
	n := &Node{cluster: c, options: options, number: number, address: c.plan.node(number), pods: c.plan.podNetwork(number)}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// path is inside the node's folder, its disk.
func (n *Node) path(elements ...string) string {
	return n.cluster.path(append([]string{"nodes", n.options.Name}, elements...)...)
}

// Start boots a node that is off, with the disk that it had, and returns when
// it is Ready.
func (n *Node) Start(ctx context.Context) error {
	if err := n.boot(ctx); err != nil {
		return err
	}
	return n.cluster.join(ctx, []*Node{n})
}

// Kill takes the node's power away: all its processes and pods end at once,
// its disk stays. It returns when they have ended.
func (n *Node) Kill(ctx context.Context) error {
	if n.cell == nil {
		return nil
	}
	for _, p := range n.processes {
		p.ending.Store(true)
	}
	world := n.cluster.world
	if err := world.Signal(ctx, n.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", n.options.Name, err)
	}
	if _, err := world.Wait(ctx, n.pid); err != nil {
		return fmt.Errorf("waiting for the end of %s: %w", n.options.Name, err)
	}
	// The kernel drops the link some time after the namespace; a new boot needs
	// its name now.
	if _, err := world.Run(ctx, "sh", "-c", fmt.Sprintf("ip link delete %[1]s 2>/dev/null; ! ip link show %[1]s 2>/dev/null", n.link())); err != nil {
		return fmt.Errorf("removing the link of %s: %w", n.options.Name, err)
	}
	n.cell.Close()
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.cell, n.processes = nil, nil
	return nil
}

// boot brings the node up to a running containerd that holds the images it
// has from the start.
func (n *Node) boot(ctx context.Context) error {
	if n.cell != nil {
		return fmt.Errorf("booting %s: it is on", n.options.Name)
	}
	if err := n.writeDisk(); err != nil {
		return err
	}
	if err := n.startCell(ctx); err != nil {
		return err
	}
	if err := n.connect(ctx); err != nil {
		return err
	}
	if !n.egress.IsValid() {
		if err := n.SetEgressGroup(ctx, n.options.EgressGroup); err != nil {
			return err
		}
		n.SetDNS(!n.options.NoDNS)
	}
	return n.startRuntime(ctx)
}

// startCell makes the node's namespaces and covers what belongs to the machine
// with what belongs to the node.
func (n *Node) startCell(ctx context.Context) error {
	c, socket := n.cluster, n.path("cell.sock")
	if err := os.RemoveAll(socket); err != nil {
		return fmt.Errorf("removing the socket of the last boot: %w", err)
	}
	// A new cgroup for every boot: one of version 2 that has handed down its
	// controllers takes no process.
	n.boots++
	log := filepath.Join(c.logs, n.options.Name+"-cell.log")
	cgroup := fmt.Sprintf("%s/%s.%d", c.slot.Cgroup(), n.options.Name, n.boots)
	pid, err := c.world.Start(ctx, cell.Process{
		Args: []string{c.path("cell"), "-cgroup", cgroup, socket}, Env: c.environment(),
		Log: log, Cell: true,
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", n.options.Name, err)
	}
	n.pid = pid
	if n.cell, err = cell.Dial(ctx, socket); err != nil {
		return fmt.Errorf("starting %s: %w; the end of its log:\n%s", n.options.Name, err, tail(log, 5))
	}
	mounts := []cell.Mount{
		{Type: "tmpfs", Target: "/run"},
		{Source: n.path("lib"), Target: "/var/lib"},
		{Source: n.path("log"), Target: "/var/log"},
	}
	for file, target := range n.covered() {
		mounts = append(mounts, cell.Mount{Source: n.path(file), Target: target})
	}
	if err := n.cell.Mount(ctx, mounts...); err != nil {
		return fmt.Errorf("starting %s: %w", n.options.Name, err)
	}
	return nil
}

// covered are single files of the node's folder and what they cover.
func (n *Node) covered() map[string]string {
	files := map[string]string{"resolv.conf": "/etc/resolv.conf", "hosts": "/etc/hosts", "boot_id": "/proc/sys/kernel/random/boot_id"}
	if _, err := os.Stat("/etc/machine-id"); err == nil {
		files["machine-id"] = "/etc/machine-id"
	}
	for name := range kernelSettings() {
		files[filepath.Base(name)] = name
	}
	return files
}

// kernelSettings are what a kubelet wants to find and would otherwise change
// for the whole machine.
func kernelSettings() map[string]string {
	return map[string]string{
		"/proc/sys/vm/overcommit_memory":      "1",
		"/proc/sys/vm/panic_on_oom":           "0",
		"/proc/sys/kernel/panic":              "10",
		"/proc/sys/kernel/panic_on_oops":      "1",
		"/proc/sys/kernel/keys/root_maxkeys":  "1000000",
		"/proc/sys/kernel/keys/root_maxbytes": "25000000",
	}
}

// writeDisk writes the node's files. Every boot has an identifier of its own.
func (n *Node) writeDisk() error {
	network, err := networkFile(n.pods)
	if err != nil {
		return err
	}
	n.bootID = newUUID()
	files := map[string]string{
		// Short, so that a node without a name server fails while a test looks.
		"resolv.conf":     "nameserver " + dnsService().String() + "\noptions timeout:1 attempts:1\n",
		"hosts":           "127.0.0.1 localhost\n",
		"boot_id":         n.bootID + "\n",
		"machine-id":      fmt.Sprintf("%032x\n", n.number+1),
		"containerd.toml": runtimeFile(n.cluster.path("registries"), n.cluster.bin, n.path("net.d")),
	}
	if n.options.Network == nil {
		files[podNetworkFile] = network
	}
	for name, value := range kernelSettings() {
		files[filepath.Base(name)] = value + "\n"
	}
	for _, dir := range []string{"lib", "log", "net.d"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			return fmt.Errorf("making the disk of %s: %w", n.options.Name, err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(n.path(name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing the disk of %s: %w", n.options.Name, err)
		}
	}
	return nil
}

// podNetworkFile is by which a runtime knows that pods have a network.
const podNetworkFile = "net.d/pods.conflist"

// bringNetwork gives pods their network where that comes later than the kubelet.
func (n *Node) bringNetwork(ctx context.Context) error {
	if n.options.Network == nil {
		return nil
	}
	if err := n.options.Network(ctx); err != nil {
		return fmt.Errorf("waiting to bring the network of %s: %w", n.options.Name, err)
	}
	network, err := networkFile(n.pods)
	if err == nil {
		err = os.WriteFile(n.path(podNetworkFile), []byte(network), 0o644)
	}
	if err != nil {
		return fmt.Errorf("bringing the network of %s: %w", n.options.Name, err)
	}
	return nil
}

func newUUID() string {
	text := fmt.Sprintf("%x", []byte(rand.Text()[:16]))
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:32]}, "-")
}

// startRuntime starts containerd and loads the images that the node holds from
// the start.
func (n *Node) startRuntime(ctx context.Context) error {
	err := n.launch(ctx, "containerd", []string{"containerd", "--config", n.path("containerd.toml")},
		[]string{"SSL_CERT_FILE=" + n.cluster.path("trusted.crt")})
	if err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = n.cluster.until(ready, "containerd of "+n.options.Name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := n.ctr(ctx, "version")
		return err
	})
	if err != nil {
		return err
	}
	_, err = n.ctr(ctx, "images", "import", n.cluster.path("images.tar"))
	return err
}

// launch starts a program of the node.
func (n *Node) launch(ctx context.Context, name string, args, env []string) error {
	p, err := n.cluster.launch(ctx, n.cell, n.options.Name+"-"+name, args, env)
	if err != nil {
		return err
	}
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.processes = append(n.processes, p)
	return nil
}

// ctr runs containerd's own client.
func (n *Node) ctr(ctx context.Context, args ...string) (string, error) {
	if n.cell == nil {
		return "", fmt.Errorf("asking containerd of %s: the node is off", n.options.Name)
	}
	command := append([]string{n.cluster.bin + "/ctr", "--address", runtimeSocket, "--namespace", "k8s.io"}, args...)
	out, err := n.cell.Run(ctx, command...)
	if err != nil {
		return "", fmt.Errorf("asking containerd of %s: %w", n.options.Name, err)
	}
	return out, nil
}

// EvictImages removes every image but those of Options.Images, so that the
// next pull is a cold one. Running containers go on.
func (n *Node) EvictImages(ctx context.Context) error {
	rows, err := n.images(ctx)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for name, digest := range rows {
		if _, ok := n.cluster.options.Images[name]; ok || name == sandboxImage {
			kept[digest] = true
		}
	}
	remove := []string{"images", "remove", "--sync"}
	for name, digest := range rows {
		if !kept[digest] {
			remove = append(remove, name)
		}
	}
	if len(remove) == 3 {
		return nil
	}
	_, err = n.ctr(ctx, remove...)
	return err
}

// images returns the digest of every name that the runtime has for an image.
func (n *Node) images(ctx context.Context) (map[string]string, error) {
	out, err := n.ctr(ctx, "images", "list")
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for _, line := range strings.Split(out, "\n")[1:] { // the first is the heading: REF TYPE DIGEST...
		if fields := strings.Fields(line); len(fields) > 2 {
			rows[fields[0]] = fields[2]
		}
	}
	return rows, nil
}
