package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// breaker reads what the status of the budget says of its account.
func (b *bench) breaker() v1alpha1.BreakerStatus {
	b.t.Helper()
	var budget v1alpha1.PullBudget
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Name: "hub"}, &budget); err != nil {
		b.t.Fatal(err)
	}
	if len(budget.Status.Accounts) != 1 || budget.Status.Accounts[0].Breaker == nil {
		b.t.Fatalf("the status tells of no breaker: %+v", budget.Status)
	}
	return *budget.Status.Accounts[0].Breaker
}

// turns takes turns of a second for a while.
func (b *bench) turns(d time.Duration) {
	b.t.Helper()
	for range int(d / time.Second) {
		if err := b.take(time.Second); err != nil {
			b.t.Fatal(err)
		}
	}
}

// saidOf are the Events so far whose reason is one of a few.
func (b *bench) saidOf(reasons ...string) []string {
	return slices.DeleteFunc(b.said(), func(s string) bool {
		return !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(s, " "+r+" ") })
	})
}

// throttledCluster has a pod whose pull met the limit and three that wait, under a limit that would
// let them all go.
func throttledCluster(t *testing.T) *bench {
	t.Helper()
	return makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(50), makeNode("a"), makeWeb("acme/web:1"),
		makePod(1, failing("ErrImagePull", "429 Too Many Requests\ntoomanyrequests: retry-after: 60s")), makePod(2), makePod(3), makePod(4))
}

func TestAThrottledPullPausesTheAccount(t *testing.T) {
	t.Parallel()
	b := throttledCluster(t)
	b.turns(30 * time.Second)
	if held := b.held(2, 3, 4); len(held) != 3 {
		t.Errorf("held %v while the registry asks for a minute, want all three", held)
	}
	s := b.breaker()
	if s.State != "paused" || s.Cause == "" || s.Until == nil || s.Kept == nil {
		t.Errorf("status %+v, want paused with cause, until and what is kept", s)
	}
	if s.Until != nil && s.Until.Before(new(metav1.NewTime(start.Add(time.Minute)))) {
		t.Errorf("until %v, want a minute at least, as the registry asked", s.Until)
	}
	said := slices.DeleteFunc(b.saidOf("BreakerOpen"), func(s string) bool { return !strings.HasPrefix(s, "Warning") })
	if len(said) != 1 || !strings.HasPrefix(said[0], "Warning BreakerOpen docker.io/anonymous: paused: a pull was answered by 429") {
		t.Errorf("said %q, want once that the account is paused", said)
	}
}

// TestAPausedAccountStaysPausedForTheNextLeader: nothing is told twice, nothing let go.
func TestAPausedAccountStaysPausedForTheNextLeader(t *testing.T) {
	t.Parallel()
	b := throttledCluster(t)
	b.turns(10 * time.Second)
	before := b.breaker()
	next := b.restart()
	next.turns(20 * time.Second)
	if held := next.held(2, 3, 4); len(held) != 3 {
		t.Errorf("held %v by the next leader, want all three", held)
	}
	after := next.breaker()
	if after.State != "paused" || after.Until == nil || after.Until.Before(before.Until) {
		t.Errorf("after a restart %+v, want paused until %v at the soonest", after, before.Until)
	}
	if told := next.saidOf("BreakerOpen"); len(told) > 1 || len(told) == 1 && !strings.HasPrefix(told[0], "Normal") {
		t.Errorf("told again: %q", told)
	}
}

// resumeBudget orders the account to go on, as `kubectl pace resume` does.
func (b *bench) resumeBudget(reason string) {
	b.t.Helper()
	note, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		v1alpha1.AnnotationResumed: v1alpha1.Order{By: "kim", Reason: reason, At: b.clock.Now()}.String()}}})
	if err != nil {
		b.t.Fatal(err)
	}
	budget := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: "hub"}}
	if err := b.client.Patch(b.t.Context(), budget, client.RawPatch("application/merge-patch+json", note)); err != nil {
		b.t.Fatal(err)
	}
	b.see()
}

func TestResumeClosesTheBreakerOfAnAccount(t *testing.T) {
	t.Parallel()
	b := throttledCluster(t)
	b.turns(10 * time.Second)
	b.said()
	b.resumeBudget("the registry is back")
	b.turns(10 * time.Second)
	if held := b.held(2, 3, 4); len(held) != 0 {
		t.Errorf("held %v after a person ordered to go on, want none", held)
	}
	if s := b.breaker(); s.State != "ok" {
		t.Errorf("status %+v, want ok", s)
	}
	said := b.saidOf("Resumed", "BreakerClosed")
	if len(said) != 1 || !strings.Contains(said[0], "resumed by kim: the registry is back") {
		t.Errorf("said %q, want one Event with who and why", said)
	}
	var budget v1alpha1.PullBudget
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "hub"}, &budget); err != nil {
		t.Fatal(err)
	}
	if o := budget.Status.Overrides; len(o) != 1 || o[0].By != "kim" || o[0].Action != "resumed" || o[0].Reason != "the registry is back" {
		t.Errorf("overrides %+v, want the order", o)
	}
}

// TestABadTagHoldsItsRevisionAlone: the account stays ok, and another workload goes.
func TestABadTagHoldsItsRevisionAlone(t *testing.T) {
	t.Parallel()
	other := makePod(7, func(p *corev1.Pod) {
		p.Name, p.UID = "api-v1-7", "uid-7"
		p.OwnerReferences[0].Name = "api-v1"
		p.Spec.Containers[0].Image = "acme/api:1"
	})
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(50), makeNode("a"), makeNode("b"), makeWeb("acme/web:1"),
		makePod(1, failing("ErrImagePull", noSuch)), makePod(2), makePod(3), other)
	b.turns(20 * time.Second)
	if held := b.held(2, 3); len(held) != 2 {
		t.Errorf("held %v of the revision whose image is missing, want both", held)
	}
	var api corev1.Pod
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(other), &api); err != nil {
		t.Fatal(err)
	}
	if len(api.Spec.SchedulingGates) != 0 {
		t.Error("a pod of another workload is held too")
	}
	if s := b.breaker(); s.State != "ok" {
		t.Errorf("the account is %+v, want ok", s)
	}
	said := b.saidOf("ImageFailing", "BreakerOpen")
	if len(said) != 1 || !strings.HasPrefix(said[0], "Warning ImageFailing no more pods of revision v1") || !strings.Contains(said[0], noSuch) {
		t.Errorf("said %q, want once on the workload that its image fails", said)
	}
}
