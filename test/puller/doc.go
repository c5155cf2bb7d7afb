// Package puller stands in for the kubelets and runtimes of nodes that nobody runs: for
// each pod that is bound to such a node it asks the registry for the images that the node
// has not got, as containerd does, and writes what kubelets write: container statuses in
// their own words, Events, and the images that the node holds.
//
// It starts nothing, downloads no layers, and leaves the readiness of nodes to others.
package puller
