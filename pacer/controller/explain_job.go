package controller

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// explainTries is how often an explanation is written on a Job that changes at the
// same time.
const explainTries = 3

// tellJob queues what a held Job should say of itself.
func (e *explainer) tellJob(job *batchv1.Job, h engine.Hold, cause string) {
	id := core.PodID(job.Namespace + "/" + job.Name + "/" + string(job.UID))
	e.enqueue(id, explanation{
		namespace: job.Namespace, name: job.Name, uid: job.UID, reason: h.Reason,
		message: message(h, cause, gate.HoldUntil(job)), held: true, job: true,
	}, false)
}

// writeOnJob writes the explanation on a Job while it is held: under optimistic
// lock, so that it never comes after the release that takes it off.
func (e *explainer) writeOnJob(ctx context.Context, x explanation) error {
	var err error
	for range explainTries {
		var job batchv1.Job
		if err = e.client.Get(ctx, client.ObjectKey{Namespace: x.namespace, Name: x.name}, &job); err != nil {
			return client.IgnoreNotFound(err)
		}
		if job.UID != x.uid || !gate.Suspended(&job) {
			return nil
		}
		before := job.DeepCopy()
		job.Annotations[v1alpha1.AnnotationHoldReason] = cut(string(x.reason)+": "+x.message, maxMessage)
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		err = e.client.Patch(ctx, &job, patch, client.FieldOwner(v1alpha1.FieldManager))
		if !apierrors.IsConflict(err) {
			return client.IgnoreNotFound(err)
		}
		if e.pace.Wait(ctx) != nil {
			return nil
		}
	}
	return err
}
