package controller

import (
	"context"

	"gomodules.xyz/jsonpatch/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// admitJobsPath is where Jobs are admitted.
const admitJobsPath = "/mutate-jobs"

// jobAdmitter suspends Jobs with a deadline that are being created: a gate on
// their pods would use the deadline up. It reads caches only and lets a Job through
// as it is whenever it is in doubt. It is safe for concurrent use.
type jobAdmitter struct{ *admitter }

// Handle implements admission.Handler. A dry run is answered as a real one.
func (a *jobAdmitter) Handle(ctx context.Context, req admission.Request) admission.Response {
	var job batchv1.Job
	if err := a.decoder.Decode(req, &job); err != nil {
		log.FromContext(ctx).Error(err, "job not understood, let through")
		return admission.Allowed("")
	}
	if job.Namespace == "" {
		job.Namespace = req.Namespace
	}
	verdict := a.judgeJob(ctx, &job)
	a.metrics.admitted(verdict)
	if !verdict.Hold {
		return admission.Allowed(string(verdict.Reason))
	}
	held := job.DeepCopy()
	gate.Suspend(held, a.clock.Now(), verdict.MaxHold)
	// It names what it changes and nothing else, so that fields which this program
	// does not know are left as they are.
	ops := addKeys("/metadata/annotations", job.Annotations, held.Annotations)
	ops = append(ops, addKeys("/metadata/labels", job.Labels, held.Labels)...)
	return admission.Patched("", append(ops, jsonpatch.NewOperation("add", "/spec/suspend", true))...)
}

func (a *jobAdmitter) judgeJob(ctx context.Context, job *batchv1.Job) kube.Verdict {
	rules := a.rules.Load()
	if rules == nil {
		return kube.Verdict{Reason: core.Excluded}
	}
	var namespace corev1.Namespace
	if a.reader.Get(ctx, client.ObjectKey{Name: job.Namespace}, &namespace) != nil {
		return kube.Verdict{Reason: core.NotOptedIn}
	}
	gated, err := a.held.in(job.Namespace)
	if err != nil {
		return kube.Verdict{Reason: core.Excluded}
	}
	return a.whileBeating(rules.JudgeJob(kube.Case{Job: job, Namespace: &namespace, Gated: gated, Hopeless: a.hopeless(ctx)}))
}

// job is the Job that the pod is of; nil when it is of none, or cannot be read. A
// Job makes its pods at once, often before a cache knows of it.
func (a *admitter) job(ctx context.Context, pod *corev1.Pod) *batchv1.Job {
	ref := metav1.GetControllerOf(pod)
	if ref == nil || ref.Kind != "Job" {
		return nil
	}
	return find[batchv1.Job](ctx, a, client.ObjectKey{Namespace: pod.Namespace, Name: ref.Name}, ref.UID)
}
