package gate_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

func theirJob() *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Labels: map[string]string{"theirs": "kept"}, Annotations: map[string]string{"theirs": "kept"}}}
	j.Spec.Suspend = new(false)
	return j
}

func TestAJobIsSuspendedAndLetGoAsItWas(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mark := v1alpha1.ReleaseMark{Decision: "d1", Time: at.Add(time.Minute), Reason: "Budget"}
	j := theirJob()
	gate.Suspend(j, at, time.Hour)
	if !gate.Suspended(j) || gate.Resumed(j) || !gate.HoldUntil(j).Equal(at.Add(time.Hour)) || j.Labels[v1alpha1.LabelHeld] != "true" {
		t.Fatalf("a held Job: suspend %v, labels %v, annotations %v", *j.Spec.Suspend, j.Labels, j.Annotations)
	}
	cleaned := j.DeepCopy()
	if took := gate.Clean(cleaned); took.Restored != 1 || !cmp.Equal(theirJob(), cleaned) {
		t.Errorf("cleaning took %+v (-want +got):\n%s", took, cmp.Diff(theirJob(), cleaned))
	}
	j.Annotations[v1alpha1.AnnotationHoldReason] = "WaitingForBudget: so it is"
	if !gate.Resume(j, mark) || gate.Suspended(j) || !gate.JobReleasedAt(j).Equal(mark.Time) {
		t.Fatalf("after its release: suspend %v, annotations %v", *j.Spec.Suspend, j.Annotations)
	}
	want := theirJob()
	want.Annotations[v1alpha1.AnnotationSeen] = at.Format(time.RFC3339)
	want.Annotations[v1alpha1.AnnotationRelease] = mark.String()
	if diff := cmp.Diff(want, j); diff != "" {
		t.Errorf("after its release (-want +got):\n%s", diff)
	}
	if gate.Resume(j, mark) {
		t.Error("a Job that is not held was let go again")
	}
}

func TestAJobThatOthersSuspendedIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*batchv1.Job){
		"suspended":                func(j *batchv1.Job) { j.Spec.Suspend = new(true) },
		"suspended, junk for ours": func(j *batchv1.Job) { j.Spec.Suspend, j.Annotations[v1alpha1.AnnotationSaved] = new(true), "{" },
		"suspended before us too": func(j *batchv1.Job) {
			j.Spec.Suspend, j.Annotations[v1alpha1.AnnotationSaved] = new(true), gate.Saved{Suspend: new(true)}.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := theirJob()
			edit(j)
			want := j.DeepCopy()
			gate.Suspend(j, time.Time{}, time.Hour)
			if gate.Suspended(j) || gate.Resume(j, v1alpha1.ReleaseMark{}) || !cmp.Equal(want, j) {
				t.Errorf("it was taken for ours (-want +got):\n%s", cmp.Diff(want, j))
			}
		})
	}
}
