package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// conflictRetries is how often a release is tried again on a pod that changed
// meanwhile; the kubelet leaves gated pods alone, so that one is rare.
const conflictRetries = 5

// errForeignGate says that another owner's gate came onto the pod.
var errForeignGate = errors.New("another owner's scheduling gate is on the pod")

// errGone says that there is nothing to release any more.
var errGone = errors.New("it is gone or not held any more")

// releaser takes holds off pods. It is safe for concurrent use.
type releaser struct {
	client client.Client
	// live reads past the cache, which may lag behind a conflict.
	live client.Reader
}

// let writes what lets something go.
func (r *releaser) let(ctx context.Context, g *going) error {
	switch {
	case g.job != nil:
		return r.resume(ctx, g.job, g.letting.Mark)
	case g.node != nil:
		return r.letNode(ctx, g.node, g.letting.Mark)
	case g.step != nil:
		return nil // it is told so when it asks next
	}
	return r.releaseOrLess(ctx, g.pod, g.letting)
}

// releaseOrLess writes a release, and where that is refused once more the least of it:
// gate, label and mark. A policy engine may deny the affinity, or what others
// added meanwhile may make it invalid; preferred nodes are not worth a hold.
func (r *releaser) releaseOrLess(ctx context.Context, pod *corev1.Pod, letting gate.Letting) error {
	err := r.release(ctx, pod, letting)
	if err == nil || !refusal(err) || errors.Is(err, errForeignGate) || len(letting.Hostnames) == 0 && letting.Wave == "" {
		return err
	}
	if r.release(ctx, pod, gate.Letting{Mark: letting.Mark}) == nil {
		return nil
	}
	return err
}

// release writes one release as a patch under optimistic lock. It returns errGone
// when there was nothing to do, and any other error when the pod is held still,
// as far as is known.
func (r *releaser) release(ctx context.Context, pod *corev1.Pod, letting gate.Letting) error {
	for attempt := 0; ; attempt++ {
		err := r.patch(ctx, pod, letting)
		switch {
		case err == nil:
			return nil
		case apierrors.IsNotFound(err):
			return errGone
		case !apierrors.IsConflict(err) || attempt >= conflictRetries:
			return fmt.Errorf("releasing pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if pod, err = r.reread(ctx, pod); err != nil {
			return err
		}
	}
}

func (r *releaser) patch(ctx context.Context, pod *corev1.Pod, letting gate.Letting) error {
	next := pod.DeepCopy()
	if !gate.Release(next, letting) {
		return errGone
	}
	// The lock makes the server refuse the patch when the pod is not the one that
	// was read, so that an affinity or a gate added meanwhile is never lost.
	patch := client.StrategicMergeFrom(pod.DeepCopy(), client.MergeFromWithOptimisticLock{})
	return r.client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
}

// reread fetches a pod again and checks that it may still be released.
func (r *releaser) reread(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	var now corev1.Pod
	err := r.live.Get(ctx, client.ObjectKeyFromObject(pod), &now)
	switch {
	case apierrors.IsNotFound(err):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("reading pod %s/%s again: %w", pod.Namespace, pod.Name, err)
	case now.UID != pod.UID || !gate.Gated(&now):
		return nil, errGone
	case gate.ForeignGate(&now):
		return nil, fmt.Errorf("releasing pod %s/%s: %w", pod.Namespace, pod.Name, errForeignGate)
	}
	return &now, nil
}

// refusal reports whether an error is the answer of the API server or of an
// admission controller rather than a fault on the way.
func refusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) || errors.Is(err, errForeignGate)
}
