package kube

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// kueueQueue is the label by which people give a Job or pod to Kueue.
const kueueQueue = "kueue.x-k8s.io/queue-name"

// jobController is the manager of Jobs that Kubernetes has itself.
const jobController = "kubernetes.io/job-controller"

// HasDeadline reports whether a Job must end in time, counted from its start: a
// gate on its pods would use that time up, so that it is suspended instead.
func HasDeadline(j *batchv1.Job) bool { return j.Spec.ActiveDeadlineSeconds != nil }

// suspendable reports whether a Job that is being created is one that we may
// suspend: nobody else decides when it goes.
func suspendable(j *batchv1.Job) bool {
	_, queued := j.Labels[kueueQueue]
	ref := metav1.GetControllerOf(j)
	switch {
	case !HasDeadline(j) || queued || JobPods(j) == 0,
		j.Spec.Suspend != nil && *j.Spec.Suspend,
		j.Spec.ManagedBy != nil && *j.Spec.ManagedBy != jobController,
		ref != nil && ref.Kind != "CronJob":
		return false
	}
	return true
}

// JobPods is how many pods a Job runs at once, at most.
func JobPods(j *batchv1.Job) int {
	wanted := 1
	if j.Spec.Parallelism != nil {
		wanted = int(*j.Spec.Parallelism)
	}
	if j.Spec.Completions != nil {
		wanted = min(wanted, int(*j.Spec.Completions-j.Status.Succeeded))
	}
	return max(wanted, 0)
}

// ended reports whether a Job makes no more pods.
func ended(j *batchv1.Job) bool {
	return j.DeletionTimestamp != nil || slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// standIn is pod number i of those that a Job has not made yet, as far as it can
// be told: held while we hold the Job; let go, and waiting for a node that is
// found when the Job makes the real one, afterwards.
func standIn(j *batchv1.Job, i int) *corev1.Pod {
	template := &j.Spec.Template
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: j.Namespace, Name: fmt.Sprintf("%s-%d", j.Name, i), UID: types.UID(fmt.Sprintf("%s/%d", j.UID, i)),
			Labels: template.Labels, CreationTimestamp: j.CreationTimestamp, Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: template.Spec,
	}
	if p.Spec.ServiceAccountName == "" {
		p.Spec.ServiceAccountName = "default"
	}
	p.Spec.SchedulingGates = nil
	if gate.Suspended(j) {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
		p.Annotations[v1alpha1.AnnotationHoldUntil] = j.Annotations[v1alpha1.AnnotationHoldUntil]
		return p
	}
	p.Annotations[v1alpha1.AnnotationRelease] = j.Annotations[v1alpha1.AnnotationRelease]
	// A Job that cannot make its pods must not block others for ever: what finds no
	// node is parked after a while, and counted again when its real pod is bound.
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	return p
}
