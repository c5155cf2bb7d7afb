package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// makePricer prices for an admitter, on two nodes that have nothing.
func makePricer(a *admitter) *pricer {
	p := newPricer(a.reader, a.held, a.rules.Load, newQuoter(nil, a.reader, a.clock.Now), func() bool { return true }, a.clock)
	p.fleet.Node(makeNode("a"))
	p.fleet.Node(makeNode("b"))
	p.seen.Store(true)
	return p
}

// readBudget is a PullBudget of which so much is free to rollouts.
func readBudget(free int64) *v1alpha1.PullBudget {
	b := makeBudget(100)
	sent := metav1.NewMicroTime(start.Add(-10 * time.Second))
	b.Status.Accounts = []v1alpha1.AccountStatus{{
		Account: "docker.io/anonymous", Grade: "OK", Limit: 100, Window: metav1.Duration{Duration: time.Hour}, Remaining: free + 5,
		Source: "203.0.113.42", SentAt: &sent, Available: []v1alpha1.ClassUnits{{Class: "rollout", Units: free}},
		Forecast: &v1alpha1.Forecast{From: metav1.NewTime(start.Add(20 * time.Minute)), To: metav1.NewTime(start.Add(40 * time.Minute))},
	}}
	return b
}

// quoted asks for a quote by the dry run of a pod.
func quoted(t *testing.T, a *admitter, ask v1alpha1.QuoteAsk) v1alpha1.PodQuote {
	t.Helper()
	raw := sent(func(pod map[string]any) {
		meta := pod["metadata"].(map[string]any)
		delete(meta, "ownerReferences")
		meta["annotations"] = map[string]any{v1alpha1.AnnotationQuote: ask.String()}
	})
	response := a.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		DryRun: new(true), Namespace: "shop", Object: runtime.RawExtension{Raw: raw},
	}})
	for _, op := range response.Patches {
		if strings.HasSuffix(op.Path, "pullpace.dev~1quote") {
			quote, err := v1alpha1.ParsePodQuote(op.Value.(string))
			if err != nil {
				t.Fatal(err)
			}
			return quote
		}
	}
	t.Fatalf("no quote in %+v", response.Patches)
	return v1alpha1.PodQuote{}
}

// A tenant needs nothing but the right to create pods: the answer to the dry run
// has everything that a price is made of.
func TestADryRunIsPriced(t *testing.T) {
	t.Parallel()
	a := makeAdmitter(t, makeNamespace(nil), readBudget(1), makePod(7))
	a.pricer = makePricer(a)
	a.pricer.shapes.remember("docker.io/acme/web:1", 1)
	strategy := appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType}
	got := quoted(t, a, v1alpha1.QuoteAsk{Kind: "Deployment", Name: "web", Pods: 2, Strategy: &strategy})
	free := int64(1)
	want := v1alpha1.PodQuote{
		At: start, Pods: 2, Nodes: 2, Class: "rollout", Verdict: "hold", Reason: "WaitingForBudget", Needs: v1alpha1.Range{Min: 1, Max: 2},
		Images: []v1alpha1.QuotedImage{{
			Image: "docker.io/acme/web:1", Manifests: 1, Account: "docker.io/anonymous", Budget: "hub", Cold: 2,
			Units: v1alpha1.Range{Min: 1, Max: 2}, Why: kube.WhyPlacement,
		}},
		Accounts: []v1alpha1.QuotedAccount{{
			Account: "docker.io/anonymous", Budget: "hub", Needs: v1alpha1.Range{Min: 1, Max: 2}, Free: &free, Limit: 100, Window: &metav1.Duration{Duration: time.Hour},
			SeenAs: "203.0.113.42", ReadAt: start.Add(-10 * time.Second), More: *readBudget(1).Status.Accounts[0].Forecast,
		}},
		Finish:    v1alpha1.Forecast{From: metav1.NewTime(start.Add(20 * time.Minute)), To: metav1.NewTime(start.Add(time.Hour))},
		HoldUntil: start.Add(24 * time.Hour), Gated: 1, MaxGated: 500, DeleteFirst: "SurgeOnly",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("quote (-want +got):\n%s", diff)
	}
	strategy.Type = appsv1.RecreateDeploymentStrategyType
	got = quoted(t, a, v1alpha1.QuoteAsk{Kind: "Deployment", Name: "web", Pods: 2, Strategy: &strategy})
	if got.NotHeld != "Recreate" || !got.HoldUntil.IsZero() || got.Needs.Max != 2 {
		t.Errorf("Recreate: not held for %q until %s, %d units; want it priced and not held", got.NotHeld, got.HoldUntil, got.Needs.Max)
	}
	a.pricer.beating = func() bool { return false }
	if got = quoted(t, a, v1alpha1.QuoteAsk{}); got.Verdict != "unknown" || got.Accounts[0].Free != nil {
		t.Errorf("nobody takes turns: %s with %v free, want unknown", got.Verdict, got.Accounts[0].Free)
	}
}

// Whoever may create pods may ask: an answer costs a bounded time, or is none.
func TestPricesAreBounded(t *testing.T) {
	t.Parallel()
	a := makeAdmitter(t, makeNamespace(nil), readBudget(1))
	many := &corev1.PodTemplateSpec{}
	for i := range maxImages + 1 {
		many.Spec.Containers = append(many.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: fmt.Sprint("acme/web:", i)})
	}
	few := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: many.Spec.Containers[:1]}}
	tests := map[string]struct {
		change func(*pricer)
		pods   *corev1.PodTemplateSpec
		want   string
	}{
		"very many images":      {func(*pricer) {}, many, "64 at most"},
		"very many asked":       {func(p *pricer) { p.slots <- struct{}{}; p.slots <- struct{}{} }, few, errBusy.Error()},
		"nodes not read yet":    {func(p *pricer) { p.seen.Store(false) }, few, "not all read yet"},
		"as few as others have": {func(p *pricer) { p.slots <- struct{}{} }, few, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := makePricer(a)
			tc.change(p)
			ctx, cancel := context.WithCancelCause(t.Context())
			if tc.want == errBusy.Error() {
				cancel(errors.New("the time of the answer is up"))
			}
			defer cancel(nil)
			_, err := p.price(ctx, kube.Template{Namespace: makeNamespace(nil), Pods: tc.pods}, 1)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("%v, want a price", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
