package failsafe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a failsafe on a cluster in memory, with a clock that the test moves.
type bench struct {
	t      *testing.T
	f      *Failsafe
	client client.WithWatch
	clock  *clocktesting.FakeClock
	turns  heartbeat.Writer
	// away says that the API server does not answer.
	away bool
	// refuse says which objects may not be patched.
	refuse func(name string) bool
	// patched is how many were.
	patched int
}

var errAway = errors.New("the API server is away")

func makeBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	b := &bench{t: t, clock: clocktesting.NewFakeClock(start), refuse: func(string) bool { return false }}
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if b.away {
				return errAway
			}
			return c.Get(ctx, key, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			switch {
			case b.away:
				return errAway
			case b.refuse(o.GetName()):
				return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, o.GetName(), errors.New("a policy"))
			}
			b.patched++
			return c.Patch(ctx, o, p, opts...)
		},
	}).Build()
	turns := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}
	b.client = c
	b.turns = heartbeat.Writer{Client: c, Live: c, Lease: turns, Identity: "controller"}
	b.f = &Failsafe{client: c, live: c, events: events.NewFakeRecorder(1000), clock: b.clock, turns: turns, metrics: NewMetrics(prometheus.NewRegistry()),
		heart: &heartbeat.Writer{Client: c, Live: c, Identity: "failsafe",
			Lease: client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.FailsafeHeartbeat}}}
	return b
}

// pass lets time pass, a look a second; the controller completes turns meanwhile or
// not. It returns what was free after each second.
func (b *bench) pass(d time.Duration, beats bool) (free []int) {
	b.t.Helper()
	for range int(d / time.Second) {
		b.clock.Step(time.Second)
		if beats {
			if err := b.turns.Beat(b.t.Context(), b.clock.Now()); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := b.f.look(b.t.Context()); err != nil && !b.away {
			b.t.Fatal(err)
		}
		free = append(free, b.patched)
	}
	return free
}

// marked are the names of the objects that were let go, with why, sorted.
func (b *bench) marked() (out []string) {
	b.t.Helper()
	for _, list := range []client.ObjectList{&corev1.PodList{}, &corev1.NodeList{}, &batchv1.JobList{}, &appsv1.DeploymentList{}} {
		if err := b.client.List(b.t.Context(), list); err != nil {
			b.t.Fatal(err)
		}
		for _, o := range items(list) {
			if text := o.GetAnnotations()[v1alpha1.AnnotationRelease]; text != "" {
				mark, err := v1alpha1.ParseReleaseMark(text)
				if err != nil {
					b.t.Fatal(err)
				}
				out = append(out, o.GetName()+" "+mark.Reason)
			}
		}
	}
	slices.Sort(out)
	return out
}

// pod is held pod number i, until the given time after start.
func pod(i int, until time.Duration, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("pod-", i), UID: types.UID(fmt.Sprint("uid-", i))}}
	gate.Hold(p, start, until)
	for _, e := range edit {
		e(p)
	}
	return p
}

func pods(n int) (out []client.Object) {
	for i := range n {
		out = append(out, pod(i, 24*time.Hour))
	}
	return out
}

func because(reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: v1alpha1.ConditionHeld, Status: corev1.ConditionTrue, Reason: reason}}
	}
}

func foreign(p *corev1.Pod) {
	p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: "other.dev/gate"})
}

func TestNothingGoesWhileTheControllerMayComeBack(t *testing.T) {
	t.Parallel()
	b := makeBench(t, pods(3)...)
	b.pass(time.Minute, true)
	b.pass(115*time.Second, false)
	if got := b.marked(); len(got) > 0 {
		t.Errorf("let go %v within 2 min of the last turn", got)
	}
	b.pass(time.Minute, true)
	if got := b.marked(); len(got) > 0 {
		t.Errorf("let go %v of a controller that came back", got)
	}
}

func TestEverythingGoesEvenlyWithinFiveMinutesOfTheLastTurn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, pods(n)...)
			b.pass(30*time.Second, true)
			free := b.pass(5*time.Minute, false)
			if got := free[len(free)-1]; got != n {
				t.Errorf("%d of %d are free 5 min after the last turn", got, n)
			}
			// A third of the way at most a third and a bit are free: a drip, no storm.
			if got, most := free[179], n/3+n/20+2; n > 3 && (got > most || got == 0) {
				t.Errorf("%d of %d are free 3 min after the last turn, want 1 to %d", got, n, most)
			}
			for i := 1; i < len(free); i++ {
				if went := free[i] - free[i-1]; went > n/180+2 {
					t.Errorf("%d of %d went in one second", went, n)
				}
			}
		})
	}
}

func TestARestartedFailsafeDoesNotStartFromZero(t *testing.T) {
	t.Parallel()
	b := makeBench(t, pods(50)...)
	b.pass(30*time.Second, true)
	b.pass(3*time.Minute, false)
	b.f = &Failsafe{client: b.f.client, live: b.f.live, events: b.f.events, clock: b.f.clock, turns: b.f.turns, heart: b.f.heart, metrics: b.f.metrics}
	free := b.pass(2*time.Minute, false)
	if free[19] > free[0] {
		t.Errorf("%d went in the first 20 s: it must make sure first", free[19]-free[0])
	}
	if got := free[len(free)-1]; got != 50 {
		t.Errorf("%d of 50 are free 5 min after the last turn", got)
	}
}

// A controller that cannot be reached is cut off from the same API server.
func TestAnOutageOfTheAPIServerLooksLikeNoDeath(t *testing.T) {
	t.Parallel()
	b := makeBench(t, pods(3)...)
	b.pass(30*time.Second, true)
	b.away = true
	b.pass(5*time.Minute, false)
	b.away = false
	b.pass(15*time.Second, false)
	b.pass(time.Minute, true)
	if got := b.marked(); len(got) > 0 {
		t.Errorf("let go %v", got)
	}
	b.away = true
	b.pass(5*time.Minute, false)
	b.away = false
	b.pass(4*time.Minute, false)
	if got := len(b.marked()); got != 3 {
		t.Errorf("%d of 3 are free, but the controller did not come back", got)
	}
}

func TestAllKindsAreFreedAndFieldsComeLast(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: "node"}}
	node.Spec.Taints = []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}, {Key: "theirs", Effect: corev1.TaintEffectNoSchedule}}
	gate.MarkHeld(node, start.Add(time.Hour))
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "job", UID: "job",
		Annotations: map[string]string{v1alpha1.AnnotationSaved: gate.Saved{Suspend: new(false)}.String()}}}
	job.Spec.Suspend = new(true)
	gate.MarkHeld(job, start.Add(time.Hour))
	quarter := intstr.FromString("25%")
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web",
		Annotations: map[string]string{v1alpha1.AnnotationSaved: gate.Saved{MaxUnavailable: &quarter}.String()}}}
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0))}
	gate.MarkHeld(d, start.Add(time.Hour))
	b := makeBench(t, node, job, d, pod(1, time.Hour), pod(2, time.Hour, foreign))
	b.pass(10*time.Second, true)
	b.pass(130*time.Second, false)
	if diff := cmp.Diff([]string{"node Failsafe"}, b.marked()); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	b.pass(3*time.Minute, false)
	want := []string{"job Failsafe", "node Failsafe", "pod-1 Failsafe", "pod-2 Failsafe", "web Failsafe"}
	if diff := cmp.Diff(want, b.marked()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	for _, o := range []client.Object{node, job, d} {
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		if o.GetLabels()[v1alpha1.LabelHeld] != "" || o.GetAnnotations()[v1alpha1.AnnotationSaved] != "" || o.GetAnnotations()[v1alpha1.AnnotationHoldUntil] != "" {
			t.Errorf("%s: labels %v, annotations %v", o.GetName(), o.GetLabels(), o.GetAnnotations())
		}
	}
	if len(node.Spec.Taints) != 1 || node.Spec.Taints[0].Key != "theirs" || *job.Spec.Suspend || d.Spec.Strategy.RollingUpdate.MaxUnavailable.String() != "25%" {
		t.Errorf("taints %v, suspend %v, maxUnavailable %v", node.Spec.Taints, *job.Spec.Suspend, d.Spec.Strategy.RollingUpdate.MaxUnavailable)
	}
}

func TestBoundsThatPassed(t *testing.T) {
	t.Parallel()
	objects := func() []client.Object {
		return []client.Object{pod(1, 20*time.Second), pod(2, 10*time.Second, because(reasonRefused)), pod(3, 30*time.Second, because(reasonRefused)),
			pod(4, time.Hour, because(reasonRefused)), pod(5, 5*time.Second, because(reasonRefused), foreign)}
	}
	t.Run("are the controller's while it completes turns", func(t *testing.T) {
		t.Parallel()
		b := makeBench(t, objects()...)
		b.pass(time.Minute, true)
		if diff := cmp.Diff([]string{"pod-2 HoldExpired", "pod-3 HoldExpired"}, b.marked()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("end one a second while it does not", func(t *testing.T) {
		t.Parallel()
		b := makeBench(t, objects()...)
		b.pass(12*time.Second, true)
		free := b.pass(32*time.Second, false)
		// Two had been refused, and go at their bounds; the third when the heartbeat is
		// 30 s old.
		if got := free[25]; got != 2 {
			t.Errorf("%d are free while the heartbeat is fresh, want 2", got)
		}
		if diff := cmp.Diff([]string{"pod-1 HoldExpired", "pod-2 HoldExpired", "pod-3 HoldExpired"}, b.marked()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// One object that cannot be freed must not keep the others.
func TestARefusedObjectRestsAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := makeBench(t, pods(10)...)
	refusing := true
	b.refuse = func(name string) bool { return refusing && name == "pod-0" }
	b.pass(10*time.Second, true)
	b.pass(5*time.Minute, false)
	if got := b.marked(); len(got) != 9 || strings.HasPrefix(got[0], "pod-0") {
		t.Errorf("free are %v, want all but pod-0", got)
	}
	refusing = false
	b.pass(35*time.Second, false)
	if got := len(b.marked()); got != 10 {
		t.Errorf("%d are free, want 10", got)
	}
}

func TestItSaysThatItLooks(t *testing.T) {
	t.Parallel()
	b := makeBench(t)
	b.pass(10*time.Second, false)
	var lease coordinationv1.Lease
	if err := b.client.Get(t.Context(), b.f.heart.Lease, &lease); err != nil {
		t.Fatal(err)
	}
	if age := b.clock.Now().Sub(lease.Spec.RenewTime.Time); age > heartbeat.Every {
		t.Errorf("seen %v ago", age)
	}
}

// valueOf is what a gauge or counter shows.
func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var shown dto.Metric
	if err := m.Write(&shown); err != nil {
		t.Fatal(err)
	}
	return shown.GetGauge().GetValue() + shown.GetCounter().GetValue()
}

// What Prometheus is told: nothing while the controller lives, then that it is gone and
// what went, by why.
func TestMetrics(t *testing.T) {
	t.Parallel()
	told := func(b *bench) [4]float64 {
		m := b.f.metrics
		return [4]float64{valueOf(t, m.acting), valueOf(t, m.held),
			valueOf(t, m.released.WithLabelValues(reasonFailsafe)), valueOf(t, m.released.WithLabelValues(reasonHoldExpired))}
	}
	b := makeBench(t, append(pods(3), pod(3, time.Minute, because(reasonRefused)))...)
	b.pass(30*time.Second, true)
	if got, want := told(b), [4]float64{0, 4, 0, 0}; got != want {
		t.Errorf("in peace: acting, held, let go as gone, as expired: %v, want %v", got, want)
	}
	b.pass(time.Minute, true)
	if got, want := told(b), [4]float64{0, 3, 0, 1}; got != want {
		t.Errorf("after a bound: %v, want %v", got, want)
	}
	b.pass(3*time.Minute, false)
	if got := told(b); got[0] != 1 || got[2] == 0 {
		t.Errorf("a controller that is gone: %v, want acting and something let go", got)
	}
	if got, want := valueOf(t, b.f.metrics.looks), float64(b.clock.Now().Unix()); got != want {
		t.Errorf("looked last at %v, want %v", got, want)
	}
}
