//go:build linux

package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

const (
	runtimeSocket = "/run/containerd/containerd.sock"
	runtimeConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
  address = %[1]q

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %[2]q

[plugins."io.containerd.cri.v1.images".registry]
  config_path = %[3]q

[plugins."io.containerd.cri.v1.runtime"]
  # A machine may not allow scores below its own, and runc fails then.
  restrict_oom_score_adj = true
  disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [%[4]q]
  conf_dir = %[5]q
`
)

// runtimeFile is the configuration of containerd.
func runtimeFile(registries, plugins, networks string) string {
	return fmt.Sprintf(runtimeConfig, runtimeSocket, sandboxImage, registries, plugins, networks)
}

// hostsFile is containerd's hosts.toml of one registry.
func hostsFile(host string, r Registry) string {
	var b strings.Builder
	server := r.Server
	if server == "" {
		server = "https://" + host
	}
	fmt.Fprintf(&b, "server = %q\n", server)
	for _, mirror := range r.Mirrors {
		fmt.Fprintf(&b, "\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", mirror)
	}
	return b.String()
}

// networkFile is the configuration of the pods' network. What it assigned is
// forgotten with the node's /run, as at a boot.
func networkFile(pods netip.Prefix) (string, error) {
	content, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []any{map[string]any{
			"type":   "ptp",
			"ipMasq": false,
			"ipam": map[string]any{
				"type":    "host-local",
				"dataDir": "/run/cni",
				"ranges":  []any{[]any{map[string]any{"subnet": pods.String()}}},
				"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
	if err != nil {
		return "", fmt.Errorf("writing the configuration of the pods' network: %w", err)
	}
	return string(content), nil
}
