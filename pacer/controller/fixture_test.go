package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		WithStatusSubresource(&v1alpha1.PullBudget{}, &v1alpha1.PacePolicy{}, &corev1.Pod{}).WithInterceptorFuncs(funcs).
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
		books: newBookkeeper(c), explainer: newExplainer(c, rec, clk), doubter: newDoubter(c, rec), alarms: newAlarms(c, rec, m), hinter: newHinter(c, f.wake), restorer: newRestorer(c, rec, nil), metrics: m, answers: &answers{client: c},
		events: rec, reader: c,
		heart: &heartbeat.Writer{Client: c, Live: c, Lease: beatKey(v1alpha1.Namespace), Identity: "test"},
	}}
	b.turn.orders = newOrders(rec, b.turn.world.tracker.BudgetsOf)
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
	put := func(kind int, list client.ObjectList, each func()) {
		if err := b.client.List(b.t.Context(), list); err != nil {
			b.t.Fatal(err)
		}
		each()
	}
	var namespaces corev1.NamespaceList
	put(0, &namespaces, func() {
		for i := range namespaces.Items {
			b.turn.feed.put(0, &namespaces.Items[i], false)
		}
	})
	var policies v1alpha1.PacePolicyList
	put(1, &policies, func() {
		for i := range policies.Items {
			b.turn.feed.put(1, &policies.Items[i], false)
		}
	})
	var budgets v1alpha1.PullBudgetList
	put(2, &budgets, func() {
		for i := range budgets.Items {
			b.turn.feed.put(2, &budgets.Items[i], false)
		}
	})
	var nodes corev1.NodeList
	put(3, &nodes, func() {
		for i := range nodes.Items {
			b.turn.feed.put(3, &nodes.Items[i], false)
		}
	})
	var jobs batchv1.JobList
	put(podKind-1, &jobs, func() {
		for i := range jobs.Items {
			b.turn.feed.put(podKind-1, &jobs.Items[i], false)
		}
	})
	var deployments appsv1.DeploymentList
	put(4, &deployments, func() {
		for i := range deployments.Items {
			b.turn.feed.put(4, &deployments.Items[i], false)
		}
	})
	var sets appsv1.ReplicaSetList
	put(5, &sets, func() {
		for i := range sets.Items {
			b.turn.feed.put(5, &sets.Items[i], false)
		}
	})
	var pods corev1.PodList
	put(podKind, &pods, func() {
		for i := range pods.Items {
			b.turn.feed.put(podKind, &pods.Items[i], false)
		}
	})
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
