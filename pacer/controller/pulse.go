package controller

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// pulseEvery is how often the heartbeat is looked at; the cache answers.
const pulseEvery = time.Second

// pulse knows on every replica whether turns complete. Nothing new is held while
// they do not: nobody would let it go. It is safe for concurrent use.
type pulse struct {
	reader    client.Reader
	clock     clock.PassiveClock
	namespace string
	watch     heartbeat.Watch
}

// NeedLeaderElection says that every replica admits, and so must know.
func (p *pulse) NeedLeaderElection() bool { return false }

// Start looks at the heartbeat until ctx ends. It implements manager.Runnable.
func (p *pulse) Start(ctx context.Context) error {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "heartbeat not read")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *pulse) look(ctx context.Context) error {
	var lease coordinationv1.Lease
	err := p.reader.Get(ctx, beatKey(p.namespace), &lease)
	switch {
	case err == nil:
		p.watch.See(&lease, p.clock.Now())
	case client.IgnoreNotFound(err) == nil:
		p.watch.See(nil, p.clock.Now())
	default:
		return fmt.Errorf("reading the heartbeat: %w", err)
	}
	return nil
}

// beating reports whether a turn was completed a short while ago.
func (p *pulse) beating() bool { return p.watch.Fresh(p.clock.Now()) }

// beatKey names the heartbeat of completed turns.
func beatKey(namespace string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: v1alpha1.Heartbeat}
}
