package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/gate"
)

// settled is when a turn after a start may grant: lag has passed.
const settled = 10 * time.Second

func podResource() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

func TestATurnReleasesWhatTheBudgetAllows(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeBudget(2), makePolicy(), makeNamespace(nil),
		makeNode("n1"), makeNode("n2"), makeNode("n3"), makeNode("n4"), makePod(1), makePod(2), makePod(3), makePod(4))
	for range 3 {
		if err := b.take(settled); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{3, 4}, b.held(1, 2, 3, 4)); diff != "" {
		t.Errorf("held pods (-want +got):\n%s", diff)
	}
	p := b.pod(1)
	if _, labelled := p.Labels[v1alpha1.LabelHeld]; labelled {
		t.Error("the released pod still has the label of a held one")
	}
	mark, err := v1alpha1.ParseReleaseMark(p.Annotations[v1alpha1.AnnotationRelease])
	if err != nil || mark.Reason != string(core.Budget) || mark.Decision == "" {
		t.Errorf("mark %+v, %v: want reason Budget and the decision", mark, err)
	}
	var budget v1alpha1.PullBudget
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "hub"}, &budget); err != nil {
		t.Fatal(err)
	}
	if a := budget.Status.Accounts; len(a) != 1 || a[0].Account != "docker.io/anonymous" || a[0].Limit != 2 {
		t.Errorf("accounts %+v, want the books of docker.io/anonymous", a)
	}
	var policy v1alpha1.PacePolicy
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &policy); err != nil {
		t.Fatal(err)
	}
	if policy.Status.Held != 2 || !meta.IsStatusConditionTrue(policy.Status.Conditions, "Ready") {
		t.Errorf("status of the policy %+v, want 2 held and Ready", policy.Status)
	}
	var lease coordinationv1.Lease
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}, &lease); err != nil {
		t.Fatalf("heartbeat: %v", err)
	}
	if !lease.Spec.RenewTime.Time.Equal(b.clock.Now()) {
		t.Errorf("heartbeat renewed at %v, want now", lease.Spec.RenewTime)
	}
	if said := b.said(); !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "Normal Budget") }) {
		t.Errorf("events %q, want one about a release", said)
	}
}

func TestNothingGoesBeforeItIsBooked(t *testing.T) {
	t.Parallel()
	broken := true
	b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if _, isBudget := o.(*v1alpha1.PullBudget); isBudget && broken {
			return errors.New("the API server is away")
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}, makeBudget(4), makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	if err := b.take(settled); err == nil {
		t.Error("a turn that could not book was completed")
	}
	if len(b.held(1)) != 1 {
		t.Error("a pod went although its release was not booked")
	}
	var lease coordinationv1.Lease
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}, &lease); !apierrors.IsNotFound(err) {
		t.Errorf("heartbeat after a turn that failed: %v, want none", err)
	}
	broken = false
	if err := b.take(time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(b.held(1)) != 0 {
		t.Error("the pod is held still after the API server came back")
	}
}

func TestARefusedReleaseIsSaidAndTriedAgain(t *testing.T) {
	t.Parallel()
	refusing := true
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if _, isPod := o.(*corev1.Pod); isPod && refusing {
			return apierrors.NewForbidden(podResource(), o.GetName(), errors.New("a policy denies it"))
		}
		return c.Patch(ctx, o, p, opts...)
	}}, makeBudget(4), makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	if err := b.take(settled); err != nil {
		t.Fatal(err)
	}
	if said := b.said(); !slices.ContainsFunc(said, func(s string) bool {
		return strings.HasPrefix(s, "Warning ReleaseRefused") && strings.Contains(s, "a policy denies it")
	}) {
		t.Errorf("events %q, want ReleaseRefused with the cause", said)
	}
	refusing = false
	if err := b.take(time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(b.held(1)) != 0 {
		t.Error("the pod is held still after the refusal ended")
	}
}

func TestAConflictIsReadAgainAndLosesNothing(t *testing.T) {
	t.Parallel()
	changed := false
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if pod, isPod := o.(*corev1.Pod); isPod && !changed {
			changed = true
			var now corev1.Pod
			if err := c.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
				return err
			}
			now.Annotations["theirs"] = "kept"
			now.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: 7, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}}}}
			if err := c.Update(ctx, &now); err != nil {
				return err
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}}, makeBudget(4), makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	if err := b.take(settled); err != nil {
		t.Fatal(err)
	}
	p := b.pod(1)
	if gate.Gated(p) || p.Annotations["theirs"] != "kept" || p.Annotations[v1alpha1.AnnotationRelease] == "" {
		t.Errorf("pod after a conflict: gates %v, annotations %v", p.Spec.SchedulingGates, p.Annotations)
	}
	if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].Weight != 7 {
		t.Errorf("affinity %+v, want the user's term first", p.Spec.Affinity)
	}
}

func TestAForeignGateThatComesMeanwhileStopsTheRelease(t *testing.T) {
	t.Parallel()
	changed := false
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if pod, isPod := o.(*corev1.Pod); isPod && !changed {
			changed = true
			var now corev1.Pod
			if err := c.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
				return err
			}
			foreignGate(&now)
			if err := c.Update(ctx, &now); err != nil {
				return err
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}}, makeBudget(4), makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	for range 3 {
		if err := b.take(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.held(1)) != 1 {
		t.Error("a pod with another owner's gate was released")
	}
}

func TestPodsThatNobodyMayHoldGoAtOnce(t *testing.T) {
	t.Parallel()
	off := map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
	b := makeBench(t, interceptor.Funcs{}, makeBudget(1), makePolicy(), makeNamespace(off), makeNode("n1"), makePod(1), makePod(2), makePod(3, foreignGate))
	if err := b.take(0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{3}, b.held(1, 2, 3)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	mark, err := v1alpha1.ParseReleaseMark(b.pod(1).Annotations[v1alpha1.AnnotationRelease])
	if err != nil || mark.Reason != string(core.NotOptedIn) {
		t.Errorf("mark %+v, %v: want NotOptedIn", mark, err)
	}
}

func TestAReadingComesBeforeTheFirstRelease(t *testing.T) {
	t.Parallel()
	observed := makeBudget(0)
	observed.Spec.Limit = nil
	b := makeBench(t, interceptor.Funcs{}, observed, makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	if err := b.take(0); err != nil {
		t.Fatal(err)
	}
	if len(b.held(1)) != 1 {
		t.Fatal("a pod went before anything was read")
	}
	for range 4 {
		b.clock.Step(settled)
		b.asked.answer = quota.Observation{SentAt: b.clock.Now(), Status: 200,
			Header: quota.Header{Limit: 100, HasLimit: true, Remaining: 50, HasRemaining: true, Window: time.Hour}}
		if err := b.take(0); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.held(1)) != 0 {
		t.Error("the pod is held still although 50 units are left")
	}
}

func TestInvalidBudgetSaysSo(t *testing.T) {
	t.Parallel()
	bad := makeBudget(1)
	bad.Spec.Limit.Window = nil
	b := makeBench(t, interceptor.Funcs{}, bad, makePolicy(), makeNamespace(nil))
	if err := b.take(0); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.PullBudget
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "hub"}, &got); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Status.Conditions, func(c metav1.Condition) bool { return c.Type == "Ready" })
	if i < 0 || got.Status.Conditions[i].Status != "False" || got.Status.Conditions[i].Reason != "Invalid" {
		t.Errorf("conditions %+v, want Ready False", got.Status.Conditions)
	}
}

// A policy that denies our affinity must not keep a pod: it goes without.
func TestARefusedReleaseIsTriedOnceWithLess(t *testing.T) {
	t.Parallel()
	patches := 0
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		patches++
		if pod, isPod := o.(*corev1.Pod); isPod && pod.Spec.Affinity != nil {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, pod.Name, errors.New("a policy denies affinities"))
		}
		return c.Patch(ctx, o, p, opts...)
	}}, makePod(1))
	letting := gate.Letting{Mark: v1alpha1.ReleaseMark{Time: start, Reason: "Budget"}, Hostnames: []string{"n1"}}
	if err := b.turn.releaser.releaseOrLess(t.Context(), b.pod(1), letting); err != nil {
		t.Fatal(err)
	}
	if pod := b.pod(1); gate.Gated(pod) || pod.Annotations[v1alpha1.AnnotationRelease] == "" || patches != 2 {
		t.Errorf("gates %v, annotations %v after %d patches", pod.Spec.SchedulingGates, pod.Annotations, patches)
	}
}
