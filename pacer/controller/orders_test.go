package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

func giving(action, annotation, by string, at time.Duration) func(client.Object) client.Object {
	return func(o client.Object) client.Object {
		o.SetAnnotations(map[string]string{annotation: v1alpha1.Order{By: by, Reason: action, At: start.Add(at)}.String()})
		return o
	}
}

// Each order is said once, on its object and in the books of what it is about, also
// by a leader that begins in the middle.
func TestOrdersAreRecordedOnce(t *testing.T) {
	t.Parallel()
	deployment := func() client.Object {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "acme/web:1"}}
		return d
	}
	pause := giving("it leaks", v1alpha1.AnnotationPaused, "kim", 0)
	ofRollout := v1alpha1.OverrideRecord{At: metav1.NewTime(start), By: "kim", Action: "paused", Object: "rollout/web -n shop", Reason: "it leaks"}
	record := v1alpha1.OverrideRecord{At: metav1.NewTime(start), By: "kim", Action: "paused", Object: "deploy/web -n shop", Reason: "it leaks"}
	const said = "Normal Paused paused by kim: it leaks"
	tests := map[string]struct {
		known   []v1alpha1.OverrideRecord
		changes []client.Object
		events  []string
		records []v1alpha1.OverrideRecord
	}{
		"a pause, seen twice":       {nil, []client.Object{pause(deployment()), pause(deployment())}, []string{said}, []v1alpha1.OverrideRecord{record}},
		"of an Argo Rollout":        {nil, []client.Object{pause(makeRollout(0)), makeRun("0", "Running", "")}, []string{said}, []v1alpha1.OverrideRecord{ofRollout}},
		"recorded by another":       {[]v1alpha1.OverrideRecord{record}, []client.Object{pause(deployment())}, nil, []v1alpha1.OverrideRecord{record}},
		"of long ago":               {nil, []client.Object{giving("old", v1alpha1.AnnotationPaused, "kim", -time.Hour)(deployment())}, nil, nil},
		"no order":                  {nil, []client.Object{deployment(), makeNode("a")}, nil, nil},
		"of a budget and of a node": {nil, []client.Object{giving("b", v1alpha1.AnnotationResumed, "kim", 0)(makeBudget(5)), giving("n", v1alpha1.AnnotationOverride, "kim", 0)(makeNode("a"))}, []string{"Normal Resumed resumed by kim: b", "Normal Override released by kim: n"}, []v1alpha1.OverrideRecord{{At: metav1.NewTime(start), By: "kim", Action: "resumed", Object: "budget/hub", Reason: "b"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := events.NewFakeRecorder(10)
			o := newOrders(rec, func(string, *corev1.PodSpec) []string { return []string{"hub"} })
			budget := makeBudget(5)
			budget.Status.Overrides = tc.known
			o.restore([]v1alpha1.PullBudget{*budget})
			for _, object := range tc.changes {
				o.observe(start.Add(time.Second), []change{{object: object}})
			}
			close(rec.Events)
			var got []string
			for e := range rec.Events {
				got = append(got, e)
			}
			if diff := cmp.Diff(tc.events, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.records, o.of("hub", nil)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLastTenOrdersAreKept(t *testing.T) {
	t.Parallel()
	o := newOrders(events.NewFakeRecorder(100), nil)
	for i := range maxOverrides + 3 {
		o.observe(start.Add(time.Minute), []change{{object: giving(fmt.Sprint(i), v1alpha1.AnnotationPaused, "kim", time.Duration(i)*time.Second)(makeBudget(5))}})
	}
	got := o.of("hub", nil)
	if len(got) != maxOverrides || got[0].Reason != "3" || got[maxOverrides-1].Reason != "12" {
		t.Errorf("%d records, %s to %s; want 3 to 12", len(got), got[0].Reason, got[len(got)-1].Reason)
	}
	o.observe(start, []change{{object: makeBudget(5), gone: true}})
	if left := o.of("hub", nil); len(left) > 0 {
		t.Errorf("%d records of a PullBudget that is gone", len(left))
	}
}

// An order on a held pod ends in its Event and in the status of its PullBudget.
func TestAnOrderIsInTheBooks(t *testing.T) {
	t.Parallel()
	order := v1alpha1.Order{By: "kim", Reason: "customers wait", At: start, Now: true}
	pod := makePod(1, func(p *corev1.Pod) { p.Annotations[v1alpha1.AnnotationOverride] = order.String() })
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"), pod)
	for range 4 {
		if err := b.take(3 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if held := b.held(1); len(held) > 0 {
		t.Fatal("the pod is held still")
	}
	var budget v1alpha1.PullBudget
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "hub"}, &budget); err != nil {
		t.Fatal(err)
	}
	want := []v1alpha1.OverrideRecord{{At: metav1.NewTime(start.Local()), By: "kim", Action: "released", Object: "pod/web-v1-1 -n shop", Reason: "customers wait"}}
	if diff := cmp.Diff(want, budget.Status.Overrides); diff != "" {
		t.Errorf("overrides (-want +got):\n%s", diff)
	}
	said := b.said()
	for _, want := range []string{"Normal Override released by kim: customers wait", "Normal Override let go: " + text(core.Override) + " (kim: customers wait)"} {
		n := 0
		for _, e := range said {
			if e == want {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is said %d times in %q", want, n, said)
		}
	}
}

// TestOrdersOfOneMomentAreAllRecorded: a turn sees the last state of an object alone, and
// people are told of each order.
func TestOrdersOfOneMomentAreAllRecorded(t *testing.T) {
	t.Parallel()
	f := newFeed()
	states := []func(*v1alpha1.PullBudget) client.Object{
		func(b *v1alpha1.PullBudget) client.Object {
			return giving("leaks", v1alpha1.AnnotationPaused, "kim", time.Second)(b)
		},
		func(b *v1alpha1.PullBudget) client.Object {
			return giving("really", v1alpha1.AnnotationPaused, "kim", 2*time.Second)(b)
		},
		func(b *v1alpha1.PullBudget) client.Object {
			return giving("no more", v1alpha1.AnnotationResumed, "kim", 3*time.Second)(b)
		},
		func(b *v1alpha1.PullBudget) client.Object { return b },
	}
	for _, state := range states {
		f.put(2, state(makeBudget(5)), false)
	}
	o := newOrders(events.NewFakeRecorder(100), nil)
	changes := f.take()
	o.observe(start.Add(time.Minute), f.takeOutdated())
	o.observe(start.Add(time.Minute), changes)
	var got []string
	for _, r := range o.of("hub", nil) {
		got = append(got, r.Action+" "+r.Reason)
	}
	if diff := cmp.Diff([]string{"paused leaks", "paused really", "resumed no more"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if left := f.takeOutdated(); len(left) > 0 {
		t.Errorf("%d states are told of twice", len(left))
	}
}
