package plugin

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// heldJob is a Job of three pods at once that Pace suspended.
func heldJob(name string) *batchv1.Job {
	j := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "job", CreationTimestamp: metav1.NewTime(now.Add(-20 * time.Minute))},
	}
	j.Spec.Parallelism = new(int32(3))
	gate.Suspend(j, now, time.Hour)
	j.Annotations[v1alpha1.AnnotationHoldReason] = "WaitingForBudget: 3 pods like this: 3 units needed"
	return j
}

// jobPod is a held pod of Job "plain".
func jobPod() *corev1.Pod {
	p := heldPod("plain-1", "plain")
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "plain", UID: "plain", Controller: new(true)}}
	return p
}

// freeJob is one that Pace does not hold.
func freeJob(name string) *batchv1.Job {
	return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "plain"}}
}

func TestHeldJobsAreShown(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), heldJob("seed"), jobPod(), freeJob("plain"), freeJob("idle"))...)
	h.wants(h.run("status"), ExitOK, "4 pods and 0 nodes held", "job/seed", "job/plain", "WaitingForBudget", "3 units needed")
	h.wants(h.run("explain", "job/seed"), ExitOK, "HELD 20m", "WaitingForBudget", "3 units needed", "3 pods", "15:10:00", "docker.io/anonymous   0 free")
	h.wants(h.run("explain", "job/plain"), ExitOK, "HELD", "1 pod")
	h.wants(h.run("explain", "job/idle"), ExitOK, "NOT HELD")
	unsaid := heldJob("seed")
	delete(unsaid.Annotations, v1alpha1.AnnotationHoldReason)
	h = newHarness(t, interceptor.Funcs{}, paced(budget(0), unsaid)...)
	h.wants(h.run("explain", "job/seed"), ExitOK, "HELD", "has not said why yet")
}

func TestReleaseOfAJobAsksTheController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), paced(heldJob("seed"), jobPod(), freeJob("plain"), freeJob("idle"))...)
	order := v1alpha1.Order{By: "kim", Reason: "cannot wait", At: now}
	for _, job := range []*batchv1.Job{heldJob("seed"), freeJob("plain")} {
		h.wants(h.run("release", "job/"+job.Name, "--reason", "cannot wait"), ExitOK, "job/"+job.Name+" in shop released")
		wantOrder(t, read(h, job), v1alpha1.AnnotationOverride, order)
	}
	if !gate.Suspended(read(h, heldJob("seed"))) {
		t.Error("a Job is the controller's to resume while it works")
	}
	h.wants(h.run("release", "job/idle", "--reason", "cannot wait"), ExitError, "job/idle is not held")
	h.wants(h.run("release", "--all", "--reason", "incident"), ExitOK, "job/seed in shop released", "pod/plain-1 in shop released")
}

func TestReleaseNowOfAJobWithoutController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), heldJob("seed"), jobPod(), freeJob("plain"))
	h.wants(h.run("release", "job/seed", "--now", "--reason", "dead"), ExitOK, "job/seed in shop released")
	if j := read(h, heldJob("seed")); *j.Spec.Suspend || j.Labels[v1alpha1.LabelHeld] != "" || j.Annotations[v1alpha1.AnnotationSaved] != "" {
		t.Errorf("suspend %v, labels %v, annotations %v: want it free", *j.Spec.Suspend, j.Labels, j.Annotations)
	}
	h.wants(h.run("release", "job/plain", "--now", "--reason", "dead"), ExitOK, "pod/plain-1 in shop released")
	if gate.Gated(read(h, jobPod())) {
		t.Error("the pod of a Job without a deadline is held still")
	}
}
