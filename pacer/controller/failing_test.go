package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/gate"
)

// hubAccount is the account of makeBudget.
const hubAccount = core.AccountID("docker.io/anonymous")

// failing makes a pod one that went to node a and whose pull fails with a message.
func failing(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		gate.Release(p, gate.Letting{})
		p.Spec.NodeName = "a"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

// Messages of kubelets, shortened; the first is hostile.
const (
	limitMet = "429 Too Many Requests\ntoomanyrequests: You have reached your pull rate limit\x1b[2J"
	noSuch   = `failed to resolve image: docker.io/acme/web:1: not found`
)

// breaker is the decision that an account's breaker is as told.
func breaker(v feedback.View) engine.Decision {
	return engine.Decision{Accounts: []engine.View{{Account: hubAccount, Breaker: v}}}
}

func TestEveryTransitionOfABreakerIsTold(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"), makePod(1, failing("ErrImagePull", limitMet)))
	b.said()
	a := newAlarms(b.client, b.events, b.turn.metrics)
	cause := feedback.Cause{Class: feedback.Throttled}
	until := start.Add(30 * time.Second)
	steps := []struct {
		view feedback.View
		want []string // parts of the one Event
	}{
		{feedback.View{State: feedback.OK}, nil},
		{feedback.View{State: feedback.Paused, Cause: cause, Until: until, Opened: 1},
			[]string{"Warning BreakerOpen docker.io/anonymous: paused: a pull was answered by 429; tried again at 12:00:30 UTC at the soonest", "pod shop/web-v1-1: 429 Too Many Requests toomanyrequests: You have reached your pull rate limit?[2J"}},
		{feedback.View{State: feedback.Paused, Cause: cause, Until: until, Opened: 1}, nil},
		{feedback.View{State: feedback.Trying, Cause: cause, Opened: 1}, []string{"Normal BreakerTrying docker.io/anonymous: ", "one pod"}},
		{feedback.View{State: feedback.Paused, Cause: cause, Opened: 2}, []string{"Warning BreakerOpen", "tried again after the next reading"}},
		{feedback.View{State: feedback.Paused, Cause: cause, Opened: 3}, []string{"Warning BreakerOpen"}}, // closed and opened in between
		{feedback.View{State: feedback.OK, Opened: 3}, []string{"Normal BreakerClosed docker.io/anonymous: pulls succeed"}},
		{feedback.View{State: feedback.OK, Opened: 3}, nil},
	}
	for i, step := range steps {
		a.tell(t.Context(), b.turn.world, breaker(step.view))
		said := b.said()
		if want := min(len(step.want), 1); len(said) != want {
			t.Errorf("step %d: %d Events, want %d: %q", i, len(said), want, said)
			continue
		}
		for _, part := range step.want {
			if !strings.Contains(said[0], part) {
				t.Errorf("step %d: Event %q does not say %q", i, said[0], part)
			}
		}
	}
	transitions := b.turn.metrics.failing.transitions
	for to, want := range map[string]float64{"open": 3, "half-open": 1, "closed": 1} {
		if got := counted(t, transitions.WithLabelValues(string(hubAccount), to)); got != want {
			t.Errorf("%g transitions to %s, want %g", got, to, want)
		}
	}
}

// TestANewLeaderDoesNotTellAgain: what is in the status was told.
func TestANewLeaderDoesNotTellAgain(t *testing.T) {
	t.Parallel()
	budget := makeBudget(5)
	budget.Status.Accounts = []v1alpha1.AccountStatus{{Account: string(hubAccount), Breaker: &v1alpha1.BreakerStatus{State: "paused", Cause: "a pull was answered by 429"}}}
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), budget)
	a := newAlarms(b.client, b.events, b.turn.metrics)
	a.restore([]v1alpha1.PullBudget{*budget})
	a.tell(t.Context(), b.turn.world, breaker(feedback.View{State: feedback.Paused, Opened: 1}))
	if said := b.said(); len(said) != 0 {
		t.Errorf("told again: %q", said)
	}
	a.tell(t.Context(), b.turn.world, breaker(feedback.View{State: feedback.OK, Opened: 1}))
	if said := b.said(); len(said) != 1 || !strings.Contains(said[0], breakerClosed) {
		t.Errorf("told %q, want that it closed", said)
	}
}

func TestAWorkloadIsToldThatItsImageFails(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"), makeWeb("acme/web:1"),
		makePod(1, failing("ErrImagePull", noSuch)), makePod(2, failing("ErrImagePull", noSuch)))
	b.said()
	a := newAlarms(b.client, b.events, b.turn.metrics)
	fails := engine.Decision{Failing: []engine.Failing{
		{Workload: "Deployment/shop/web", Revision: "v1", View: feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.NotFound, Failed: 5, Pods: 6}, Since: start}},
		{Node: "a", View: feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.NotFound, Failed: 2, Pods: 2}, Since: start}},
		{Workload: "Deployment/shop/gone", Revision: "v9", View: feedback.View{State: feedback.Paused}},
	}}
	a.tell(t.Context(), b.turn.world, fails)
	said := b.said()
	if len(said) != 2 {
		t.Fatalf("%d Events for two pods that fail, want one on the workload and one on the node: %q", len(said), said)
	}
	for _, part := range []string{"Warning ImageFailing no more pods of revision v1 are let go", "docker.io/acme/web:1", "the pulls of 5 of 6 pods failed (NotFound)",
		feedback.NotFound.Info().Remedy, noSuch} {
		if !strings.Contains(said[0], part) {
			t.Errorf("Event %q does not say %q", said[0], part)
		}
	}
	if !strings.Contains(said[1], "Warning PullsFailing") {
		t.Errorf("of the node it is said %q", said[1])
	}
	a.tell(t.Context(), b.turn.world, fails)
	if again := b.said(); len(again) != 0 {
		t.Errorf("told again: %q", again)
	}
	a.tell(t.Context(), b.turn.world, engine.Decision{})
	said = b.said()
	slices.Sort(said)
	if len(said) != 2 || !strings.HasPrefix(said[0], "Normal ImageRecovered") || !strings.HasPrefix(said[1], "Normal PullsRecovered") {
		t.Errorf("at the end it is said %q", said)
	}
}

func TestAHoldSaysWhichFailuresCausedIt(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"), makeWeb("acme/web:1"), makePod(1, failing("ErrImagePull", noSuch)), makePod(2))
	pods := b.turn.world.tracker.FailingPulls()
	if len(pods) != 1 {
		t.Fatalf("%d pulls fail, want 1", len(pods))
	}
	group := groupOf(t, b)
	d := breaker(feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.Throttled}, Until: start.Add(time.Minute)})
	d.Failing = []engine.Failing{{Workload: "Deployment/shop/web", Revision: "v1", View: feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.NotFound, Failed: 5, Pods: 6}}}}
	cases := map[core.Reason][]string{
		core.BreakerOpen:      {"docker.io/anonymous is paused: a pull was answered by 429; it is asked again, then one pod", "at the latest 2026"},
		core.ImageFailing:     {"docker.io/acme/web:1: the pulls of 5 of 6 pods failed (NotFound)", feedback.NotFound.Info().Remedy, noSuch},
		core.WaitingForBudget: {"1 pod like this: 1 unit of docker.io/anonymous needed at most, 0 free"},
	}
	for reason, want := range cases {
		h := engine.Hold{Group: group, Count: 1, Reason: reason, Account: hubAccount, Need: 1}
		causes, _ := causesOf(b.turn.world.tracker, d, []engine.Hold{h})
		got := message(h, causes[0], start.Add(time.Hour))
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", reason, got, part)
			}
		}
	}
}

// groupOf is the group of the pods that are held or about to go.
func groupOf(t *testing.T, b *bench) core.GroupID {
	t.Helper()
	d := b.turn.engine.Decide(start)
	for _, r := range d.Releases {
		return r.Group
	}
	for _, h := range d.Holds {
		return h.Group
	}
	t.Fatal("no pod is held")
	return ""
}

// counted is what a counter counted.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestFailuresAreCountedByClass(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"))
	for i, message := range []string{limitMet, noSuch, noSuch} {
		if err := b.client.Create(t.Context(), makePod(i, failing("ErrImagePull", message))); err != nil {
			t.Fatal(err)
		}
	}
	other := makePod(9, failing("ErrImagePull", "dial tcp: lookup quay.io: no such host"))
	other.Spec.Containers[0].Image = "quay.io/acme/web:1"
	if err := b.client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	b.see()
	for range 2 { // the second turn sees nothing new
		if err := b.take(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	want := map[[2]string]float64{{string(hubAccount), "Throttled"}: 1, {string(hubAccount), "NotFound"}: 2, {"none", "DNS"}: 1}
	got := map[[2]string]float64{}
	for labels := range want {
		got[labels] = counted(t, b.turn.metrics.failing.failures.WithLabelValues(labels[0], labels[1]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures by account and class (-want +got):\n%s", diff)
	}
}

// TestAnEventTellsWhyAPullFails: the status of an older kubelet's back-off does not.
func TestAnEventTellsWhyAPullFails(t *testing.T) {
	t.Parallel()
	about := func(name, container, message string, at time.Duration) client.Object {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Reason: "Failed", Message: message, LastTimestamp: metav1.NewTime(start.Add(at)),
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web-v1-1", Namespace: "shop", UID: "uid-1", FieldPath: "spec.containers{" + container + "}"}}
	}
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("a"),
		makePod(1, failing("ImagePullBackOff", `Back-off pulling image "acme/web:1"`)),
		about("old", "app", `Failed to pull image "acme/web:1": dial tcp: lookup docker.io: no such host`, -time.Minute),
		about("new", "app", `Failed to pull image "acme/web:1": `+noSuch, 0),
		about("bare", "app", "Error: ImagePullBackOff", time.Minute),
		about("other", "sidecar", `Failed to pull image "x": 429 Too Many Requests`, time.Minute))
	for range 2 {
		if err := b.take(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if f := b.turn.world.tracker.FailingPulls(); len(f) != 1 || f[0].Class != feedback.NotFound {
		t.Errorf("failing %+v, want one that the newest Event calls NotFound", f)
	}
}

// TestOnlyWhatIsHeldIsToldThatItIs: a policy that watches holds nothing back.
func TestOnlyWhatIsHeldIsToldThatItIs(t *testing.T) {
	t.Parallel()
	shadow := makePolicy()
	shadow.Spec.Mode = v1alpha1.Shadow
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), shadow, makeBudget(5), makeNode("a"), makeWeb("acme/web:1"), makePod(1, failing("ErrImagePull", noSuch)))
	b.said()
	a := newAlarms(b.client, b.events, b.turn.metrics)
	a.tell(t.Context(), b.turn.world, engine.Decision{Failing: []engine.Failing{{Workload: "Deployment/shop/web", Revision: "v1",
		View: feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.NotFound}}}}})
	a.tell(t.Context(), b.turn.world, engine.Decision{})
	if said := b.said(); len(said) != 0 {
		t.Errorf("told %q, want nothing", said)
	}
}
