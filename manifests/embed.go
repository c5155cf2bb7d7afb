// Package manifests holds what Pace is in a cluster, as a kustomize base:
// `kubectl apply -k manifests` and `kubectl pace install` apply the same files.
//
// It renders nothing; the plugin does.
package manifests

import "embed"

// Base is the folder of the kustomize base in Files.
const Base = "."

// Image is the name of the controller's image in the base, without tag.
const Image = "ghcr.io/pullpace/pacer"

// NodeWaves is the file in Files with the right to hold new nodes, which is no part of
// the base.
const NodeWaves = "rbac/nodes.yaml"

//go:embed kustomization.yaml crd rbac controller failsafe samples
var files embed.FS

// Files returns the base and the samples.
func Files() embed.FS { return files }
