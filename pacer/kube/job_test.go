package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// makeJob is Job shop/seed of three pods at once and a deadline.
func makeJob(edit ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "seed", UID: "job", CreationTimestamp: metav1.NewTime(start)}}
	j.Spec.Parallelism, j.Spec.Completions, j.Spec.ActiveDeadlineSeconds = new(int32(3)), new(int32(5)), new(int64(60))
	j.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/seed:1"}}
	for _, e := range edit {
		e(j)
	}
	return j
}

func noDeadline(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = nil }

// suspended is a Job as our admission leaves it.
func suspended(j *batchv1.Job) { gate.Suspend(j, start, time.Hour) }

// resumed is a Job that we let go a minute later.
func resumed(j *batchv1.Job) {
	suspended(j)
	gate.Resume(j, v1alpha1.ReleaseMark{Decision: "d1", Time: start.Add(time.Minute), Reason: string(core.Budget)})
}

func nobodys(p *corev1.Pod) { p.OwnerReferences = nil }

// ofJob makes a pod one of the Job.
func ofJob(p *corev1.Pod) {
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "seed", UID: "job", Controller: new(true)}}
}

// jobPod is pod number i that the Job made.
func jobPod(i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	return makePod("", i, append([]func(*corev1.Pod){ungated, ofJob, func(p *corev1.Pod) {
		p.Name = fmt.Sprintf("seed-%d-x", i)
		p.UID, p.Labels, p.Annotations = types.UID(p.Name), nil, nil
		p.Spec = makeJob().Spec.Template.Spec
		p.Spec.ServiceAccountName = "default"
	}}, edit...)...)
}

func TestJudgeJob(t *testing.T) {
	t.Parallel()
	cronjob := metav1.OwnerReference{Kind: "CronJob", Name: "nightly", Controller: new(true)}
	excluded, held := Verdict{Reason: core.Excluded}, Verdict{Hold: true, MaxHold: 24 * time.Hour}
	cases := map[string]struct {
		job       *batchv1.Job
		namespace *corev1.Namespace
		mode      v1alpha1.Mode
		gated     int
		hopeless  map[string]bool
		want      Verdict
	}{
		"with a deadline":    {job: makeJob(), want: held},
		"of a CronJob":       {job: makeJob(func(j *batchv1.Job) { j.OwnerReferences = append(j.OwnerReferences, cronjob) }), want: held},
		"said not to be":     {job: makeJob(func(j *batchv1.Job) { j.Spec.Suspend = new(false) }), want: held},
		"without a deadline": {job: makeJob(noDeadline), want: excluded},
		"of somebody who starts it": {job: makeJob(func(j *batchv1.Job) {
			j.OwnerReferences = []metav1.OwnerReference{{Kind: "JobSet", Name: "set", Controller: new(true)}}
		}), want: excluded},
		"suspended by its owner": {job: makeJob(func(j *batchv1.Job) { j.Spec.Suspend = new(true) }), want: excluded},
		"of Kueue":               {job: makeJob(func(j *batchv1.Job) { j.Labels = map[string]string{kueueQueue: "team"} }), want: excluded},
		"of another controller":  {job: makeJob(func(j *batchv1.Job) { j.Spec.ManagedBy = new("example.com/multikueue") }), want: excluded},
		"of no pods":             {job: makeJob(func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(0)) }), want: excluded},
		"in kube-system":         {job: makeJob(func(j *batchv1.Job) { j.Namespace = "kube-system" }), want: excluded},
		"system priority":        {job: makeJob(func(j *batchv1.Job) { j.Spec.Template.Spec.PriorityClassName = "system-node-critical" }), want: excluded},
		"of no budget":           {job: makeJob(func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "ghcr.io/a/b" }), want: Verdict{Reason: core.NoBudget}},
		"not opted in":           {job: makeJob(), namespace: makeNamespace("shop", func(n *corev1.Namespace) { n.Labels = nil }), want: Verdict{Reason: core.NotOptedIn}},
		"one more than are held": {job: makeJob(), gated: int(v1alpha1.DefaultMaxGated) - 1, want: held},
		"enough are held":        {job: makeJob(), gated: int(v1alpha1.DefaultMaxGated), want: excluded},
		"no wait helps":          {job: makeJob(), hopeless: map[string]bool{"hub": true}, want: Verdict{Reason: core.Hopeless}},
		"only watched":           {job: makeJob(), mode: v1alpha1.Shadow, want: Verdict{MaxHold: 24 * time.Hour, Reason: core.Shadow}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.namespace == nil {
				tc.namespace = makeNamespace("shop")
			}
			rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")},
				makePolicy("default", func(p *v1alpha1.PacePolicy) { p.Spec.Mode = tc.mode }))
			if diff := cmp.Diff(tc.want, rules.JudgeJob(Case{Job: tc.job, Namespace: tc.namespace, Gated: tc.gated, Hopeless: tc.hopeless})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// phases counts the pods that the tracker knows by phase.
func phases(tr *Tracker) map[engine.PodPhase]int {
	out := map[engine.PodPhase]int{}
	for _, p := range tr.pods {
		out[p.announced.Phase]++
	}
	return out
}

func TestASuspendedJobIsAGroupThatGoesTogether(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	events := tr.Job(start, makeJob(suspended))
	groups := groupsOf(events)
	if len(groups) != 1 || !groups[0].Whole || groups[0].Workload != "Job/shop/seed" {
		t.Fatalf("groups %+v, want one of Job/shop/seed that goes together", groups)
	}
	pods := tr.HeldPods(groups[0].ID)
	if len(pods) != 3 {
		t.Fatalf("%d pods are held, want its parallelism", len(pods))
	}
	job, ids := tr.JobOf(PodID(pods[0]))
	if job == nil || len(ids) != 3 {
		t.Errorf("pod %s stands for %v with %v, want the Job with all three", PodID(pods[0]), job, ids)
	}
	for _, p := range podsOf(events) {
		if !p.HoldUntil.Equal(start.Add(time.Hour)) {
			t.Errorf("pod %+v, want the bound of the Job", p)
		}
	}
	// What a person changes while it is held counts.
	tr.Job(start, makeJob(suspended, func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(1)) }))
	if n := len(tr.HeldPods(groups[0].ID)); n != 1 {
		t.Errorf("%d pods are held after the parallelism fell to 1", n)
	}
	tr.JobGone("shop", "seed")
	if len(tr.pods)+len(tr.standIns)+len(tr.jobs) != 0 {
		t.Error("something is left of a Job that is gone")
	}
}

// At no moment between the release and the last real pod is less booked than three.
func TestStandInsGoOneByOneAsTheRealPodsCome(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Job(start, makeJob(suspended))
	events := tr.Job(start, makeJob(resumed))
	want := []engine.PodPhase{engine.PodUnschedulable, engine.PodUnschedulable, engine.PodUnschedulable}
	var got []engine.PodPhase
	for _, p := range podsOf(events) {
		got = append(got, p.Phase)
		if !p.ReleasedAt.Equal(start.Add(time.Minute)) {
			t.Errorf("stand-in %+v, want the time of the Job's mark", p)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("phases of the stand-ins (-want +got):\n%s", diff)
	}
	for i := 1; i <= 3; i++ {
		events := tr.Pod(start, jobPod(i))
		pods := podsOf(events)
		if len(pods) != 1 || !pods[0].ReleasedAt.Equal(start.Add(time.Minute)) || pods[0].Phase != engine.PodUnbound {
			t.Errorf("pod %d: %+v, want it to be ours since the Job went", i, pods)
		}
		if gone := slices.IndexFunc(events, func(ev engine.Event) bool { return ev.PodGone != "" }); gone != len(events)-1 {
			t.Errorf("pod %d: events %+v, want a stand-in to go after the pod has come", i, events)
		}
	}
	if diff := cmp.Diff(map[engine.PodPhase]int{engine.PodUnbound: 3}, phases(tr)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	// Later pods of the Job find no stand-ins, and bring none back.
	tr.PodGone(PodID(jobPod(1)))
	tr.Pod(start, jobPod(4))
	if n := len(tr.standIns); n != 0 {
		t.Errorf("%d stand-ins after all pods came", n)
	}
}

func TestStandInsAfterARestart(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		job  *batchv1.Job
		pods []*corev1.Pod
		want map[engine.PodPhase]int
	}{
		"none is made yet":     {job: makeJob(resumed), want: map[engine.PodPhase]int{engine.PodUnschedulable: 3}},
		"some are there":       {job: makeJob(resumed), pods: []*corev1.Pod{jobPod(1, bound("n1"))}, want: map[engine.PodPhase]int{engine.PodUnschedulable: 2, engine.PodBound: 1}},
		"the first have ended": {job: makeJob(resumed, func(j *batchv1.Job) { j.Status.Succeeded = 1 }), want: map[engine.PodPhase]int{}},
		"it is complete": {job: makeJob(resumed, func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		}), want: map[engine.PodPhase]int{}},
		"its owner suspended it since": {job: makeJob(resumed, func(j *batchv1.Job) { j.Spec.Suspend = new(true) }), want: map[engine.PodPhase]int{}},
		"nobody ever held it":          {job: makeJob(), want: map[engine.PodPhase]int{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.Job(start, tc.job)
			for _, p := range tc.pods {
				tr.Pod(start, p)
			}
			if diff := cmp.Diff(tc.want, phases(tr)); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
}

// Pods and Jobs are watched apart: a pod that comes first is ours all the same.
func TestAPodThatIsSeenBeforeItsJobWentIsOurs(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Job(start, makeJob(suspended))
	if pods := podsOf(tr.Pod(start, jobPod(1))); len(pods) != 1 || !pods[0].ReleasedAt.IsZero() {
		t.Fatalf("pods %+v, want one that nobody let go", pods)
	}
	ours := 0
	for _, p := range podsOf(tr.Job(start, makeJob(resumed))) {
		if p.ID == PodID(jobPod(1)) && !p.ReleasedAt.IsZero() {
			ours++
		}
	}
	if ours != 1 || len(tr.standIns) != 2 {
		t.Errorf("%d pods are ours, %d stand-ins; want 1 and 2", ours, len(tr.standIns))
	}
}

func TestOrdersForAJob(t *testing.T) {
	t.Parallel()
	order := v1alpha1.Order{By: "jane", Reason: "now", At: start.Add(time.Minute)}.String()
	tr := makeTracker(t)
	events := tr.Job(start, makeJob(suspended, func(j *batchv1.Job) { j.Annotations[v1alpha1.AnnotationPaused] = order }))
	if groups := groupsOf(events); len(groups) == 0 || !groups[len(groups)-1].Paused {
		t.Errorf("groups %+v, want the last to be paused", groups)
	}
	overridden := 0
	for _, ev := range tr.Job(start, makeJob(suspended, func(j *batchv1.Job) { j.Annotations[v1alpha1.AnnotationOverride] = order })) {
		if ev.Override != nil {
			overridden++
		}
	}
	if overridden != 3 {
		t.Errorf("%d pods are overridden, want all three", overridden)
	}
}

func TestAJobThatNobodyMayHoldIsFreed(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Job(start, makeJob(suspended))
	if freed := tr.Freed(); len(freed) != 0 {
		t.Fatalf("freed %+v while the namespace is opted in", freed)
	}
	tr.Namespace(makeNamespace("shop", func(n *corev1.Namespace) {
		n.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
	}))
	if freed := tr.Freed(); len(freed) != 3 || freed[0].Reason != core.NotOptedIn {
		t.Errorf("freed %+v, want all three for NotOptedIn", freed)
	}
}

func TestAJobThatSomebodyElseLetGoIsNamed(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Job(start, makeJob(suspended, func(j *batchv1.Job) { j.Spec.Suspend = new(false) }))
	if jobs := tr.Resumed(); len(jobs) != 1 || len(tr.pods) != 0 {
		t.Errorf("resumed %v with %d stand-ins, want the Job and none", jobs, len(tr.pods))
	}
	tr.Job(start, makeJob(resumed))
	if jobs := tr.Resumed(); len(jobs) != 0 {
		t.Errorf("resumed %v after its marks were taken off", jobs)
	}
}

// A pod of a Job without a deadline is held by its own gate, alone.
func TestPodsOfAJobWithoutADeadlineAreHeldOneByOne(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Job(start, makeJob(noDeadline))
	gated := func(p *corev1.Pod) { gate.Hold(p, start, time.Hour) }
	events := append(tr.Pod(start, jobPod(1, gated)), tr.Pod(start, jobPod(2, gated))...)
	groups := groupsOf(events)
	if len(groups) != 1 || groups[0].Whole || len(tr.HeldPods(groups[0].ID)) != 2 {
		t.Fatalf("groups %+v, want one with two held pods that need not go together", groups)
	}
	if job, _ := tr.JobOf(PodID(jobPod(1))); job != nil {
		t.Error("a real pod stands for a Job")
	}
}
