package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/proof"
)

// askedOf is what an API server does with the dry run of a pod.
type askedOf func(pod *corev1.Pod) error

// makeProver asks a cluster whose API server answers dry runs so.
func makeProver(t *testing.T, answer askedOf, objects ...client.Object) (*prover, client.Client, *prometheus.Registry) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	clk, reg := clocktesting.NewFakeClock(start), prometheus.NewRegistry()
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.PacePolicy{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			var options client.CreateOptions
			options.ApplyOptions(opts)
			pod, ok := o.(*corev1.Pod)
			if !ok || len(options.DryRun) == 0 || pod.Namespace != v1alpha1.Namespace {
				t.Errorf("created %T in %s, dry run %v: a proof stores nothing", o, o.GetNamespace(), options.DryRun)
			}
			clk.Step(7 * time.Millisecond)
			return answer(pod)
		}}).Build()
	return newProver(c, c, Options{Identity: "pacer-1"}.withDefaults(), NewMetrics(reg), clk), c, reg
}

// scraped is the one value of a metric, and how many there are.
func scraped(t *testing.T, reg *prometheus.Registry, name string) (value float64, n int) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				value, n = m.GetGauge().GetValue(), n+1
			}
		}
	}
	return value, n
}

func gateIt(pod *corev1.Pod) error {
	gate.Hold(pod, start, time.Minute)
	pod.Annotations[v1alpha1.AnnotationProof] = v1alpha1.ProofGated
	return nil
}

func leaveIt(*corev1.Pod) error { return nil }

func hookFor(resource string) *admissionregistrationv1.MutatingWebhookConfiguration {
	hook := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "pacer"}}
	hook.Webhooks = []admissionregistrationv1.MutatingWebhook{{Name: "x", Rules: []admissionregistrationv1.RuleWithOperations{
		{Rule: admissionregistrationv1.Rule{Resources: []string{resource}}}}}}
	return hook
}

func ownNamespace(label string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Namespace, Labels: map[string]string{v1alpha1.LabelPace: label}}}
}

func TestEveryPolicySaysWhetherTheGateWorks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answer askedOf
		hook   client.Object
		label  string
		reason string
		says   string
		status metav1.ConditionStatus
		again  time.Duration
	}{
		"gated": {gateIt, hookFor("pods"), v1alpha1.LabelPaceProof, proof.Proven, "a dry-run pod came back gated in 7 ms", metav1.ConditionTrue, proveEvery},
		"the webhook does not gate": {func(p *corev1.Pod) error {
			p.Annotations[v1alpha1.AnnotationProof] = "no turn was completed for 41s"
			return nil
		}, hookFor("pods"), v1alpha1.LabelPaceProof, proof.NotGating, "no turn was completed for 41s", metav1.ConditionFalse, proveAgain},
		"somebody takes the gate off": {func(p *corev1.Pod) error {
			p.Annotations[v1alpha1.AnnotationProof] = v1alpha1.ProofGated
			return nil
		}, hookFor("pods"), v1alpha1.LabelPaceProof, proof.NotGating, "another admission webhook", metav1.ConditionFalse, proveAgain},
		"no answer": {leaveIt, hookFor("pods"), v1alpha1.LabelPaceProof, proof.NotCalled, "did not answer in time", metav1.ConditionFalse, proveAgain},
		"no webhook": {leaveIt, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, v1alpha1.LabelPaceProof, proof.WebhookMissing,
			"MutatingWebhookConfiguration pacer is not there", metav1.ConditionFalse, proveAgain},
		"no webhook for pods":        {leaveIt, hookFor("jobs"), v1alpha1.LabelPaceProof, proof.WebhookMissing, "no entry for pods", metav1.ConditionFalse, proveAgain},
		"our namespace lost a label": {leaveIt, hookFor("pods"), "", proof.WebhookMissing, "without the label pullpace.dev/pace=proof", metav1.ConditionFalse, proveAgain},
		"the API server refuses": {func(*corev1.Pod) error { return errors.New("quota exceeded") },
			hookFor("pods"), v1alpha1.LabelPaceProof, proof.Refused, "quota exceeded", metav1.ConditionFalse, proveAgain},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := makePolicy()
			other.Name, other.UID = "other", "other"
			p, c, reg := makeProver(t, tc.answer, makePolicy(), other, tc.hook, ownNamespace(tc.label))
			if again := p.prove(t.Context()); again != tc.again {
				t.Errorf("asked again after %s, want %s", again, tc.again)
			}
			for _, name := range []string{"default", "other"} {
				var policy v1alpha1.PacePolicy
				if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &policy); err != nil {
					t.Fatal(err)
				}
				got := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionGateActive)
				if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) || policy.Status.GateAskedAt == nil {
					t.Errorf("policy %s: %+v asked at %v, want %s %s that says %q", name, got, policy.Status.GateAskedAt, tc.status, tc.reason, tc.says)
				}
			}
			want := 0.0
			if tc.status == metav1.ConditionTrue {
				want = 1
			}
			if got, n := scraped(t, reg, "pullpace_gate_active"); got != want || n != 1 {
				t.Errorf("pullpace_gate_active %v (%d of them), want %v", got, n, want)
			}
			if got, _ := scraped(t, reg, "pullpace_gate_proof_seconds"); got != 0.007 {
				t.Errorf("pullpace_gate_proof_seconds %v, want 0.007", got)
			}
		})
	}
}

func TestAReplicaThatProvesNothingShowsNoGate(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	NewMetrics(reg)
	for _, name := range []string{"pullpace_gate_active", "pullpace_gate_proof_seconds"} {
		if _, n := scraped(t, reg, name); n > 0 {
			t.Errorf("a follower shows %s, which would read as a gate that fails", name)
		}
	}
}

// TestTheBooksKeepWhatTheProverSays writes the status of a policy by the turn, whose
// view of it is older than what the prover wrote.
func TestTheBooksKeepWhatTheProverSays(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5))
	p, _, _ := makeProver(t, gateIt, hookFor("pods"), ownNamespace(v1alpha1.LabelPaceProof))
	b.turn.books.prover = p
	p.prove(t.Context())
	if err := b.take(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	var policy v1alpha1.PacePolicy
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &policy); err != nil {
		t.Fatal(err)
	}
	if !meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionGateActive) || !meta.IsStatusConditionTrue(policy.Status.Conditions, "Ready") {
		t.Errorf("conditions %+v, want GateActive and Ready", policy.Status.Conditions)
	}
}

func TestTheProofIsOfOurOwnImage(t *testing.T) {
	t.Parallel()
	self := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "pacer-1"}}
	self.Spec.Containers = []corev1.Container{{Name: "pacer", Image: "registry.corp/pace/pacer:v1"}}
	asked := ""
	p, _, _ := makeProver(t, func(pod *corev1.Pod) error { asked = pod.Spec.Containers[0].Image; return nil }, self)
	p.prove(t.Context())
	if asked != "registry.corp/pace/pacer:v1" {
		t.Errorf("asked with image %q: a policy of the cluster may refuse it", asked)
	}
}

func TestPodsThatSlippedByAreToldOfOnce(t *testing.T) {
	t.Parallel()
	opted := makeNamespace(nil)
	opted.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kim", Operation: metav1.ManagedFieldsOperationUpdate, Time: new(metav1.NewTime(start.Add(-time.Hour))),
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:pullpace.dev/pace":{}}}}`)}}
	slippedPod := func(p *corev1.Pod) {
		gate.Release(p, gate.Letting{})
		p.Annotations = nil
	}
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makePod(1, slippedPod), makePod(2, slippedPod), makePod(3))
	told := 0
	b.turn.slips = func() { told++ }
	b.turn.feed.put(0, opted, false) // a client in memory keeps no managed fields
	for range 2 {
		if err := b.take(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		b.turn.feed.put(0, opted, false)
	}
	var policy v1alpha1.PacePolicy
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &policy); err != nil {
		t.Fatal(err)
	}
	c := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionNoneSlipped)
	if policy.Status.Slipped != 2 || c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "2 living pods") || !strings.Contains(c.Message, "shop/web-v1-2, shop/web-v1-1") {
		t.Errorf("slipped %d, newest %v, condition %+v", policy.Status.Slipped, policy.Status.NewestSlipped, c)
	}
	if told != 1 {
		t.Errorf("told %d times of the same pods, want once", told)
	}
}

func TestTheProverHurries(t *testing.T) {
	t.Parallel()
	p, _, _ := makeProver(t, gateIt, hookFor("pods"), ownNamespace(v1alpha1.LabelPaceProof))
	p.hurry()
	p.hurry() // as good as once, and never waits
	select {
	case <-p.now:
	default:
		t.Error("the prover was not told")
	}
}
