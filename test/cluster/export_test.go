//go:build linux

package cluster

import "context"

// InWorld runs a shell command among the networks of all nodes.
func (c *Cluster) InWorld(ctx context.Context, command string) (string, error) {
	return c.world.Run(ctx, "sh", "-ec", command)
}
