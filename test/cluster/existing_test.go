//go:build linux

package cluster_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/pullpace/pace/test/cluster"
)

func TestExistingClusterHasNoControl(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	noError(t, os.WriteFile(file, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://cluster.test"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`), 0o600))
	c, err := cluster.Existing(file)
	noError(t, err)
	if got := c.RESTConfig().Host; got != "https://cluster.test" {
		t.Errorf("the client asks %q", got)
	}
	_, addNode := c.AddNode(t.Context(), cluster.NodeOptions{})
	_, egress := c.EgressAddress(t.Context(), "nat")
	_, certificate := c.ServerCertificate("hub.test")
	_, images := c.Images(t.Context())
	for name, err := range map[string]error{
		"Start": c.Start(t.Context(), cluster.Options{}), "AddNode": addNode, "EgressAddress": egress,
		"ServerCertificate": certificate, "Images": images, "SetHost": c.SetHost("hub.test", netip.Addr{}),
		"RestartAPIServer": c.RestartAPIServer(t.Context()),
	} {
		if !errors.Is(err, cluster.ErrNoControl) {
			t.Errorf("%s: want ErrNoControl, got %v", name, err)
		}
	}
	if c.HostAddress().IsValid() || len(c.Nodes()) != 0 {
		t.Error("an existing cluster has an address or nodes")
	}
	noError(t, c.Stop())
}
