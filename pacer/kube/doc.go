// Package kube translates between cluster objects and the decision core, in both
// directions, and nowhere else does code know both vocabularies.
//
// A [Tracker] turns changes of nodes, pods, workloads, namespaces, PullBudgets
// and PacePolicies into engine events, one object at a time, so that a turn never
// walks the cluster. It also answers what the core cannot: which pods of a group
// go ([Tracker.Choose]), and whose pods are whose. [Release] and [Gate] say how a
// hold is put on a pod and taken off, and [Price] prices a workload over listed
// objects for people who have no controller.
//
// What it does not do: it talks to no API server, decides on no hold, and is not
// safe for concurrent use where it keeps state.
package kube
