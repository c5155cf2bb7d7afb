package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/gate"
)

func watchingPolicy() *v1alpha1.PacePolicy {
	p := makePolicy()
	p.Spec.Mode = v1alpha1.Shadow
	return p
}

// passing is a pod that admission saw and let pass in mode Shadow.
func passing(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.SchedulingGates, p.Labels[v1alpha1.LabelHeld] = nil, ""
		delete(p.Labels, v1alpha1.LabelHeld)
		delete(p.Annotations, v1alpha1.AnnotationHoldUntil)
		p.CreationTimestamp = metav1.NewTime(start.Add(settled))
		p.Spec.NodeName = node
	}
}

// refused is a pod whose pull was answered by 429.
func refused(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "ErrImagePull", Message: "429 Too Many Requests: toomanyrequests: You have reached your unauthenticated pull rate limit."}}}}
}

// makeWatched is a cluster of so many nodes with 2 pulls left of an observed limit, read
// before any pod is there.
func makeWatched(t *testing.T, policy *v1alpha1.PacePolicy, nodes int) *bench {
	t.Helper()
	budget := makeBudget(0)
	budget.Spec.Limit = nil
	objects := []client.Object{budget, policy, makeNamespace(nil)}
	for i := range nodes {
		objects = append(objects, makeNode(fmt.Sprint("n", i)))
	}
	b := makeBench(t, interceptor.Funcs{}, objects...)
	for range 3 {
		b.read(2)
		if err := b.take(settled); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// read lets the registry say from now on that so much is left of 10 an hour.
func (b *bench) read(remaining core.Units) {
	b.asked.answer = quota.Observation{SentAt: b.clock.Now().Add(settled), Status: 200,
		Header: quota.Header{Limit: 10, HasLimit: true, Remaining: remaining, HasRemaining: true, Window: time.Hour}}
}

func (b *bench) create(pods ...*corev1.Pod) {
	b.t.Helper()
	for _, p := range pods {
		if err := b.client.Create(b.t.Context(), p); err != nil {
			b.t.Fatal(err)
		}
	}
	b.see()
}

func (b *bench) change(i int, edit func(*corev1.Pod)) {
	b.t.Helper()
	p := b.pod(i)
	edit(p)
	if err := b.client.Status().Update(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
	b.see()
}

func (b *bench) shadowOf(policy string) *v1alpha1.ShadowStatus {
	b.t.Helper()
	var p v1alpha1.PacePolicy
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Name: policy}, &p); err != nil {
		b.t.Fatal(err)
	}
	return p.Status.Shadow
}

// TestShadowDecidesFirstWhatEnforceDecides starts the same pods under both modes. In
// Shadow they are on their nodes before the first decision.
func TestShadowDecidesFirstWhatEnforceDecides(t *testing.T) {
	t.Parallel()
	enforce, watch := makeWatched(t, makePolicy(), 4), makeWatched(t, watchingPolicy(), 4)
	var first [2]engine.Decision
	for i, b := range []*bench{enforce, watch} {
		for n := range 4 {
			pod := makePod(n, passing(fmt.Sprint("n", n)))
			if b == enforce {
				pod.Spec.NodeName = ""
				gate.Hold(pod, pod.CreationTimestamp.Time, 24*time.Hour)
			}
			b.create(pod)
		}
		b.clock.Step(time.Second)
		now := b.clock.Now()
		b.turn.observe(t.Context(), now)
		if b == enforce {
			first[i] = b.turn.engine.Decide(now)
		} else {
			b.turn.engine.Decide(now)
			b.turn.watch.decide(now, b.turn.engine.Engine, b.turn.world.tracker)
			first[i] = b.turn.watch.last
		}
		first[i].ID = "" // names the events that were seen, which differ
	}
	if diff := cmp.Diff(first[0], first[1]); diff != "" {
		t.Errorf("first decision (-Enforce +Shadow):\n%s", diff)
	}
	if r := first[0].Releases; len(r) == 0 || len(first[0].Holds) == 0 {
		t.Errorf("decision %+v: want some released and some held", first[0])
	}
}

// TestShadowCountsAndNobodyIsHeld follows pods under a policy in mode Shadow until
// their status says what would have been.
func TestShadowCountsAndNobodyIsHeld(t *testing.T) {
	t.Parallel()
	b := makeWatched(t, watchingPolicy(), 4)
	for n := range 4 {
		b.create(makePod(n, passing(fmt.Sprint("n", n))))
	}
	if err := b.take(time.Second); err != nil { // and look at the image
		t.Fatal(err)
	}
	b.change(3, refused)
	for range 3 {
		if err := b.take(settled); err != nil {
			t.Fatal(err)
		}
	}
	s := b.shadowOf("default")
	if s == nil {
		t.Fatal("no status.shadow")
	}
	if s.Pods < 2 || s.Rollouts != 1 || s.Throttled != 1 || s.Saved != 1 || s.HeldForNothing != 0 {
		t.Errorf("status %+v, want 2 pods of 1 rollout at least, 1 answer of 429 saved and nothing held for nothing", s)
	}
	if len(s.Holds) != 1 || s.Holds[0].Workload != "Deployment/shop/web" || s.Holds[0].Reason == "" || s.Holds[0].Message == "" {
		t.Errorf("holds %+v, want those of Deployment/shop/web with why", s.Holds)
	}
	if len(s.Hours) == 0 || s.Hours[0].Pods != s.Pods || len(s.Workloads) != 1 || s.Workloads[0].Pods != s.Pods {
		t.Errorf("hours %+v, workloads %+v: want %d pods in each", s.Hours, s.Workloads, s.Pods)
	}
	for n := range 4 {
		p := b.pod(n)
		if gate.Gated(p) || p.Annotations[v1alpha1.AnnotationRelease] != "" {
			t.Errorf("pod %d: gates %v, annotations %v: Shadow acted", n, p.Spec.SchedulingGates, p.Annotations)
		}
	}
	if n := len(b.turn.metrics.shadow.shown); n != 7 {
		t.Errorf("%d metrics of one policy and one Reason, want 7", n)
	}
	again := &watching{}
	again.restore([]v1alpha1.PacePolicy{{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.PacePolicyStatus{Shadow: s}}})
	if diff := cmp.Diff(s.ShadowCounts, countsStatus(again.record["default"].Total)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

// TestShadowEndsWithItsPolicy switches the policy on: what would have been held goes
// in the books, and the second engine is gone; what was counted stays.
func TestShadowEndsWithItsPolicy(t *testing.T) {
	t.Parallel()
	b := makeWatched(t, watchingPolicy(), 4)
	for n := range 4 {
		b.create(makePod(n, passing(fmt.Sprint("n", n))))
	}
	for range 2 {
		if err := b.take(settled); err != nil {
			t.Fatal(err)
		}
	}
	if b.turn.watch.shadow == nil {
		t.Fatal("no shadow runs beside a policy in mode Shadow")
	}
	pods := b.shadowOf("default").Pods
	var p v1alpha1.PacePolicy
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &p); err != nil {
		t.Fatal(err)
	}
	p.Spec.Mode, p.Generation = v1alpha1.Enforce, 2
	if err := b.client.Update(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	b.see()
	if err := b.take(settled); err != nil {
		t.Fatal(err)
	}
	if b.turn.watch.shadow != nil {
		t.Error("a shadow runs although no policy is in mode Shadow")
	}
	if s := b.shadowOf("default"); s == nil || s.Pods != pods || pods == 0 {
		t.Errorf("status %+v, want the %d pods that were counted", s, pods)
	}
}

// TestProbesHurryForTheShadow has nothing wait but in the shadow's books.
func TestProbesHurryForTheShadow(t *testing.T) {
	t.Parallel()
	w := &watching{shadow: makeWatched(t, watchingPolicy(), 1).turn.watch.shadow}
	now := start
	w.last = engine.Decision{Wake: now.Add(3 * time.Second),
		Accounts: []engine.View{{Account: "waits", Held: 1}, {Account: "idles"}, {Account: "unasked", Held: 1}},
		Probes:   []engine.Probe{{Account: "waits", At: now.Add(2 * time.Second)}, {Account: "idles", At: now}, {Account: "unasked", At: now}}}
	d := w.hurry(engine.Decision{Wake: now.Add(time.Minute), Probes: []engine.Probe{
		{Account: "idles", At: now.Add(4 * time.Second)}, {Account: "waits", At: now.Add(5 * time.Minute)}}})
	want := []engine.Probe{{Account: "waits", At: now.Add(2 * time.Second)}, {Account: "idles", At: now.Add(4 * time.Second)}}
	if diff := cmp.Diff(want, d.Probes); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	if want := now.Add(3 * time.Second); !d.Wake.Equal(want) {
		t.Errorf("wake %v, want %v", d.Wake, want)
	}
}
