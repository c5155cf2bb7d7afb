//go:build linux

package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// askFor is how long the API server may take to tell of a Service: as long as resolvers
// wait for an answer, before they ask again.
const askFor = 5 * time.Second

// serviceAddress finds a ready pod of a Service. There is no kube-proxy, so
// names lead to pods themselves, and clients have to use the pods' port. An error says
// that it is not known whether there is one.
func (c *Cluster) serviceAddress(namespace, name string) (address netip.Addr, found bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	slices, err := c.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: name}.String(),
	})
	if err != nil {
		return netip.Addr{}, false, fmt.Errorf("looking for service %s/%s: %w", namespace, name, err)
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
				continue
			}
			for _, text := range endpoint.Addresses {
				if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
					return address, true, nil
				}
			}
		}
	}
	return netip.Addr{}, false, nil
}
