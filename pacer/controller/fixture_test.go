package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
	"github.com/pullpace/pace/pacer/kube"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// makeBudget is a limit of pulls a minute for Docker Hub, declared.
func makeBudget(pulls int64) *v1alpha1.PullBudget {
	b := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: "hub", UID: "hub", Generation: 1}}
	b.Spec.Registry = "docker.io"
	b.Spec.Limit = &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: pulls, Window: &metav1.Duration{Duration: time.Minute}}
	return b
}

func makePolicy() *v1alpha1.PacePolicy {
	return &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "default", UID: "default", Generation: 1}}
}

func makeNamespace(annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: annotations,
		Labels: map[string]string{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled}}}
}

func makeNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
}

// makePod is held pod number i of Deployment shop/web.
func makePod(i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprintf("web-v1-%d", i), UID: types.UID(fmt.Sprint("uid-", i)),
		Labels:            map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "v1"},
		CreationTimestamp: metav1.NewTime(start.Add(time.Duration(i-100) * time.Second)),
		OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-v1", UID: "rs", Controller: new(true)}},
	}}
	p.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:1"}}
	gate.Hold(p, start, time.Hour)
	for _, e := range edit {
		e(p)
	}
	return p
}

func foreignGate(p *corev1.Pod) {
	p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: "other.dev/gate"})
}

// bench is a turn on a cluster in memory, with a clock that the test moves.
type bench struct {
	t      *testing.T
	turn   *Turn
	client client.WithWatch
	clock  *clocktesting.FakeClock
	events *events.FakeRecorder
	asked  *fakeRegistry
	gate   *gatekeeper
	runs   *runs
}

// fakeRegistry answers probes with an observation.
type fakeRegistry struct {
	answer    quota.Observation
	err       error
	manifests int
	// charges: every HEAD takes a unit. It is for probes one after the other.
	charges       bool
	probes, looks int
}

func (f *fakeRegistry) Probe(context.Context, string) (quota.Observation, error) {
	f.probes++
	if f.charges {
		f.answer.Header.Remaining--
	}
	return f.answer, f.err
}

func (f *fakeRegistry) Shape(context.Context, string) (int, string, error) {
	if f.charges {
		f.looks++
	}
	return f.manifests, "", nil
}

// makeBench puts the objects into a cluster and lets the turn see them.
func makeBench(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *bench {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.PullBudget{}, &v1alpha1.PacePolicy{}, &corev1.Pod{}, &corev1.Node{}).WithInterceptorFuncs(funcs).
		WithIndex(&corev1.Pod{}, indexHeld, heldIndex).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string { return []string{string(o.(*corev1.Event).InvolvedObject.UID)} }).Build()
	return startBench(t, c, clocktesting.NewFakeClock(start))
}

// restart is another leader on the same cluster at the same time.
func (b *bench) restart() *bench {
	b.t.Helper()
	return startBench(b.t, b.client, b.clock)
}

// startBench lets a turn see what is in a cluster.
func startBench(t *testing.T, c client.WithWatch, clk *clocktesting.FakeClock) *bench {
	t.Helper()
	rec := events.NewFakeRecorder(1000)
	m := NewMetrics(prometheus.NewRegistry())
	f := newFeed()
	asked := &fakeRegistry{manifests: 1}
	open := func(context.Context, *v1alpha1.PullBudget) (asker, error) { return asked, nil }
	b := &bench{t: t, client: c, clock: clk, events: rec, asked: asked, turn: &Turn{
		engine: &taped{Engine: engine.New(engine.Config{}), tape: newTape(maxTape, func() int { return 0 })}, world: newWorld(), feed: f, clock: clk,
		releaser: &releaser{client: c, live: c}, prober: newProber(open, m, clk.Now, f.wake),
		books: newBookkeeper(c), explainer: newExplainer(c, rec, clk), disrupt: newDisruption(c, rec), doubter: newDoubter(c, rec), alarms: newAlarms(c, rec, m), hinter: newHinter(c, f.wake), restorer: newRestorer(c, rec, nil), metrics: m, answers: &answers{client: c},
		events: rec, reader: c, rights: &nodeRights{client: allowing{c}}, looseUntil: map[types.UID]time.Time{}, crowdedAt: map[kube.Owner]time.Time{},
		heart: &heartbeat.Writer{Client: c, Live: c, Lease: beatKey(v1alpha1.Namespace), Identity: "test"},
	}}
	b.turn.orders = newOrders(rec, b.turn.world.tracker.BudgetsOf)
	b.turn.claims, b.runs = newClaims(clk, f.wake), newRuns()
	b.gate = newGatekeeper(b.turn.claims, b.runs, c)
	t.Cleanup(b.playBack)
	b.see()
	if err := b.turn.begin(t.Context()); err != nil {
		t.Fatalf("begin: %v", err)
	}
	return b
}

// see tells the turn of everything in the cluster, as informers would.
func (b *bench) see() {
	b.t.Helper()
	for kind, object := range kinds() {
		for _, o := range b.list(object) {
			b.turn.feed.put(kind, o, false)
		}
	}
}

// list are the objects of a kind, as copies.
func (b *bench) list(of client.Object) (out []client.Object) {
	b.t.Helper()
	kind, err := b.client.GroupVersionKindFor(of)
	if err != nil {
		b.t.Fatal(err)
	}
	made, err := b.client.Scheme().New(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err != nil {
		b.t.Fatal(err)
	}
	list := made.(client.ObjectList)
	if err := b.client.List(b.t.Context(), list); err != nil {
		b.t.Fatal(err)
	}
	_ = meta.EachListItem(list, func(o runtime.Object) error { // fails for what is no list
		out = append(out, o.(client.Object))
		return nil
	})
	return out
}

// take takes one turn after d and lets the turn see what came of it.
func (b *bench) take(d time.Duration) error {
	b.t.Helper()
	b.clock.Step(d)
	_, err := b.turn.take(b.t.Context())
	b.turn.prober.wait()
	b.turn.hinter.wait()
	b.see()
	return err
}

// pod reads a pod.
func (b *bench) pod(i int) *corev1.Pod {
	b.t.Helper()
	var p corev1.Pod
	if err := b.client.Get(b.t.Context(), client.ObjectKeyFromObject(makePod(i)), &p); err != nil {
		b.t.Fatalf("reading pod %d: %v", i, err)
	}
	return &p
}

// held are the numbers of the pods among those that are held still.
func (b *bench) held(of ...int) []int {
	b.t.Helper()
	var out []int
	for _, i := range of {
		if gate.Gated(b.pod(i)) {
			out = append(out, i)
		}
	}
	return out
}

// said are the Events so far, "Type Reason note".
func (b *bench) said() []string {
	var out []string
	for {
		select {
		case e := <-b.events.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

// allowing is a cluster that lets us do what we ask for.
type allowing struct{ client.Client }

func (allowing) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	o.(*authorizationv1.SelfSubjectAccessReview).Status.Allowed = true
	return nil
}
