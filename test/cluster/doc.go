// Package cluster starts a real Kubernetes cluster on one Linux machine, for
// tests and the demo: etcd, the control plane, and nodes that are each a real
// kubelet with a real containerd and runc.
//
// Everything runs inside one cell, the world, with process, mount and network
// namespaces of its own; every node is a cell inside that one. What leaves the
// world passes address translation by egress group, so a registry in the
// calling process sees one source address per group. When the world's first
// process ends, however that happens, the kernel ends all of it; what remains
// on the machine (a folder, cgroups) a janitor process removes.
//
//	machine's namespace      world                               node
//	test, registry           API server 10.96.0.1                kubelet
//	  paceN 198.18.N.1 ----- uplink 198.18.N.2, one address      containerd
//	                         per egress group                    pods 198.19.x.0/24
//	                         DNS 10.96.0.10
//	                         bridge 198.18.64+N.1 -------------- eth0
//
// There is no kube-proxy: of all Services only that of the API server has an
// address that works. The API server reaches webhooks at their pods, and the
// names of other Services resolve to a ready pod, whose port a client must use.
// The package knows nothing of what is tested on it.
package cluster
