// Package v1alpha1 is the API of Pace: PullBudget, what a registry allows, and
// PacePolicy, who is held and how. It holds the types, their defaults and their
// validation, the names that mark objects in a cluster, and the only conversion
// to the vocabulary of pacer/core.
//
// What it does not do: it decides nothing and talks to no API server.
//
// +kubebuilder:object:generate=true
// +groupName=pullpace.dev
package v1alpha1

//go:generate go tool controller-gen object paths=. output:object:dir=.
//go:generate go tool controller-gen crd:generateEmbeddedObjectMeta=true paths=. output:crd:dir=../../../manifests/crd
