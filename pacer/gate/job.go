package gate

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Suspend puts a hold on a Job that is being created: it makes no pod and its
// deadline does not run until it is let go. A Job that its owner suspended is not
// ours to hold.
func Suspend(j *batchv1.Job, now time.Time, maxHold time.Duration) {
	if isTrue(j.Spec.Suspend) {
		return
	}
	j.Spec.Suspend = new(true)
	MarkHeld(j, now.Add(maxHold))
	j.Annotations[v1alpha1.AnnotationSaved] = Saved{Suspend: new(false)}.String()
	j.Annotations[v1alpha1.AnnotationSeen] = stamp(now)
}

// Suspended reports whether we suspended the Job and hold it still.
func Suspended(j *batchv1.Job) bool { return saysResume(j) && isTrue(j.Spec.Suspend) }

// Resumed reports whether somebody else let a Job go that we suspended, so that
// only our marks are left.
func Resumed(j *batchv1.Job) bool { return saysResume(j) && !isTrue(j.Spec.Suspend) }

// saysResume reports whether a Job remembers that it was not suspended before us.
func saysResume(j *batchv1.Job) bool {
	was, ok := SavedOf(j)
	return ok && was.Suspend != nil && !*was.Suspend
}

func isTrue(b *bool) bool { return b != nil && *b }

// Resume takes our hold off a Job: it makes its pods, our marks go, and the mark of
// the release comes. It reports false, and changes nothing, when we do not hold
// the Job.
func Resume(j *batchv1.Job, mark v1alpha1.ReleaseMark) bool {
	if !saysResume(j) {
		return false
	}
	Restore(j)
	delete(j.Labels, v1alpha1.LabelHeld)
	for _, key := range []string{v1alpha1.AnnotationSaved, v1alpha1.AnnotationHoldUntil, v1alpha1.AnnotationHoldReason} {
		delete(j.Annotations, key)
	}
	j.Annotations = with(j.Annotations, v1alpha1.AnnotationRelease, mark.String())
	return true
}

// JobReleasedAt is when a Job was let go by us; zero: it was not.
func JobReleasedAt(j *batchv1.Job) time.Time {
	if Suspended(j) {
		return time.Time{}
	}
	return markedAt(j)
}
