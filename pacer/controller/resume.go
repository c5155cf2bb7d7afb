package controller

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// resume lets a Job go by one patch under optimistic lock, as release does a pod.
func (r *releaser) resume(ctx context.Context, job *batchv1.Job, mark v1alpha1.ReleaseMark) error {
	for attempt := 0; ; attempt++ {
		next := job.DeepCopy()
		if !gate.Resume(next, mark) {
			return errGone
		}
		patch := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{})
		err := r.client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
		switch {
		case err == nil:
			return nil
		case apierrors.IsNotFound(err):
			return errGone
		case !apierrors.IsConflict(err) || attempt >= conflictRetries:
			return fmt.Errorf("letting job %s/%s go: %w", job.Namespace, job.Name, err)
		}
		if job, err = r.rereadJob(ctx, job); err != nil {
			return err
		}
	}
}

// rereadJob fetches a Job again.
func (r *releaser) rereadJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	var now batchv1.Job
	err := r.live.Get(ctx, client.ObjectKeyFromObject(job), &now)
	switch {
	case apierrors.IsNotFound(err) || (err == nil && now.UID != job.UID):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("reading job %s/%s again: %w", job.Namespace, job.Name, err)
	}
	return &now, nil
}

// tidy takes our marks off Jobs that somebody else let go while we held them. Their
// pods are booked as they come, like all that nobody held.
func (t *Turn) tidy(ctx context.Context, d engine.Decision) {
	for _, job := range t.world.tracker.Resumed() {
		mark := v1alpha1.ReleaseMark{Decision: d.ID, Time: d.At.UTC(), Reason: string(core.Override)}
		if err := t.releaser.resume(ctx, job, mark); err != nil && !errors.Is(err, errGone) {
			log.FromContext(ctx).Error(err, "marks not taken off", "job", client.ObjectKeyFromObject(job))
		}
	}
}
