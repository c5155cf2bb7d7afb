package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// Every grade says in the condition of the PullBudget what it is and what follows.
func TestReadingConditionSaysWhatFollows(t *testing.T) {
	t.Parallel()
	login := &v1alpha1.PullBudget{Spec: v1alpha1.PullBudgetSpec{Registry: "docker.io", Identity: v1alpha1.Credentials, Credentials: &v1alpha1.BudgetCredentials{SecretName: "hub"}}}
	plain := &v1alpha1.PullBudget{Spec: v1alpha1.PullBudgetSpec{Registry: "docker.io"}}
	tests := map[string]struct {
		budget  *v1alpha1.PullBudget
		account v1alpha1.AccountStatus
		status  metav1.ConditionStatus
		reason  core.Reason
		says    []string
	}{
		"a limit":        {plain, v1alpha1.AccountStatus{Grade: "OK", Limit: 100}, "True", "OK", []string{"allows 100"}},
		"no limit":       {plain, v1alpha1.AccountStatus{Grade: "Never", Unlimited: true}, "True", "NoLimit", []string{"unlimited for what can be known"}},
		"lost":           {plain, v1alpha1.AccountStatus{Grade: "Lost"}, "False", core.ReadingLost, []string{"stopped telling", "counted here"}},
		"lost for long":  {plain, v1alpha1.AccountStatus{Grade: "Lost", Opened: true}, "False", core.ReadingLost, []string{"stopped telling", "pods are let go"}},
		"stale":          {plain, v1alpha1.AccountStatus{Grade: "Stale"}, "False", core.ReadingLost, []string{"does not answer", "counted here"}},
		"stale for long": {plain, v1alpha1.AccountStatus{Grade: "Stale", Opened: true}, "False", core.ReadingLost, []string{"does not answer", "pods are let go"}},
		"the login is refused": {login, v1alpha1.AccountStatus{Grade: "Mismatch", Doubt: "Source", Source: "203.0.113.42", Unlimited: true}, "False", core.IdentityMismatch,
			[]string{"takes Pace for anonymous (203.0.113.42)", "nothing is held"}},
		"a silent downgrade": {login, v1alpha1.AccountStatus{Grade: "OK", Doubt: "Unseen"}, "False", core.IdentityMismatch,
			[]string{"pulls go out anonymously: ", "does not show", "spec.mirrors"}},
		"another address": {plain, v1alpha1.AccountStatus{Grade: "Mismatch", Doubt: "Unseen", Unlimited: true}, "False", core.IdentityMismatch,
			[]string{"another address", "spec.mirrors", "spec.egress", "nothing is held"}},
		"HEADs that cost": {plain, v1alpha1.AccountStatus{Grade: "Stale", ProbesChargedSince: new(metav1.NewTime(start))}, "False", probesCharged,
			[]string{"took units of it", "nobody asks any more", "source Fixed", "counted here"}},
		"HEADs that cost, for long": {plain, v1alpha1.AccountStatus{Grade: "Stale", Opened: true, ProbesChargedSince: new(metav1.NewTime(start))}, "False", probesCharged,
			[]string{"source Fixed", "pods are let go"}},
		"nothing read": {plain, v1alpha1.AccountStatus{}, "Unknown", core.WaitingForReading, []string{"nothing read"}},
	}
	for name, tc := range tests {
		tc.account.Account = "docker.io/x"
		got := reading([]v1alpha1.AccountStatus{tc.account}, tc.budget, nil)
		if got.Status != tc.status || got.Reason != string(tc.reason) {
			t.Errorf("%s: %s %s, want %s %s", name, got.Status, got.Reason, tc.status, tc.reason)
		}
		for _, want := range tc.says {
			if !strings.Contains(got.Message, want) {
				t.Errorf("%s: says %q, want something of %q", name, got.Message, want)
			}
		}
	}
}

// Pods in the namespace of a PullBudget with a login that carry no pull secret pull as
// anonymous, and work until that limit is met: the PullBudget and the workload say so,
// once, and take it back.
func TestASilentDowngradeIsSaid(t *testing.T) {
	t.Parallel()
	budget := makeBudget(8)
	budget.Spec.Identity = v1alpha1.Credentials
	budget.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: []string{"hub"}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled}}}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	b := makeBench(t, interceptor.Funcs{}, budget, makePolicy(), makeNamespace(nil), makeNode("n1"), web, makePod(1), makePod(2))
	condition := func() metav1.Condition {
		t.Helper()
		var got v1alpha1.PullBudget
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(budget), &got); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(got.Status.Conditions, "Reading")
		if c == nil {
			t.Fatal("no condition Reading")
		}
		return *c
	}
	for range 3 {
		if err := b.take(10 * time.Second); err != nil {
			t.Fatalf("turn: %v", err)
		}
	}
	if c := condition(); c.Status != "False" || c.Reason != string(core.IdentityMismatch) || !strings.Contains(c.Message, "pulls go out anonymously: pods of Deployment/shop/web carry none of the pull secrets hub") {
		t.Errorf("condition %+v, want IdentityMismatch that names shop/web and its secret", c)
	}
	said := slices.DeleteFunc(b.said(), func(s string) bool { return !strings.HasPrefix(s, "Warning IdentityMismatch") })
	if len(said) != 1 || !strings.Contains(said[0], "pulls go out anonymously") {
		t.Errorf("events %q, want one on the Deployment", said)
	}
	for i := 1; i <= 2; i++ {
		b.turn.feed.put(podKind, makePod(i, func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}} }), false)
	}
	b.clock.Step(10 * time.Second)
	if _, err := b.turn.take(t.Context()); err != nil {
		t.Fatalf("turn: %v", err)
	}
	if c := condition(); c.Status != "True" {
		t.Errorf("with the secret: condition %+v, want True", c)
	}
}

func TestOverlappedIsWrittenAndTakenBack(t *testing.T) {
	t.Parallel()
	old, young := makePolicy(), makePolicy()
	young.Name, young.UID, young.CreationTimestamp = "young", "young", metav1.NewTime(start)
	b := makeBench(t, interceptor.Funcs{}, makeBudget(8), old, young, makeNamespace(nil), makeNode("n1"))
	overlapped := func(name string) *metav1.Condition {
		t.Helper()
		if err := b.take(10 * time.Second); err != nil {
			t.Fatalf("turn: %v", err)
		}
		var p v1alpha1.PacePolicy
		if err := b.client.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil {
			t.Fatal(err)
		}
		return meta.FindStatusCondition(p.Status.Conditions, "Overlapped")
	}
	if c := overlapped("young"); c == nil || c.Status != "True" || !strings.Contains(c.Message, `"default"`) {
		t.Errorf("condition of the younger policy %+v, want Overlapped by default", c)
	}
	if c := overlapped("default"); c != nil {
		t.Errorf("condition of the oldest policy %+v, want none", c)
	}
	if err := b.client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	b.turn.feed.put(1, old, true)
	if c := overlapped("young"); c != nil {
		t.Errorf("after the older is gone: %+v, want none", c)
	}
}

// Steady demand above the supply: the PullBudget says so with numbers, new pods are
// not held, and what is held is let go.
func TestHopelessIsSaidAndNotHeld(t *testing.T) {
	t.Parallel()
	budget := makeBudget(1)
	budget.Status.Accounts = []v1alpha1.AccountStatus{{Account: "docker.io/anonymous", Limit: 1, Window: metav1.Duration{Duration: time.Minute},
		Spent: []v1alpha1.SpentBucket{{End: metav1.NewMicroTime(start), Units: 1}},
		Flow:  &v1alpha1.FlowStatus{HopelessSince: new(metav1.NewTime(start))}}}
	b := makeBench(t, interceptor.Funcs{}, budget, makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1), makePod(2, func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = "acme/other:1"
	}))
	if err := b.take(time.Second); err != nil {
		t.Fatalf("turn: %v", err)
	}
	if held := b.held(1, 2); len(held) != 1 {
		t.Errorf("%v held after the first turn, want one let go at a time", held)
	}
	var got v1alpha1.PullBudget
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(budget), &got); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(got.Status.Conditions, "Sufficient"); c == nil || c.Status != "False" || c.Reason != string(core.Hopeless) {
		t.Errorf("condition %+v, want Hopeless", c)
	}
	if said := b.said(); !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "Normal Hopeless") }) {
		t.Errorf("events %q, want one about a release for Hopeless", said)
	}
	admit := &admitter{reader: b.client}
	if !admit.hopeless(t.Context())["hub"] {
		t.Error("admission does not know of it")
	}
	if err := b.take(time.Minute); err != nil {
		t.Fatalf("turn: %v", err)
	}
	if held := b.held(1, 2); len(held) != 0 {
		t.Errorf("%v held when a unit more refills", held)
	}
}

// Flowing says why nothing goes, until when, and whose doing it is.
func TestFlowingSaysUntilWhen(t *testing.T) {
	t.Parallel()
	until := new(metav1.NewTime(start.Add(time.Minute)))
	tests := map[string]struct {
		breaker *v1alpha1.BreakerStatus
		status  metav1.ConditionStatus
		reason  core.Reason
		says    string
	}{
		"never asked":          {nil, "True", "OK", "as the budget allows"},
		"ok":                   {&v1alpha1.BreakerStatus{State: "ok"}, "True", "OK", "as the budget allows"},
		"paused by a 429":      {&v1alpha1.BreakerStatus{State: "paused", Cause: "a pull was answered by 429", Until: until}, "False", core.BreakerOpen, "docker.io/x: paused: a pull was answered by 429; tried again at 2026-03-01T12:01:00Z at the soonest"},
		"trying one":           {&v1alpha1.BreakerStatus{State: "trying one", Cause: "a pull was answered by 429"}, "False", core.BreakerOpen, "docker.io/x: trying one: a pull was answered by 429"},
		"for an unknown cause": {&v1alpha1.BreakerStatus{State: "paused"}, "False", core.BreakerOpen, "failing pulls have paused the account"},
		"paused by a person":   {&v1alpha1.BreakerStatus{State: "paused", Cause: "Paused"}, "False", core.Paused, "docker.io/x: a person paused it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := flowing([]v1alpha1.AccountStatus{{Account: "docker.io/x", Breaker: tc.breaker}})
			if got.Status != tc.status || got.Reason != string(tc.reason) || !strings.Contains(got.Message, tc.says) {
				t.Errorf("%s %s %q, want %s %s and %q", got.Status, got.Reason, got.Message, tc.status, tc.reason, tc.says)
			}
		})
	}
}
