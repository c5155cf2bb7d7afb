//go:build linux

package cluster

import (
	"fmt"
	"net/netip"
)

// plan is the address plan of the cluster in one slot. It lies in
// 198.18.0.0/15, the range for benchmarks (RFC 2544), which no real network
// routes. Clusters of different slots do not overlap.
type plan struct{ slot int }

const (
	maxNodes  = 16  // pod networks of one slot
	maxEgress = 200 // addresses on the uplink
)

// serviceNetwork exists only inside a world, so all worlds may use the same.
func serviceNetwork() netip.Prefix { return netip.MustParsePrefix("10.96.0.0/16") }

func apiService() netip.Addr { return netip.MustParseAddr("10.96.0.1") }

func dnsService() netip.Addr { return netip.MustParseAddr("10.96.0.10") }

// uplinkNetwork joins the machine and the world.
func (p plan) uplinkNetwork() netip.Prefix { return prefix(18, p.slot, 0, 24) }

func (p plan) host() netip.Addr  { return address(18, p.slot, 1) }
func (p plan) world() netip.Addr { return address(18, p.slot, 2) }

// egress is the address of the group with that number, from 0.
func (p plan) egress(group int) netip.Addr { return address(18, p.slot, 16+group) }

// nodeNetwork is the bridge that all nodes are on.
func (p plan) nodeNetwork() netip.Prefix { return prefix(18, 64+p.slot, 0, 24) }

func (p plan) bridge() netip.Addr { return address(18, 64+p.slot, 1) }

// node is the address of the node with that number, from 0.
func (p plan) node(n int) netip.Addr { return address(18, 64+p.slot, 10+n) }

// podNetworks holds those of all nodes.
func (p plan) podNetworks() netip.Prefix { return prefix(19, p.slot*maxNodes, 0, 20) }

// podNetwork is that of one node.
func (p plan) podNetwork(n int) netip.Prefix { return prefix(19, p.slot*maxNodes+n, 0, 24) }

func address(b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, byte(b), byte(c), byte(d)})
}

func prefix(b, c, d, bits int) netip.Prefix { return netip.PrefixFrom(address(b, c, d), bits) }

// within writes an address with the length of its network, as ip(8) wants it.
func within(a netip.Addr, network netip.Prefix) string {
	return fmt.Sprintf("%s/%d", a, network.Bits())
}
