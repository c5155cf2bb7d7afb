//go:build linux

package ground

import (
	"context"
	"errors"

	"github.com/pullpace/pace/test/cluster"
)

// Neighbour brings up another cluster, without the product, whose nodes pull from the
// registry of this ground. The hosts that they may ask are given by Reach; those of
// the product and of Infra are. Stop it before the ground.
func (g *Ground) Neighbour(ctx context.Context, nodes []cluster.NodeOptions) (*Ground, error) {
	n := &Ground{Registry: g.Registry, Maker: g.Maker, bin: g.bin, image: g.image, log: g.log}
	if err := n.startBeside(ctx, nodes); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (g *Ground) startBeside(ctx context.Context, nodes []cluster.NodeOptions) (err error) {
	if g.Cluster, err = cluster.Prepare(ctx, cluster.Config{Log: g.log}); err != nil {
		return err
	}
	if err := g.serve(); err != nil {
		return err
	}
	if err := g.Reach(Infra); err != nil {
		return err
	}
	return g.Cluster.Start(ctx, cluster.Options{Nodes: nodes, RegistryCA: g.Registry.CA().PEM()})
}
