package controller

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
)

// makeJob is held Job shop/seed of n pods at once.
func makeJob(n int32, edit ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "seed", UID: "job", CreationTimestamp: metav1.NewTime(start)}}
	j.Spec.Parallelism, j.Spec.Completions, j.Spec.ActiveDeadlineSeconds = &n, &n, new(int64(60))
	j.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/seed:1"}}
	gate.Suspend(j, start, time.Hour)
	for _, e := range edit {
		e(j)
	}
	return j
}

func (b *bench) job() *batchv1.Job {
	b.t.Helper()
	var j batchv1.Job
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: "seed"}, &j); err != nil {
		b.t.Fatalf("reading the job: %v", err)
	}
	return &j
}

func (b *bench) mustTake(d time.Duration) {
	b.t.Helper()
	if err := b.take(d); err != nil {
		b.t.Fatal(err)
	}
}

// threeNodes is a cluster where three pods of one image cost three pulls.
func threeNodes(more ...client.Object) []client.Object {
	return append(more, makePolicy(), makeNamespace(nil), makeNode("n1"), makeNode("n2"), makeNode("n3"))
}

func TestAJobThatCostsMoreThanTheLimitGoesWhenTheAccountIsFull(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, threeNodes(makeBudget(2), makeJob(3))...)
	for range 3 {
		b.mustTake(settled)
	}
	mark, err := v1alpha1.ParseReleaseMark(b.job().Annotations[v1alpha1.AnnotationRelease])
	if gate.Suspended(b.job()) || err != nil || mark.Reason != string(core.Hopeless) {
		t.Errorf("suspended %v, mark %+v, %v; want it to be let go for Hopeless", gate.Suspended(b.job()), mark, err)
	}
}

func TestAJobIsLetGoInOneWrite(t *testing.T) {
	t.Parallel()
	writes := 0
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if _, isJob := o.(*batchv1.Job); isJob {
			writes++
		}
		return c.Patch(ctx, o, p, opts...)
	}}, threeNodes(makeBudget(3), makeJob(3))...)
	for range 3 {
		b.mustTake(settled)
	}
	if writes != 1 {
		t.Errorf("the Job was written %d times, want once", writes)
	}
	j := b.job()
	mark, err := v1alpha1.ParseReleaseMark(j.Annotations[v1alpha1.AnnotationRelease])
	if err != nil || mark.Reason != string(core.Budget) || len(mark.Cost) != 1 || mark.Cost[0].Units != 3 {
		t.Errorf("mark %+v, %v; want Budget at the price of three pulls", mark, err)
	}
	for _, key := range []string{v1alpha1.AnnotationSaved, v1alpha1.AnnotationHoldUntil, v1alpha1.AnnotationHoldReason} {
		if value, left := j.Annotations[key]; left {
			t.Errorf("%s=%s is left on a Job that was let go", key, value)
		}
	}
	if _, left := j.Labels[v1alpha1.LabelHeld]; left || *j.Spec.Suspend {
		t.Errorf("labels %v, suspend %v: want it as it was", j.Labels, *j.Spec.Suspend)
	}
}

func TestAnExhaustedAccountHoldsAJobAndSaysSo(t *testing.T) {
	t.Parallel()
	budget := makeBudget(3)
	budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "maintenance"}.String()}
	b := makeBench(t, interceptor.Funcs{}, threeNodes(budget, makeJob(3))...)
	b.mustTake(settled)
	if !gate.Suspended(b.job()) {
		t.Fatal("a Job went on an account that is paused")
	}
	_, x, ok := b.turn.explainer.pop()
	if !ok || !x.job {
		t.Fatalf("explanation %+v, want one for the Job", x)
	}
	if err := b.turn.explainer.write(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if why := b.job().Annotations[v1alpha1.AnnotationHoldReason]; !strings.HasPrefix(why, "Paused: ") {
		t.Errorf("%s is %q, want the Reason and words", v1alpha1.AnnotationHoldReason, why)
	}
	if said := b.said(); !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "Normal Paused held: ") }) {
		t.Errorf("events %q, want one about the hold", said)
	}
	if n := len(b.turn.answers.last.Holds); n != 1 || b.turn.answers.last.Holds[0].Workload != "Job/shop/seed" {
		t.Errorf("holds %+v, want that of the Job", b.turn.answers.last.Holds)
	}
}

// An explanation that was queued before the release never comes after it.
func TestNothingIsSaidOnAJobThatWent(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, threeNodes(makeBudget(30), makeJob(1))...)
	x := explanation{namespace: "shop", name: "seed", uid: "job", reason: core.WaitingForBudget, held: true, job: true}
	for range 2 {
		b.mustTake(settled)
	}
	if gate.Suspended(b.job()) {
		t.Fatal("the Job is held although there is room")
	}
	if err := b.turn.explainer.write(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if why, said := b.job().Annotations[v1alpha1.AnnotationHoldReason]; said {
		t.Errorf("%q is said on a Job that went", why)
	}
}

func TestARefusedResumeIsTakenBackAndTriedAgain(t *testing.T) {
	t.Parallel()
	refusing := true
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if _, isJob := o.(*batchv1.Job); isJob && refusing {
			return apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, o.GetName(), errors.New("a policy denies it"))
		}
		return c.Patch(ctx, o, p, opts...)
	}}, threeNodes(makeBudget(30), makeJob(3))...)
	for range 2 {
		b.mustTake(settled)
	}
	if said := b.said(); !gate.Suspended(b.job()) || !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "Warning ReleaseRefused") }) {
		t.Errorf("suspended %v, events %q; want it to be held and the refusal to be said", gate.Suspended(b.job()), said)
	}
	refusing = false
	b.mustTake(time.Minute)
	if gate.Suspended(b.job()) {
		t.Error("the Job is held still after the refusal ended")
	}
}

func TestJobsThatNobodyMayHoldGoAtOnce(t *testing.T) {
	t.Parallel()
	off := map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
	b := makeBench(t, interceptor.Funcs{}, makeBudget(1), makePolicy(), makeNamespace(off), makeNode("n1"), makeJob(3))
	b.mustTake(0)
	mark, err := v1alpha1.ParseReleaseMark(b.job().Annotations[v1alpha1.AnnotationRelease])
	if gate.Suspended(b.job()) || err != nil || mark.Reason != string(core.NotOptedIn) {
		t.Errorf("suspended %v, mark %+v, %v; want it to go for NotOptedIn", gate.Suspended(b.job()), mark, err)
	}
}

func TestMarksGoFromAJobThatSomebodyElseLetGo(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, threeNodes(makeBudget(0+1), makeJob(3, func(j *batchv1.Job) { j.Spec.Suspend = new(false) }))...)
	b.mustTake(0)
	if j := b.job(); gate.Resumed(j) || j.Labels[v1alpha1.LabelHeld] != "" || *j.Spec.Suspend {
		t.Errorf("labels %v, annotations %v, suspend %v: want our marks off and the rest as it was", j.Labels, j.Annotations, *j.Spec.Suspend)
	}
}

func TestAnOverdueJobGoesWithoutTurns(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, threeNodes(makeBudget(1), makeJob(3))...)
	beating := true
	bound := &bound{client: b.client, releaser: b.turn.releaser, events: b.events, metrics: b.turn.metrics, clock: b.clock, beating: func() bool { return beating }}
	for _, step := range []struct {
		after   time.Duration
		beating bool
		held    bool
	}{{30 * time.Minute, false, true}, {time.Hour, true, true}, {time.Second, false, false}} {
		b.clock.Step(step.after)
		beating = step.beating
		if err := bound.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := gate.Suspended(b.job()); held != step.held {
			t.Errorf("at %s, turns complete %v: held %v", b.clock.Now(), beating, held)
		}
	}
}

func TestAdmissionSuspendsAJobAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	raw := func(edit func(spec map[string]any)) []byte {
		spec := map[string]any{"activeDeadlineSeconds": 60, "fieldOfTomorrow": "kept",
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": "acme/seed:1"}}}}}
		edit(spec)
		text, err := json.Marshal(map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"generateName": "seed-"}, "spec": spec})
		if err != nil {
			panic(err)
		}
		return text
	}
	asIs := func(map[string]any) {}
	cases := map[string]struct {
		raw     []byte
		beating bool
		want    bool
	}{
		"as most are":            {raw(asIs), true, true},
		"said not to wait":       {raw(func(s map[string]any) { s["suspend"] = false }), true, true},
		"suspended by its owner": {raw(func(s map[string]any) { s["suspend"] = true }), true, false},
		"without a deadline":     {raw(func(s map[string]any) { delete(s, "activeDeadlineSeconds") }), true, false},
		"while no turns end":     {raw(asIs), false, false},
		"not a Job":              {[]byte(`{"spec":{"parallelism":"junk"}}`), true, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeAdmitter(t, makeNamespace(nil))
			a.beating = func() bool { return tc.beating }
			resp := (&jobAdmitter{a}).Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Namespace: "shop", Object: runtime.RawExtension{Raw: tc.raw}}})
			if !resp.Allowed {
				t.Fatalf("a Job was denied: %+v", resp.Result)
			}
			var paths []string
			for _, op := range resp.Patches {
				paths = append(paths, op.Operation+" "+op.Path)
			}
			slices.Sort(paths)
			var want []string
			if tc.want {
				want = []string{"add /metadata/annotations", "add /metadata/labels", "add /spec/suspend"}
			}
			if diff := cmp.Diff(want, paths); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// A pod of a Job that no cache knows yet is judged by the Job itself.
// What a held Job will make is held already: of a namespace no more are than its policy
// says, of Jobs and of pods.
func TestHeldJobsCountAmongThoseOfTheirNamespace(t *testing.T) {
	t.Parallel()
	most := v1alpha1.DefaultMaxGated
	cases := map[string]struct {
		job  *batchv1.Job
		want bool
	}{
		"room for one":       {makeJob(most - 1), true},
		"no room":            {makeJob(most), false},
		"of one that went":   {makeJob(most, func(j *batchv1.Job) { j.Spec.Suspend = new(false) }), true},
		"of other namespace": {makeJob(most, func(j *batchv1.Job) { j.Namespace = "other" }), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeAdmitter(t, makeNamespace(nil), tc.job)
			fresh := makeJob(1, func(j *batchv1.Job) { j.Spec.Suspend, j.Labels, j.Annotations = nil, nil, nil })
			if got := (&jobAdmitter{a}).judgeJob(t.Context(), fresh).Hold; got != tc.want {
				t.Errorf("another Job is held: %t, want %t", got, tc.want)
			}
			pod := makePod(1, func(p *corev1.Pod) { p.Spec.SchedulingGates, p.OwnerReferences = nil, nil })
			if got := a.judge(t.Context(), pod, makeNamespace(nil)).Hold; got != tc.want {
				t.Errorf("another pod is held: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestPodsOfJobsAtAdmission(t *testing.T) {
	t.Parallel()
	ofJob := sent(func(p map[string]any) {
		p["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": "seed", "uid": "job", "controller": true}}
	})
	noDeadline := func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = nil }
	cases := map[string]struct {
		cached, live []client.Object
		want         bool
	}{
		"no deadline":                   {cached: []client.Object{makeJob(1, noDeadline)}, want: true},
		"a deadline":                    {cached: []client.Object{makeJob(1)}},
		"too young for the cache":       {live: []client.Object{makeJob(1, noDeadline)}, want: true},
		"too young, with a deadline":    {live: []client.Object{makeJob(1)}},
		"another Job of the same name":  {cached: []client.Object{makeJob(1, noDeadline, func(j *batchv1.Job) { j.UID = "older" })}},
		"a Job that nobody knows about": {},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeAdmitter(t, append(tc.cached, makeNamespace(nil))...)
			a.live = makeAdmitter(t, tc.live...).reader
			pod := admitted(t, a, ofJob, false)
			if _, held := pod["spec"].(map[string]any)["schedulingGates"]; held != tc.want {
				t.Errorf("held %v, want %v", held, tc.want)
			}
		})
	}
}
