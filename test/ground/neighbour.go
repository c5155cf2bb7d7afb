//go:build linux

package ground

import (
	"context"
	"errors"

	"github.com/pullpace/pace/test/cluster"
)

// Neighbour brings up another cluster, without the product, whose nodes pull from the
// registry of this ground. The hosts that they may ask are given by Reach; those of
// the product and of Infra are. It ends with the ground.
func (g *Ground) Neighbour(ctx context.Context, o Options) (*Ground, error) {
	n := &Ground{Registry: g.Registry, Maker: g.Maker, bin: g.bin, image: g.image, log: g.log}
	if err := n.startBeside(ctx, o); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	g.neighbours = append(g.neighbours, n)
	return n, nil
}

func (g *Ground) startBeside(ctx context.Context, o Options) (err error) {
	if g.Cluster, err = cluster.Prepare(ctx, cluster.Config{LogsDir: o.LogsDir, Log: g.log}); err != nil {
		return err
	}
	if err := g.serve(); err != nil {
		return err
	}
	if err := g.Reach(Infra); err != nil {
		return err
	}
	return g.Cluster.Start(ctx, cluster.Options{Nodes: o.Nodes, RegistryCA: g.Registry.CA().PEM()})
}
