package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/quota"
)

// A registry that charges for HEADs is not asked any more once that is known, neither
// what is left nor what images are made of; the PullBudget says so and what to do, and
// a new spec is asked anew.
func TestHeadsThatCostEndProbes(t *testing.T) {
	t.Parallel()
	budget := makeBudget(8)
	budget.Spec.Limit = nil
	b := makeBench(t, interceptor.Funcs{}, budget, makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1))
	b.asked.charges = true
	b.asked.answer = quota.Observation{Status: 200, Header: quota.Header{Limit: 100, HasLimit: true, Remaining: 60, HasRemaining: true, Window: time.Hour}}
	read := func() *v1alpha1.PullBudget {
		t.Helper()
		var got v1alpha1.PullBudget
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(budget), &got); err != nil {
			t.Fatal(err)
		}
		return &got
	}
	turns := func(n int) {
		t.Helper()
		for range n {
			if err := b.take(20 * time.Second); err != nil {
				t.Fatalf("turn: %v", err)
			}
		}
	}
	for n := 0; !read().ProbesCharged(); n++ {
		if n > 100 {
			t.Fatalf("%d HEADs took a unit each, and nobody found out: %+v", b.asked.probes, read().Status.Accounts)
		}
		turns(1)
	}
	found := b.asked.probes
	if found > 10 {
		t.Errorf("found after %d HEADs, want 10 at most", found)
	}
	c := meta.FindStatusCondition(read().Status.Conditions, "Reading")
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != "ProbesCharged" || !strings.Contains(c.Message, "declare what the registry allows") {
		t.Errorf("condition %+v, want ProbesCharged with a remedy", c)
	}
	warned := slices.DeleteFunc(b.said(), func(s string) bool { return !strings.HasPrefix(s, "Warning ProbesCharged") })
	if len(warned) != 1 {
		t.Errorf("events %q, want one", warned)
	}
	looks := b.asked.looks
	other := makePod(2)
	other.Spec.Containers[0].Image = "acme/other:1"
	if err := b.client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	b.see()
	turns(30)
	if b.asked.probes != found || b.asked.looks != looks {
		t.Errorf("%d more probes and %d more looks at images, want none", b.asked.probes-found, b.asked.looks-looks)
	}
	b.asked.charges = false
	changed := read()
	changed.Generation++
	changed.Spec.Probe = &v1alpha1.Probe{Repository: "acme/free"}
	if err := b.client.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	b.see()
	turns(3)
	if got := read(); got.ProbesCharged() || got.Status.Accounts[0].Grade != "OK" {
		t.Errorf("with another spec: %+v, want readings again", got.Status.Accounts)
	}
}
