package controller

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// The heartbeat is written at most every beatEvery; a turn is taken at least
// every turnIdle, so that it is never older than 10 s while turns complete. It is
// fresh for beatFresh.
const (
	beatEvery = 3 * time.Second
	beatFresh = 30 * time.Second
)

// heartbeat renews a Lease after completed turns.
type heartbeat struct {
	client    client.Client
	live      client.Reader
	namespace string
	identity  string
	last      time.Time
	lease     *coordinationv1.Lease
}

// beat notes that a turn was completed at now.
func (h *heartbeat) beat(ctx context.Context, now time.Time) error {
	if now.Sub(h.last) < beatEvery {
		return nil
	}
	if err := h.write(ctx, now); err != nil {
		h.lease = nil
		return fmt.Errorf("writing the heartbeat: %w", err)
	}
	h.last = now
	return nil
}

func (h *heartbeat) write(ctx context.Context, now time.Time) error {
	if h.lease == nil {
		var lease coordinationv1.Lease
		err := h.live.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: v1alpha1.Heartbeat}, &lease)
		if apierrors.IsNotFound(err) {
			lease.Namespace, lease.Name = h.namespace, v1alpha1.Heartbeat
			h.fill(&lease, now)
			if err := h.client.Create(ctx, &lease, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
				return err
			}
			h.lease = &lease
			return nil
		}
		if err != nil {
			return err
		}
		h.lease = &lease
	}
	h.fill(h.lease, now)
	return h.client.Update(ctx, h.lease, client.FieldOwner(v1alpha1.FieldManager))
}

func (h *heartbeat) fill(l *coordinationv1.Lease, now time.Time) {
	l.Spec.HolderIdentity = &h.identity
	l.Spec.LeaseDurationSeconds = new(int32(beatFresh / time.Second))
	l.Spec.RenewTime = new(metav1.NewMicroTime(now))
}

// fresh reports whether a turn was completed a short while ago.
func fresh(l *coordinationv1.Lease, now time.Time) bool {
	return l != nil && l.Spec.RenewTime != nil && now.Sub(l.Spec.RenewTime.Time) < beatFresh
}
