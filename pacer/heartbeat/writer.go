package heartbeat

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

// Every is how often a Lease is renewed at most. A turn is taken at least every 5 s,
// so that a heartbeat is never older than 10 s while turns complete.
const Every = 3 * time.Second

// Writer renews a Lease. It is not safe for concurrent use.
type Writer struct {
	Client client.Client
	// Live reads past a cache.
	Live client.Reader
	// Lease is what is renewed, Identity who does it.
	Lease    client.ObjectKey
	Identity string
	// Version is that of who does it, for those who read what it wrote.
	Version string

	last  time.Time
	lease *coordinationv1.Lease
}

// Beat notes that work was done at now.
func (w *Writer) Beat(ctx context.Context, now time.Time) error {
	if since := now.Sub(w.last); since >= 0 && since < Every {
		return nil
	}
	if err := w.write(ctx, now); err != nil {
		w.lease = nil
		return fmt.Errorf("renewing Lease %s: %w", w.Lease.Name, err)
	}
	w.last = now
	return nil
}

func (w *Writer) write(ctx context.Context, now time.Time) error {
	if w.lease == nil {
		var lease coordinationv1.Lease
		err := w.Live.Get(ctx, w.Lease, &lease)
		if apierrors.IsNotFound(err) {
			lease.Namespace, lease.Name = w.Lease.Namespace, w.Lease.Name
			w.fill(&lease, now)
			if err := w.Client.Create(ctx, &lease, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
				return err
			}
			w.lease = &lease
			return nil
		}
		if err != nil {
			return err
		}
		w.lease = &lease
	}
	w.fill(w.lease, now)
	return w.Client.Update(ctx, w.lease, client.FieldOwner(v1alpha1.FieldManager))
}

func (w *Writer) fill(l *coordinationv1.Lease, now time.Time) {
	if w.Version != "" {
		metav1.SetMetaDataAnnotation(&l.ObjectMeta, v1alpha1.AnnotationVersion, w.Version)
	}
	l.Spec.HolderIdentity = &w.Identity
	l.Spec.LeaseDurationSeconds = new(int32(Fresh / time.Second))
	l.Spec.RenewTime = new(metav1.NewMicroTime(now))
}
