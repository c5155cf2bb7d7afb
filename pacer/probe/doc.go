// Package probe asks registries from where the nodes of an egress group leave the
// network: the controller leaves a question in a ConfigMap, a small pod on such a
// node asks the registry for it and leaves the answer beside it.
//
// A probe has no port, no Secret and no credentials: what is metered by user is
// asked by the controller itself. It decides nothing and remembers nothing. What it
// answers is believed only for the question that it names, and its clock not at all.
package probe
