//go:build linux

package cluster

import (
	"net/netip"
	"testing"

	"github.com/pullpace/pace/test/cluster/slot"
)

func TestPlansOfAllSlotsAreApart(t *testing.T) {
	t.Parallel()
	benchmark := netip.MustParsePrefix("198.18.0.0/15")
	var all []netip.Prefix
	for index := range slot.Count {
		p := plan{slot: index}
		all = append(all, p.uplinkNetwork(), p.nodeNetwork(), p.podNetworks())
	}
	for i, a := range all {
		if a != a.Masked() {
			t.Errorf("%s is not the first address of its network", a)
		}
		if !benchmark.Contains(a.Addr()) {
			t.Errorf("%s is outside %s", a, benchmark)
		}
		for _, b := range all[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s and %s overlap", a, b)
			}
		}
	}
}

func TestPlanKeepsAddressesInTheirNetworks(t *testing.T) {
	t.Parallel()
	for index := range slot.Count {
		p := plan{slot: index}
		seen := map[netip.Addr]bool{}
		uplink := []netip.Addr{p.host(), p.world()}
		for group := range maxEgress {
			uplink = append(uplink, p.egress(group))
		}
		nodes := []netip.Addr{p.bridge()}
		for n := range maxNodes {
			nodes = append(nodes, p.node(n))
			if !p.podNetworks().Contains(p.podNetwork(n).Addr()) {
				t.Errorf("slot %d: %s is outside %s", index, p.podNetwork(n), p.podNetworks())
			}
		}
		for network, addresses := range map[netip.Prefix][]netip.Addr{p.uplinkNetwork(): uplink, p.nodeNetwork(): nodes} {
			for _, a := range addresses {
				if !network.Contains(a) || seen[a] {
					t.Errorf("slot %d: %s is outside %s or given out twice", index, a, network)
				}
				seen[a] = true
			}
		}
	}
}
