//go:build linux

package cluster

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Config is what Prepare needs. The zero value is usable.
type Config struct {
	// LogsDir receives the logs of all processes and is left alone afterwards.
	// Empty uses a temporary folder that Stop removes unless something failed.
	LogsDir string
	// Log receives progress for a person to read; nil discards it.
	Log io.Writer
}

// Options is what Start needs. The zero value starts a control plane alone.
type Options struct {
	// Nodes are started together.
	Nodes []NodeOptions
	// RegistryCA is a PEM bundle that containerd trusts beside the cluster's own
	// CA (see ServerCertificate).
	RegistryCA []byte
	// Registries says, by the host in image references, how containerd reaches
	// a registry. A host that is not listed is reached at its own name on port
	// 443.
	Registries map[string]Registry
	// Images are on every node from its start, by full reference, and survive
	// EvictImages.
	Images map[string]v1.Image
	// Further arguments of the control plane.
	APIServerArgs, ControllerManagerArgs, SchedulerArgs []string
}

// Registry is how containerd reaches one registry.
type Registry struct {
	// Server is the URL of the registry itself; empty is https:// and its host.
	Server string
	// Mirrors are URLs that are asked first, in order, for manifests and blobs.
	Mirrors []string
}

// NodeOptions describes one node.
type NodeOptions struct {
	// Name is the node's name; empty is "node-" and a number from 1.
	Name string
	// EgressGroup names the source address that the node and its pods have
	// outside the cluster. Nodes of one group share one.
	EgressGroup string
	// Zone becomes the label topology.kubernetes.io/zone.
	Zone string
	// Labels are further labels.
	Labels map[string]string
	// Taints are in the form key=value:effect or key:effect.
	Taints []string
	// Network, unless nil, is waited for before pods get a network on the node: until it
	// returns the node is registered and not Ready, as one is whose CNI comes later.
	Network func(ctx context.Context) error
	// NoDNS starts the node with a name server that never answers.
	NoDNS bool
	// Kubelet overrides fields of its configuration, by their names in
	// KubeletConfiguration (registryPullQPS, maxParallelImagePulls...).
	Kubelet map[string]any
}
