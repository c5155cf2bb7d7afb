//go:build linux

package cluster

import "io"

// Existing returns the cluster that a kubeconfig leads to. It has no nodes or
// network to control: methods that need them return ErrNoControl, and Stop
// does nothing.
func Existing(kubeconfig string) (*Cluster, error) {
	c := &Cluster{log: io.Discard, kubeconfig: kubeconfig}
	if err := c.loadKubeconfig(); err != nil {
		return nil, err
	}
	return c, nil
}
