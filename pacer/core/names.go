package core

import "strings"

// Units is what a registry's limiter charges: one for a pull on Docker Hub, one
// for a manifest GET or one for a request elsewhere. Never a number of pods.
type Units int64

// AccountID names what a registry meters: a registry host and the identity that
// it sees, as "host/identity" or "host/identity@egress". Unique in a cluster.
type AccountID string

// GroupID names pods that are alike in workload revision, image set, class and
// eligible nodes.
type GroupID string

// PodID names one pod, as "namespace/name/uid", so that a recreated pod of the
// same name is another pod.
type PodID string

// NodeID is a node's name.
type NodeID string

// PoolID names a set of nodes that pods with the same constraints may use.
type PoolID string

// Image is an image as a node lists it: a normalised reference
// ("docker.io/library/nginx:1.27") or, where the digest decides whether it is
// present, "docker.io/library/nginx@sha256:...". Never empty.
type Image string

// Host is the registry host of an image, empty where its name has none.
func (i Image) Host() string {
	host, _, found := strings.Cut(string(i), "/")
	if !found {
		return ""
	}
	return host
}
