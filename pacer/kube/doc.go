// Package kube translates between cluster objects and the decision core, in both
// directions, and nowhere else does code know both vocabularies.
//
// A [Tracker] turns changes of nodes, pods, workloads, namespaces, PullBudgets
// and PacePolicies into engine events, one object at a time, so that a turn never
// walks the cluster. It also answers what the core cannot: which pods of a group
// go ([Tracker.Choose]), and whose pods are whose.
//
// A [Fleet] keeps what of nodes and pods a price depends on. [Price] prices a
// workload over it and [Quote] says whether its pods would wait: the controller
// answers dry runs by them, and the plugin prices by them where nobody answers.
//
// What it does not do: it talks to no API server, decides on no hold, and a
// Tracker is not safe for concurrent use.
package kube
