package setup

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// Drip lets held pods go a few at a time.
type Drip struct {
	Client client.Client
	// Free is how many may go at the first step; one at each later.
	Free int64

	released []client.ObjectKey
}

// Step lets the next pods go, oldest first, and returns how many are held still.
// While a pod that was let go is refused by its registry it lets none go.
func (d *Drip) Step(ctx context.Context, sum *view.Uninstall) (int, error) {
	held, err := cluster.HeldPods(ctx, d.Client, "")
	if err != nil {
		return 0, err
	}
	throttled, err := d.throttled(ctx)
	if err != nil || throttled {
		return len(held), err
	}
	n := min(len(held), int(max(d.Free, 1)))
	d.Free = 0
	for i := range held[:n] {
		pod := &held[i]
		d.released = append(d.released, client.ObjectKeyFromObject(pod))
		if err := Sweep(ctx, d.Client, []client.Object{pod}, sum); err != nil {
			return len(held), err
		}
	}
	return len(held) - n, nil
}

// throttled reports whether a pod that was let go is refused with a 429 now.
func (d *Drip) throttled(ctx context.Context) (bool, error) {
	for _, key := range d.released {
		var pod corev1.Pod
		if err := d.Client.Get(ctx, key, &pod); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return false, err
		}
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if w := s.State.Waiting; w != nil && feedback.Classify(w.Reason, w.Message, "").Class == feedback.Throttled {
				return true, nil
			}
		}
	}
	return false, nil
}
