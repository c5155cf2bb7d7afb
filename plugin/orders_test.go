package plugin

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// asKim answers who is at work, as the API server does.
func asKim() interceptor.Funcs {
	return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if review, ok := obj.(*authenticationv1.SelfSubjectReview); ok {
			review.Status.UserInfo.Username = "kim"
			return nil
		}
		// The client in memory takes any name; the API server does not.
		if bad := apimachineryvalidation.NameIsDNSSubdomain(obj.GetGenerateName(), true); obj.GetGenerateName() != "" && len(bad) > 0 {
			return fmt.Errorf("generateName %q: %v", obj.GetGenerateName(), bad)
		}
		return c.Create(ctx, obj, opts...)
	}}
}

func wantOrder(t *testing.T, obj client.Object, key string, want v1alpha1.Order) {
	t.Helper()
	got, err := v1alpha1.ParseOrder(obj.GetAnnotations()[key])
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", key, diff)
	}
}

func wantEvent(h *harness, namespace, name, reason, note string) {
	h.t.Helper()
	var list eventsv1.EventList
	if err := h.client.List(h.t.Context(), &list, client.InNamespace(namespace)); err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Regarding.Name == name && e.Reason == reason && e.Note == note {
			return
		}
	}
	h.t.Errorf("no Event %s %q about %s among %d", reason, note, name, len(list.Items))
}

// TestPauseAndResume has no controller, so that the plugin records what was done.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), deployment("api"), budget(0))
	h.wants(h.run("pause", "deploy/api", "--reason", "it leaks"), ExitOK, "deploy/api in shop paused")
	wantOrder(t, read(h, deployment("api")), v1alpha1.AnnotationPaused, v1alpha1.Order{By: "kim", Reason: "it leaks", At: now})
	wantEvent(h, "shop", "api", "Paused", "paused by kim: it leaks")

	h.wants(h.run("resume", "deploy/api", "--reason", "fixed"), ExitOK, "deploy/api in shop resumed")
	wantOrder(t, read(h, deployment("api")), v1alpha1.AnnotationResumed, v1alpha1.Order{By: "kim", Reason: "fixed", At: now})
	if _, still := read(h, deployment("api")).Annotations[v1alpha1.AnnotationPaused]; still {
		t.Error("still paused after resume")
	}
	wantEvent(h, "shop", "api", "Resumed", "resumed by kim: fixed")
	h.wants(h.run("resume", "deploy/api", "--reason", "again"), ExitOK, "deploy/api in shop unchanged")

	h.wants(h.run("pause", "budget/hub", "--reason", "contract"), ExitOK, "budget/hub paused")
	wantOrder(t, read(h, budget(0)), v1alpha1.AnnotationPaused, v1alpha1.Order{By: "kim", Reason: "contract", At: now})
	wantEvent(h, "default", "hub", "Paused", "paused by kim: contract")
}

func TestOrdersRefuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args     []string
		wantCode int
		want     string
	}{
		"no reason":         {[]string{"pause", "deploy/api"}, ExitUsage, "--reason is required"},
		"empty reason":      {[]string{"resume", "deploy/api", "--reason", " "}, ExitUsage, "--reason is required"},
		"release no reason": {[]string{"release", "--all"}, ExitUsage, "--reason is required"},
		"no object":         {[]string{"pause", "--reason", "x"}, ExitUsage, "usage: kubectl pace pause"},
		"two objects":       {[]string{"pause", "deploy/a", "deploy/b", "--reason", "x"}, ExitUsage, "too many arguments"},
		"pause a pod":       {[]string{"pause", "pod/a", "--reason", "x"}, ExitUsage, "cannot pause a Pod"},
		"release nothing":   {[]string{"release", "--reason", "x"}, ExitUsage, "name one object or say --all"},
		"release both":      {[]string{"release", "pod/a", "--all", "--reason", "x"}, ExitUsage, "name one object or say --all"},
		"release a budget":  {[]string{"release", "budget/hub", "--reason", "x"}, ExitUsage, "cannot release a PullBudget"},
		"missing":           {[]string{"release", "pod/none", "--reason", "x"}, ExitError, `pod/none is not in namespace "shop"`},
		"missing budget":    {[]string{"pause", "budget/none", "--reason", "x"}, ExitError, "budget/none is not in the cluster"},
		"not held":          {[]string{"release", "pod/free", "--reason", "x"}, ExitError, "pod/free is not held"},
		"dead controller":   {[]string{"release", "pod/held", "--reason", "x"}, ExitError, "--now takes the gates off"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			free := heldPod("free", "api")
			free.Spec.SchedulingGates = nil
			h := newHarness(t, interceptor.Funcs{}, heartbeat(now.Add(-time.Hour)), deployment("api"), free, heldPod("held", "api"))
			h.wants(h.run(tc.args...), tc.wantCode, tc.want)
			if got := read(h, heldPod("held", "api")).Annotations[v1alpha1.AnnotationOverride]; got != "" {
				t.Errorf("wrote %s", got)
			}
		})
	}
}

func TestReleaseAsksTheController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), paced(heldPod("api-1", "api"))...)
	h.wants(h.run("release", "deploy/api", "--now", "--reason", "customers wait"), ExitOK, "deploy/api in shop released", "kubectl pace status -w")
	wantOrder(t, read(h, deployment("api")), v1alpha1.AnnotationOverride, v1alpha1.Order{By: "kim", Reason: "customers wait", At: now, Now: true})
	if len(read(h, heldPod("api-1", "api")).Spec.SchedulingGates) != 2 {
		t.Error("the gate is the controller's to take off while it works")
	}
	var events eventsv1.EventList
	if err := h.client.List(t.Context(), &events); err != nil || len(events.Items) > 0 {
		t.Errorf("%d Events, %v: the controller records orders while it works", len(events.Items), err)
	}
}

func TestReleaseAllOrdersOncePerWorkload(t *testing.T) {
	t.Parallel()
	node := taintedNode()
	h := newHarness(t, asKim(), paced(heldPod("api-1", "api"), heldPod("api-2", "api"), node)...)
	h.wants(h.run("release", "--all", "--reason", "incident", "-o", "name"), ExitOK)
	if diff := cmp.Diff("node/worker\ndeploy/api\n", h.out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A controller that works lets nodes go at the rate of the refill; without one, or with
// --now where none works, the taint is taken off from here.
func TestReleaseOfNodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), paced(taintedNode())...)
	h.wants(h.run("release", "node/worker", "--reason", "needed"), ExitOK, "node/worker released")
	got := read(h, taintedNode())
	wantOrder(t, got, v1alpha1.AnnotationOverride, v1alpha1.Order{By: "kim", Reason: "needed", At: now})
	if len(got.Spec.Taints) != 2 {
		t.Error("the taint is the controller's to take off while it works")
	}
	for _, args := range [][]string{{"release", "node/worker"}, {"release", "--all"}} {
		h = newHarness(t, asKim(), taintedNode())
		h.wants(h.run(append(args, "--reason", "dead")...), ExitError, "--now takes the gates off from here")
		h.wants(h.run(append(args, "--now", "--reason", "dead")...), ExitOK, "node/worker released")
		got = read(h, taintedNode())
		if diff := cmp.Diff([]corev1.Taint{{Key: "other.example/taint", Effect: corev1.TaintEffectNoSchedule}}, got.Spec.Taints); diff != "" {
			t.Errorf("taints (-want +got)\n%s", diff)
		}
		h.wants(h.run("release", "node/worker", "--now", "--reason", "again"), ExitError, "node/worker is not held")
	}
}

// A node is written to by many in its first seconds: the order is given all the same,
// and what they wrote stays.
func TestReleaseOfANodeThatOthersWriteTo(t *testing.T) {
	t.Parallel()
	writes := 0
	hooks := asKim()
	hooks.Patch = func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
		if writes++; writes <= 3 {
			var n corev1.Node
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), &n); err != nil {
				return err
			}
			n.Labels = map[string]string{"of-others": fmt.Sprint(writes)}
			if err := c.Update(ctx, &n); err != nil {
				return err
			}
		}
		return c.Patch(ctx, obj, p, opts...)
	}
	h := newHarness(t, hooks, taintedNode())
	h.wants(h.run("release", "--all", "--now", "--reason", "dead"), ExitOK, "node/worker released")
	got := read(h, taintedNode())
	if len(got.Spec.Taints) != 1 || got.Labels["of-others"] != "3" || writes != 4 {
		t.Errorf("taints %v, labels %v after %d writes", got.Spec.Taints, got.Labels, writes)
	}
}

func TestReleaseNowWithoutController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), deployment("api"), heldPod("api-1", "api"), heldPod("web-1", "web"))
	h.wants(h.run("release", "deploy/api", "--now", "--reason", "dead"), ExitOK, "pod/api-1 in shop released")
	got := read(h, heldPod("api-1", "api"))
	if diff := cmp.Diff([]corev1.PodSchedulingGate{{Name: "other.example/gate"}}, got.Spec.SchedulingGates); diff != "" {
		t.Errorf("gates (-want +got)\n%s", diff)
	}
	if _, ok := got.Labels[v1alpha1.LabelHeld]; ok || got.Annotations["kept"] != "yes" {
		t.Errorf("labels %v, annotations %v", got.Labels, got.Annotations)
	}
	if len(read(h, heldPod("web-1", "web")).Spec.SchedulingGates) != 2 {
		t.Error("a pod of another Deployment was released")
	}
}

func TestReleaseDryRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), paced(heldPod("api-1", "api"))...)
	for _, mode := range []string{"client", "server"} {
		before := read(h, heldPod("api-1", "api")).ResourceVersion
		h.wants(h.run("release", "pod/api-1", "--reason", "x", "--dry-run="+mode), ExitOK, "released (dry run)")
		if after := read(h, heldPod("api-1", "api")).ResourceVersion; after != before {
			t.Errorf("--dry-run=%s changed the pod", mode)
		}
	}
}

// taintedNode is a node that Pace holds.
func taintedNode() *corev1.Node {
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: "worker", UID: "worker", Annotations: map[string]string{v1alpha1.AnnotationHoldUntil: now.Add(time.Minute).Format(time.RFC3339)}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{
			{Key: "other.example/taint", Effect: corev1.TaintEffectNoSchedule}, {Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule},
		}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: v1alpha1.ConditionPullBudgetGranted, Status: corev1.ConditionFalse},
		}},
	}
}
