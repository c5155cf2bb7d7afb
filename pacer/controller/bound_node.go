package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// lookAtNodes lets the node go whose hold should have ended first; it reports whether
// one went. A node goes before any pod, which may be waiting for it.
func (b *bound) lookAtNodes(ctx context.Context, now time.Time) (bool, error) {
	var nodes corev1.NodeList
	if err := b.client.List(ctx, &nodes, client.HasLabels{v1alpha1.LabelHeld}, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing held nodes: %w", err)
	}
	due := slices.DeleteFunc(nodes.Items, func(n corev1.Node) bool {
		until := gate.HoldUntil(&n)
		return until.IsZero() || !until.Before(now) || !gate.NodeHeld(&n)
	})
	if len(due) == 0 {
		return false, nil
	}
	node := slices.MinFunc(due, func(x, y corev1.Node) int { return gate.HoldUntil(&x).Compare(gate.HoldUntil(&y)) })
	err := b.releaser.letNode(ctx, &node, v1alpha1.ReleaseMark{Time: now.UTC(), Reason: string(core.HoldExpired)})
	switch {
	case errors.Is(err, errGone):
		return true, nil
	case err != nil:
		return false, err
	}
	b.metrics.nodes.released(core.HoldExpired)
	b.events.Eventf(&node, nil, corev1.EventTypeWarning, string(core.HoldExpired), "Release", "let go: %s, and no turn was completed for %s", text(core.HoldExpired), heartbeat.Fresh)
	return true, nil
}
