//go:build linux

package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// script runs a shell script in the world and stops at the first error.
func (c *Cluster) script(ctx context.Context, lines ...string) error {
	_, err := c.world.Run(ctx, "sh", "-ec", strings.Join(lines, "\n"))
	return err
}

// connect joins the world to the machine and lays out its network.
func (c *Cluster) connect(ctx context.Context) error {
	link := c.slot.Link()
	for _, args := range []string{
		fmt.Sprintf("link add %s type veth peer name uplink netns %d", link, c.world.PID()),
		fmt.Sprintf("address add %s dev %s", within(c.plan.host(), c.plan.uplinkNetwork()), link),
		fmt.Sprintf("link set %s up", link),
		fmt.Sprintf("route add %s via %s", c.plan.nodeNetwork(), c.plan.world()),
		fmt.Sprintf("route add %s via %s", c.plan.podNetworks(), c.plan.world()),
	} {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("connecting the world: ip %s: %w: %s", args, err, out)
		}
	}
	err := c.script(ctx,
		"ip link set lo up",
		"ip address add "+within(c.plan.world(), c.plan.uplinkNetwork())+" dev uplink",
		"ip link set uplink up",
		"ip route add default via "+c.plan.host().String(),
		// With an address of its own: a bridge without one takes the least of its ports',
		// and changes it as nodes come and go, so that others send to nobody for half a
		// minute.
		"ip link add nodes address "+bridgeHardware+" type bridge",
		"ip address add "+within(c.plan.bridge(), c.plan.nodeNetwork())+" dev nodes",
		// The addresses of the two Services that work, on a machine that is
		// their own endpoint.
		"ip address add "+apiService().String()+"/32 dev nodes",
		"ip address add "+dnsService().String()+"/32 dev nodes",
		"ip link set nodes up",
		// Other Services fail at once rather than leave the world.
		"ip route add unreachable "+serviceNetwork().String(),
		"echo 1 > /proc/sys/net/ipv4/ip_forward",
		"nft '"+egressRules+"'",
	)
	if err != nil {
		return fmt.Errorf("laying out the world's network: %w", err)
	}
	return nil
}

// bridgeHardware is the bridge's address on its wire. Every world has a wire of its own.
const bridgeHardware = "02:00:00:00:00:01"

// egressRules give what leaves the world the source address of its group.
const egressRules = `add table ip pace;
add map ip pace egress { type ipv4_addr : ipv4_addr; flags interval; };
add chain ip pace out { type nat hook postrouting priority 100; };
add rule ip pace out oifname "uplink" snat to ip saddr map @egress`

// EgressAddress returns the source address that the registry sees for the
// group, making it at first use.
func (c *Cluster) EgressAddress(ctx context.Context, group string) (netip.Addr, error) {
	if err := c.controlled(); err != nil {
		return netip.Addr{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if address, ok := c.egress[group]; ok {
		return address, nil
	}
	if len(c.egress) == maxEgress {
		return netip.Addr{}, fmt.Errorf("adding egress group %q: a cluster has room for %d", group, maxEgress)
	}
	address := c.plan.egress(len(c.egress))
	if _, err := c.world.Run(ctx, "ip", "address", "add", address.String()+"/32", "dev", "uplink"); err != nil {
		return netip.Addr{}, fmt.Errorf("adding egress group %q: %w", group, err)
	}
	c.egress[group] = address
	return address, nil
}

// SetEgressGroup moves the node and its pods behind the address of another
// group. Connections that are open keep theirs.
func (n *Node) SetEgressGroup(ctx context.Context, group string) error {
	address, err := n.cluster.EgressAddress(ctx, group)
	if err != nil {
		return err
	}
	var commands []string
	if n.egress.IsValid() {
		commands = append(commands, fmt.Sprintf("delete element ip pace egress { %s : %s, %s : %s }", n.address, n.egress, n.pods, n.egress))
	}
	commands = append(commands, fmt.Sprintf("add element ip pace egress { %s : %s, %s : %s }", n.address, address, n.pods, address))
	if _, err := n.cluster.world.Run(ctx, "nft", strings.Join(commands, "; ")); err != nil {
		return fmt.Errorf("moving %s to egress group %q: %w", n.options.Name, group, err)
	}
	n.egress = address
	return nil
}

// connect gives the node's cell its link and routes.
func (n *Node) connect(ctx context.Context) error {
	plan := n.cluster.plan
	err := n.cluster.script(ctx,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %d", n.link(), n.pid),
		fmt.Sprintf("ip link set %s master nodes up", n.link()),
		fmt.Sprintf("ip route replace %s via %s dev nodes onlink", n.pods, n.address),
	)
	if err != nil {
		return fmt.Errorf("connecting %s: %w", n.options.Name, err)
	}
	_, err = n.cell.Run(ctx, "sh", "-ec", strings.Join([]string{
		"ip link set lo up",
		"ip address add " + within(n.address, plan.nodeNetwork()) + " dev eth0",
		"ip link set eth0 up",
		"ip route add default via " + plan.bridge().String(),
		"echo 1 > /proc/sys/net/ipv4/ip_forward",
	}, "\n"))
	if err != nil {
		return fmt.Errorf("laying out the network of %s: %w", n.options.Name, err)
	}
	return nil
}

// link is the name of the node's link in the world.
func (n *Node) link() string { return fmt.Sprintf("node%d", n.number) }

// Partition cuts the node off from everything, or joins it again. Its
// processes and pods go on.
func (n *Node) Partition(ctx context.Context, cut bool) error {
	state := "up"
	if cut {
		state = "down"
	}
	if _, err := n.cluster.world.Run(ctx, "ip", "link", "set", n.link(), state); err != nil {
		return fmt.Errorf("setting the link of %s %s: %w", n.options.Name, state, err)
	}
	return nil
}

// SetDNS decides whether the cluster's name server answers the node and its
// pods. Without an answer a look-up ends in a timeout.
func (n *Node) SetDNS(on bool) {
	n.cluster.dns.ignore(netip.PrefixFrom(n.address, 32), !on)
	n.cluster.dns.ignore(n.pods, !on)
}

// SetNameBroken decides whether the cluster's name server fails the node and its pods
// when they ask for a name; all other names resolve there as elsewhere.
func (n *Node) SetNameBroken(name string, broken bool) {
	n.cluster.dns.spoil(netip.PrefixFrom(n.address, 32), name, broken)
	n.cluster.dns.spoil(n.pods, name, broken)
}

// DropPodPort has everything that the API server's machine sends to a port of a pod
// vanish, as behind a firewall that drops: no answer, no refusal. With false it
// passes again. Nodes reach their own pods all the same.
func (c *Cluster) DropPodPort(ctx context.Context, port int, drop bool) error {
	if err := c.controlled(); err != nil {
		return err
	}
	rules := "add chain ip pace dropped { type filter hook output priority 0; }; flush chain ip pace dropped"
	if drop {
		rules += fmt.Sprintf("; add rule ip pace dropped ip daddr %s tcp dport %d drop", c.plan.podNetworks(), port)
	}
	if _, err := c.world.Run(ctx, "nft", rules); err != nil {
		return fmt.Errorf("dropping what goes to port %d of pods: %w", port, err)
	}
	return nil
}
