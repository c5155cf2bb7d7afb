//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// deadline is what the Job "timed" may run for, and less than it is held for.
const deadline = 40 * time.Second

// jobs holds a Job with a deadline, which must lose none of it, one without, and one
// that a person lets go; a Job that runs already is left alone. The namespace is
// opted in when that one runs.
func jobs(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	if err := runningJob(ctx, s); err != nil {
		return err
	}
	if err := all(optIn(ctx, s, s.Name, v1alpha1.LabelPaceEnabled), s.Pause(ctx)); err != nil {
		return err
	}
	err := all(makeJob(ctx, s, "timed", 3, deadline), makeJob(ctx, s, "urgent", 1, deadline), makeJob(ctx, s, "plain", 2, 0))
	if err != nil {
		return err
	}
	if err := heldJobs(ctx, s); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "pace", "release", "job/urgent", "-n", s.Name, "--reason", "cannot wait"); out.Code != 0 {
		return errors.New(out.String())
	}
	if err := outwait(ctx, s); err != nil {
		return err
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	done := map[string]*batchv1.Job{}
	for _, name := range []string{"urgent", "timed", "plain"} {
		if done[name], err = awaitJob(ctx, s, name, "it to complete", complete); err != nil {
			return err
		}
	}
	r.Note("held", done["timed"].Status.StartTime.Sub(done["timed"].CreationTimestamp.Time))
	return all(wasLetGo(done["urgent"], core.Override), wasLetGo(done["timed"], core.Budget), leftRunning(ctx, s), noOwn429(s), exactly(s, 6))
}

// makeJob makes a Job of so many pods at once, each on a node of its own, that end by
// themselves after a moment; without a deadline where that is zero.
func makeJob(ctx context.Context, s *stage.Stage, name string, pods int32, deadline time.Duration, edit ...func(*corev1.Container)) error {
	d, err := s.Deployment(ctx, name, 1)
	if err != nil {
		return err
	}
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: name}}
	j.Spec.Parallelism, j.Spec.Completions, j.Spec.Template = &pods, &pods, d.Spec.Template
	j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	container := &j.Spec.Template.Spec.Containers[0]
	container.Args = []string{"-exit-after=1s"}
	for _, e := range edit {
		e(container)
	}
	if deadline > 0 {
		j.Spec.ActiveDeadlineSeconds = new(int64(deadline / time.Second))
	}
	if err := s.Client.Create(ctx, j); err != nil {
		return fmt.Errorf("making job %q: %w", name, err)
	}
	return nil
}

// running is the Job that runs before Pace looks at its namespace.
const running = "running"

func runningJob(ctx context.Context, s *stage.Stage) error {
	endless := func(c *corev1.Container) { c.Image, c.Args = stage.Unmetered, nil }
	if err := makeJob(ctx, s, running, 1, anHour, endless); err != nil {
		return err
	}
	_, err := awaitJob(ctx, s, running, "it to run", func(j *batchv1.Job) bool { return j.Status.Ready != nil && *j.Status.Ready == 1 })
	return err
}

// leftRunning complains if the Job that ran was ever suspended: the Job controller
// notes that in a condition.
func leftRunning(ctx context.Context, s *stage.Stage) error {
	j, err := awaitJob(ctx, s, running, "its status", func(*batchv1.Job) bool { return true })
	if err != nil {
		return err
	}
	if len(j.Status.Conditions) > 0 || j.Spec.Suspend == nil || *j.Spec.Suspend || j.Status.Active != 1 || j.Labels[v1alpha1.LabelHeld] != "" {
		return fmt.Errorf("a Job that ran was touched: conditions %+v, labels %v, suspend %v, %d active", j.Status.Conditions, j.Labels, j.Spec.Suspend, j.Status.Active)
	}
	return nil
}

// heldJobs waits until the Jobs are held, each in its way, and say why.
func heldJobs(ctx context.Context, s *stage.Stage) error {
	timed, err := awaitJob(ctx, s, "timed", "it to be held and to say why", func(j *batchv1.Job) bool {
		return gate.Suspended(j) && strings.HasPrefix(j.Annotations[v1alpha1.AnnotationHoldReason], string(core.Paused)+": ")
	})
	if err != nil {
		return err
	}
	if timed.Labels[v1alpha1.LabelHeld] != "true" || gate.HoldUntil(timed).IsZero() || timed.Status.StartTime != nil {
		return fmt.Errorf("a held Job has labels %v, annotations %v and started at %v", timed.Labels, timed.Annotations, timed.Status.StartTime)
	}
	if _, err := s.AwaitPods(ctx, "plain", "the pods of the Job without a deadline to be held", func(pods []corev1.Pod) bool {
		return len(pods) == 2 && stage.Count(pods, stage.HeldFor(core.Paused)) == 2
	}); err != nil {
		return err
	}
	return all(
		s.Says(ctx, 0, []string{"HELD", string(core.Paused)}, "pace", "explain", "job/timed", "-n", s.Name),
		s.Says(ctx, 0, []string{"HELD", string(core.Paused)}, "pace", "explain", "job/plain", "-n", s.Name),
		s.Says(ctx, 0, []string{"job/timed", string(core.Paused)}, "pace", "status"),
	)
}

// outwait returns when the Job with a deadline has been held for longer than that,
// and has made no pod.
func outwait(ctx context.Context, s *stage.Stage) error {
	timed, err := awaitJob(ctx, s, "timed", "a hold longer than its deadline", func(j *batchv1.Job) bool {
		return time.Since(j.CreationTimestamp.Time) > deadline+2*time.Second
	})
	if err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "timed")
	if err == nil && (len(pods) > 0 || !gate.Suspended(timed)) {
		err = fmt.Errorf("a Job was let go while its account is paused: %d pods, annotations %v", len(pods), timed.Annotations)
	}
	return err
}

// wasLetGo complains unless a Job carries the mark of a release before its start, and
// nothing else of ours.
func wasLetGo(j *batchv1.Job, reason core.Reason) error {
	mark, err := v1alpha1.ParseReleaseMark(j.Annotations[v1alpha1.AnnotationRelease])
	if err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	if mark.Reason != string(reason) {
		return fmt.Errorf("job %s was let go for %s, want %s", j.Name, mark.Reason, reason)
	}
	var errs []error
	if j.Status.StartTime.Time.Before(mark.Time.Truncate(time.Second)) {
		errs = append(errs, fmt.Errorf("the deadline of job %s ran from %s, it was let go at %s", j.Name, j.Status.StartTime, mark.Time))
	}
	for _, key := range []string{v1alpha1.AnnotationSaved, v1alpha1.AnnotationHoldUntil, v1alpha1.AnnotationHoldReason} {
		if _, left := j.Annotations[key]; left {
			errs = append(errs, fmt.Errorf("job %s has %s still", j.Name, key))
		}
	}
	if j.Labels[v1alpha1.LabelHeld] != "" {
		errs = append(errs, fmt.Errorf("job %s has the label of a held one still", j.Name))
	}
	return errors.Join(errs...)
}

// complete says whether a Job succeeded.
func complete(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
	})
}

// awaitJob returns a Job of the stage when it is as wanted.
func awaitJob(ctx context.Context, s *stage.Stage, name, what string, ok func(*batchv1.Job) bool) (*batchv1.Job, error) {
	var j batchv1.Job
	err := stage.Poll(ctx, "job "+name+": "+what, func(ctx context.Context) (bool, string, error) {
		j = batchv1.Job{}
		if err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Name, Name: name}, &j); err != nil {
			return false, "", err
		}
		return ok(&j), fmt.Sprintf("annotations %v, status %+v", j.Annotations, j.Status), nil
	})
	return &j, err
}

// expiresSoon is how long after its bound a pod is let go at most: a turn begins at the
// bound, and another one five seconds later at the latest.
const expiresSoon = 10 * time.Second

// barePod makes a pod as a CI runner does, on an account of which nothing may be
// spent: it is let go when its two minutes are over, and starts.
func barePod(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	if err := s.Pause(ctx); err != nil {
		return err
	}
	d, err := s.Deployment(ctx, "build", 1)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: "build", Labels: map[string]string{"app": "build"}}, Spec: d.Spec.Template.Spec}
	if err := s.Client.Create(ctx, pod); err != nil {
		return fmt.Errorf("making a pod: %w", err)
	}
	until := gate.HoldUntil(pod)
	if !gate.Gated(pod) || until.Sub(pod.CreationTimestamp.Time) > v1alpha1.DefaultMaxHoldCI+time.Second {
		return fmt.Errorf("a bare pod has gates %v and is held from %s until %s, want 2 min at most", pod.Spec.SchedulingGates, pod.CreationTimestamp, until)
	}
	pods, err := s.AwaitPods(ctx, "build", "the pod to run", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning
	})
	if err != nil {
		return err
	}
	mark, err := v1alpha1.ParseReleaseMark(pods[0].Annotations[v1alpha1.AnnotationRelease])
	if err == nil && mark.Reason != string(core.HoldExpired) {
		err = fmt.Errorf("the pod was let go for %s, want HoldExpired", mark.Reason)
	}
	if mark.Time.After(until.Add(expiresSoon)) {
		err = all(err, fmt.Errorf("the pod was let go %s after its bound, want %s at most", mark.Time.Sub(until), expiresSoon))
	}
	r.Note("held", mark.Time.Sub(pod.CreationTimestamp.Time).Round(time.Second))
	return all(err, noOwn429(s))
}
