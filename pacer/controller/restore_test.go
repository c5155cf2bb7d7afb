package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// makeSet is ReplicaSet shop/web-TAG of Deployment shop/web.
func makeSet(tagged string, revision int, edit ...func(*appsv1.ReplicaSet)) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-" + tagged, UID: types.UID("web-" + tagged),
		Annotations:     map[string]string{"deployment.kubernetes.io/revision": strconv.Itoa(revision)},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web", Controller: new(true)}}}}
	rs.Spec.Replicas = new(int32(0))
	rs.Spec.Template = *makeDeployment(tag(tagged)).Spec.Template.DeepCopy()
	rs.Spec.Template.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: tagged}
	for _, e := range edit {
		e(rs)
	}
	return rs
}

// serving gives a ReplicaSet pods.
func serving(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = new(int32(4)) }

// rolledOut makes a Deployment's rollout of one set complete.
func rolledOut(d *appsv1.Deployment) {
	d.Annotations["deployment.kubernetes.io/revision"] = "1"
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 4, UpdatedReplicas: 4, ReadyReplicas: 4, AvailableReplicas: 4}
}

// web reads Deployment shop/web.
func web(t interface{ Fatal(...any) }, c client.Reader) *appsv1.Deployment {
	var d appsv1.Deployment
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "web"}, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestTheTurnPutsFieldsBack(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		deployment *appsv1.Deployment
		namespace  map[string]string
		sets       []client.Object
		want       string
		says       string
	}{
		"a pod is held":                  {deployment: held(), want: imposed},
		"complete":                       {deployment: held(rolledOut), want: untouched},
		"switched off":                   {deployment: held(), namespace: map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}, want: untouched},
		"a person's write went past us":  {deployment: held(unavailable(1), deadlineOf(900)), want: `0 25% 2147483646 {"maxUnavailable":1,"maxSurge":"25%","progressDeadlineSeconds":900} held`},
		"junk":                           {deployment: held(remembers("[")), want: "0 25% 600", says: "Warning FailOpen"},
		"junk, but a set has a copy":     {deployment: held(remembers(`{"progressDeadlineSeconds":-1}`)), sets: []client.Object{makeSet("v1", 1, copyOf(`{"maxUnavailable":1,"progressDeadlineSeconds":70}`))}, want: "1 25% 70", says: "Warning FailOpen"},
		"lost, but a set has a copy":     {deployment: held(func(d *appsv1.Deployment) { d.Annotations = nil }), sets: []client.Object{makeSet("v1", 1, copyOf(`{"maxUnavailable":1,"progressDeadlineSeconds":70}`))}, want: "1 25% 70", says: "Warning FailOpen"},
		"came with an undo past us":      {deployment: makeDeployment(remembers(`{"maxUnavailable":7,"progressDeadlineSeconds":7}`), rolledOut), want: untouched},
		"hostile":                        {deployment: held(remembers(strings.Repeat("[", 1<<16))), want: "0 25% 600", says: "Warning FailOpen"},
		"a copy is left on a set of old": {deployment: makeDeployment(), sets: []client.Object{makeSet("v1", 1, copyOf("{}"))}, want: untouched},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := append(tc.sets, makeBudget(1), makePolicy(), makeNamespace(tc.namespace), tc.deployment)
			if name == "a pod is held" || strings.HasPrefix(name, "a person") {
				objects = append(objects, makePod(1), makeSet("v1", 1))
				if tc.deployment.Annotations["deployment.kubernetes.io/revision"] = "1"; tc.namespace == nil {
					tc.deployment.Status.ObservedGeneration = 1
				}
			}
			b := makeBench(t, interceptor.Funcs{}, objects...)
			for range 2 {
				if err := b.take(0); err != nil {
					t.Fatal(err)
				}
			}
			if got := bearing(web(t, b.client)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			said := strings.Join(b.said(), "\n")
			if (tc.says == "") == strings.Contains(said, "FailOpen") || !strings.Contains(said, tc.says) {
				t.Errorf("events %q, want %q", said, tc.says)
			}
			var sets appsv1.ReplicaSetList
			if err := b.client.List(t.Context(), &sets); err != nil {
				t.Fatal(err)
			}
			for _, rs := range sets.Items {
				if _, left := rs.Annotations[v1alpha1.AnnotationSaved]; left {
					t.Errorf("ReplicaSet %s has a copy still", rs.Name)
				}
			}
		})
	}
}

func TestAPausedRolloutGoesOnWhenItsFirstPodsCanBePaid(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeBudget(1), makePolicy(), makeNamespace(nil), stopped())
	verdict, asked := v1alpha1.QuoteHold, 0
	b.turn.restorer.price = func(_ context.Context, template kube.Template, pods int) (v1alpha1.PodQuote, error) {
		asked = pods
		if template.Owner.Name != "web" || template.Namespace.Name != "shop" {
			t.Errorf("priced %+v", template.Owner)
		}
		return v1alpha1.PodQuote{Verdict: verdict}, nil
	}
	for _, want := range []string{paused, `25% 25% 2147483646 {"progressDeadlineSeconds":600} held`} {
		for range 2 {
			if err := b.take(time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if got := bearing(web(t, b.client)); got != want || asked != 2 {
			t.Errorf("priced %d pods, got\n%s, want\n%s", asked, got, want)
		}
		verdict = v1alpha1.QuoteAllow
	}
}

func copyOf(text string) func(*appsv1.ReplicaSet) {
	return func(rs *appsv1.ReplicaSet) { rs.Annotations[v1alpha1.AnnotationSaved] = text }
}

func TestARefusedRestoreIsSaidAndTriedAgainLater(t *testing.T) {
	t.Parallel()
	refusing, tries := true, 0
	b := makeBench(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if _, is := o.(*appsv1.Deployment); is && refusing {
			tries++
			return apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, o.GetName(), errors.New("a policy denies it"))
		}
		return c.Patch(ctx, o, p, opts...)
	}}, makeBudget(1), makePolicy(), makeNamespace(nil), held(rolledOut))
	for range 3 {
		if err := b.take(time.Second); err != nil {
			t.Fatalf("a refusal stopped the turn: %v", err)
		}
	}
	if said := strings.Join(b.said(), "\n"); tries != 1 || !strings.Contains(said, "Warning ReleaseRefused") || !strings.Contains(said, "a policy denies it") {
		t.Errorf("%d tries, events %q", tries, said)
	}
	refusing = false
	if err := b.take(restoreAgain); err != nil {
		t.Fatal(err)
	}
	if got := bearing(web(t, b.client)); got != untouched {
		t.Errorf("got %s", got)
	}
}

// A Deployment of which a pod is held is looked at again when it changes, and when the pod
// goes.
func TestAHeldDeploymentRestsUntilItChanges(t *testing.T) {
	t.Parallel()
	released := func(p *corev1.Pod) { gate.Release(p, gate.Letting{}) }
	for name, tc := range map[string]struct {
		change func(*kube.Tracker)
		rests  bool
	}{
		"nothing happens":     {func(*kube.Tracker) {}, true},
		"another pod is held": {func(t *kube.Tracker) { t.Pod(start, makePod(2)) }, true},
		"it changes":          {func(t *kube.Tracker) { t.Deployment(held(unavailable(1))) }, false},
		"its pod is let go":   {func(t *kube.Tracker) { t.Pod(start, makePod(1, released)) }, false},
		"it may not be held": {func(t *kube.Tracker) {
			t.Namespace(makeNamespace(map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}))
		}, false},
		"its pod went and came": {func(t *kube.Tracker) {
			t.Pod(start, makePod(1, released))
			t.Deployment(held())
			t.Pod(start, makePod(3))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, interceptor.Funcs{}, makeBudget(1), makePolicy(), makeNamespace(nil), held(), makePod(1), makeSet("v1", 1))
			if err := b.take(0); err != nil {
				t.Fatal(err)
			}
			tracker := b.turn.world.tracker
			tc.change(tracker)
			if got := len(b.turn.restorer.keepResting(tracker.Altered())); (got == 1) != tc.rests {
				t.Errorf("%d Deployments rest, want it to: %v", got, tc.rests)
			}
		})
	}
}

// BenchmarkSettleHeld is what a turn does for so many Deployments of which a pod is held:
// nothing is due of them.
func BenchmarkSettleHeld(b *testing.B) {
	const deployments = 500
	tracker := kube.NewTracker()
	tracker.Namespace(makeNamespace(nil))
	rules, err := kube.NewRules([]v1alpha1.PullBudget{*makeBudget(1)}, []v1alpha1.PacePolicy{*makePolicy()})
	if err != nil {
		b.Fatal(err)
	}
	tracker.Rules(rules)
	for i := range deployments {
		name := fmt.Sprint("web-", i)
		d := held()
		d.Name, d.UID = name, types.UID(name)
		tracker.Deployment(d)
		tracker.ReplicaSet(makeSet("v1", 1, func(rs *appsv1.ReplicaSet) { rs.Name, rs.OwnerReferences[0].Name = name+"-v1", name }))
		tracker.Pod(start, makePod(i, func(p *corev1.Pod) { p.OwnerReferences[0].Name = name + "-v1" }))
	}
	r := newRestorer(fake.NewClientBuilder().Build(), events.NewFakeRecorder(1), nil)
	if all := tracker.Altered(); len(all) != deployments || !all[0].Held {
		b.Fatalf("%d Deployments are altered", len(all))
	}
	for b.Loop() {
		r.settle(b.Context(), start, tracker)
	}
}
