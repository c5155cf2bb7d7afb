// Package measure reads what Pace costs a cluster, from its processes and from the metrics
// of its replicas and of the API server. It judges nothing.
package measure
