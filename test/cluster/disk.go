//go:build linux

package cluster

// Disk is where this machine finds what the node has below /var/lib, such as a
// folder of static pods.
func (n *Node) Disk(elements ...string) string {
	return n.path(append([]string{"lib"}, elements...)...)
}
