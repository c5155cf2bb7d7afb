package plugin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// TestBudgetTellsWhoSpentTheWindow: by namespace in the verdict, by workload below.
func TestBudgetTellsWhoSpentTheWindow(t *testing.T) {
	t.Parallel()
	b := budget(50)
	a := &b.Status.Accounts[0]
	a.UsedBy = []v1alpha1.UseStatus{{Workload: "Job/ci/nightly", Units: 20}, {Workload: "Deployment/shop/api", Units: 11}, {Workload: "Pod/ci/build-7", Units: 2}}
	a.ForeignTaken = 9
	a.Flow = &v1alpha1.FlowStatus{AskedPerHour: "61.00", GivenPerHour: "100.00", Over: metav1.Duration{Duration: 6 * time.Hour}}
	h := newHarness(t, interceptor.Funcs{}, paced(b)...)
	h.wants(h.run("budget", "hub", "--spent"), ExitOK, "42 of 100 in this window: ci 22   shop 11   not this cluster 9",
		"demand 61/h, supply 100/h over the last 6h: pacing can work", "20  Job/nightly -n ci", "11  Deployment/api -n shop")
	if code := h.run("budget", "hub", "--spent", "-o", "json"); code != ExitOK {
		t.Fatal(h.err.String())
	}
	var model view.Budgets
	if err := json.Unmarshal(h.out.Bytes(), &model); err != nil || len(model.Items) != 1 || model.Items[0].Window == nil || model.Items[0].Window.Used != 42 {
		t.Errorf("%v: %s", err, h.out.String())
	}
}

// noCRDs answers as a cluster without Pace.
func noCRDs() interceptor.Funcs {
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		switch list.(type) {
		case *v1alpha1.PullBudgetList, *v1alpha1.PacePolicyList:
			return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: v1alpha1.Group, Kind: "PullBudget"}, SearchedVersions: []string{"v1alpha1"}}
		}
		return c.List(ctx, list, opts...)
	}}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(50))...)
	h.wants(h.run("budget"), ExitOK, "203.0.113.42", "100/1h", "55", "50", "ok")
	h.wants(h.run("budget", "hub", "--spent"), ExitOK, "registry counts 45 of 100/1h used (read 9s ago)")
	h.wants(h.run("budget", "none"), ExitError, `no PullBudget "none"`)
	h.wants(h.run("budget", "-o", "name"), ExitOK, "pullbudget.pullpace.dev/hub")
	h.wants(h.run("budget", "-o", "xml"), ExitUsage, "unknown output format")
	if code := h.run("budget", "-o", "json"); code != ExitOK {
		t.Fatal(h.err.String())
	}
	var model view.Budgets
	if err := json.Unmarshal(h.out.Bytes(), &model); err != nil || len(model.Items) != 1 || *model.Items[0].Limit != 100 {
		t.Errorf("%v: %s", err, h.out.String())
	}
}

func TestBudgetWithoutController(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, budget(50))
	h.wants(h.run("budget"), ExitOK, "no controller", "figures are as old as their reading")
}

func TestWithoutCRDs(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api-1"}, Spec: corev1.PodSpec{
		NodeName: "n1", InitContainers: []corev1.Container{{Name: "init", Image: "busybox"}},
		Containers: []corev1.Container{{Name: "app", Image: "ghcr.io/acme/api:1"}, {Name: "side", Image: "nginx:1.27"}},
	}}
	h := newHarness(t, noCRDs(), pod)
	h.wants(h.run("budget"), ExitOK, "nobody reads what these registries allow", "docker.io       2     1      1", "ghcr.io         1     1      1", "limit and what is left", "install --dry-run")
	h.wants(h.run("budget", "hub"), ExitError, "knows no PullBudget", "install --dry-run")
	h.wants(h.run("status"), ExitOK, "Pace is not installed", "kubectl pace install")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), heldPod("api-1", "api"), heldPod("api-2", "api"), taintedNode())...)
	h.wants(h.run("status"), ExitOK, "2 pods and 1 node held", "deploy/api", "WaitingForBudget", "20m", "needs 1, 0 free?[31m", "kubectl pace explain deploy/api -n shop")
	if strings.Contains(h.out.String(), "\x1b") {
		t.Error("an escape of the cluster reached the terminal")
	}
}

func TestStatusSaysWhetherTheGateWorksAndWhatSlippedBy(t *testing.T) {
	t.Parallel()
	asked := metav1.NewTime(now.Add(-40 * time.Second))
	policy := func(status metav1.ConditionStatus, reason, message string) *v1alpha1.PacePolicy {
		p := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "proven"}}
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionGateActive, Status: status, Reason: reason, Message: message}}
		p.Status.GateAskedAt = &asked
		return p
	}
	slipped := policy(metav1.ConditionFalse, "NotCalled", "the webhook did not answer\x1b[2J")
	slipped.Status.Slipped, slipped.Status.NewestSlipped = 7, []string{"shop/api-7", "shop/api-6"}
	h := newHarness(t, interceptor.Funcs{}, paced(policy(metav1.ConditionTrue, "Proven", "a dry-run pod came back gated in 7 ms"))...)
	h.wants(h.run("status"), ExitOK, "gate         active: a dry-run pod came back gated in 7 ms (asked 40s ago)")
	if strings.Contains(h.out.String(), "slipped") {
		t.Errorf("speaks of pods that slipped by, of which there are none:\n%s", h.out.String())
	}
	h = newHarness(t, interceptor.Funcs{}, paced(slipped)...)
	h.wants(h.run("status"), ExitOK, "The gate does not work: new pods start unpaced", "NOT active: the webhook did not answer?[2J",
		"7 living pods that the webhook never saw", "shop/api-7, shop/api-6, ...")
	h.wants(h.run("status", "-o", "json"), ExitOK, `"state": "broken"`, `"pods": 7`)
}

func TestStatusNamesWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, ok := list.(*corev1.NodeList); ok {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errText(`User "kim" cannot list resource "nodes" in API group "" at the cluster scope`))
		}
		return c.List(ctx, list, opts...)
	}}, paced()...)
	h.wants(h.run("status"), ExitOK, `held nodes: not allowed: user "kim" may not list nodes in the whole cluster`)
}

func TestExplain(t *testing.T) {
	t.Parallel()
	released := heldPod("api-9", "api")
	released.Spec.SchedulingGates = nil
	released.Annotations[v1alpha1.AnnotationRelease] = v1alpha1.ReleaseMark{Decision: "d7", Reason: "Budget", Time: now}.String()
	parked := released.DeepCopy()
	parked.Name, parked.UID = "api-8", "api-8"
	parked.Annotations[v1alpha1.AnnotationRelease] = v1alpha1.ReleaseMark{Decision: "d6", Reason: "Budget", Time: now.Add(-4 * time.Minute)}.String()
	parked.Status.Conditions = append(parked.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable})
	watching := heartbeat(now.Add(-8 * time.Second))
	watching.Name = v1alpha1.FailsafeHeartbeat
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e1"}, EventTime: metav1.NewMicroTime(now.Add(-time.Minute)),
		Reason: "WaitingForBudget", Note: "held", ReportingController: "pullpace",
		Regarding: corev1.ObjectReference{Kind: "Pod", Name: "api-1", Namespace: "shop", UID: "api-1"},
	}
	foreign := event.DeepCopy()
	foreign.Name, foreign.ReportingController, foreign.Note = "e2", "kubelet", "not ours"
	short, free, orphan := taintedNode(), taintedNode(), taintedNode()
	short.Name, short.Annotations[v1alpha1.AnnotationHoldReason] = "short", "WaitingForBudget: its bundle needs 12 units, 8 free"
	free.Name, free.Spec.Taints = "free", nil
	free.Annotations = map[string]string{v1alpha1.AnnotationRelease: v1alpha1.ReleaseMark{Decision: "d9", Reason: "Budget", Time: now}.String()}
	orphan.Name, orphan.Annotations = "orphan", nil
	h := newHarness(t, interceptor.Funcs{}, paced(budget(0), heldPod("api-1", "api"), released, parked, watching, event, foreign, taintedNode(), deployment("web"),
		short, free, orphan, node("plain", 0))...)
	tests := map[string]struct {
		arg      string
		wantCode int
		want     []string
	}{
		"held pod": {"pod/api-1", ExitOK, []string{"HELD 20m", "WaitingForBudget", "15:10:00", "docker.io/anonymous   0 free", "14:09:00  WaitingForBudget  held", "rollout undo deploy/api",
			"also if Pace is gone (failsafe ok, seen 8s ago)"}},
		"bare name":      {"api-1", ExitOK, []string{"HELD 20m"}},
		"released pod":   {"pod/api-9", ExitOK, []string{"RELEASED  Budget", "decision d7"}},
		"parked pod":     {"pod/api-8", ExitOK, []string{"RELEASED  Budget", "parked: the scheduler has found no node for it"}},
		"deployment":     {"deploy/api", ExitOK, []string{"HELD", "1 pod", "release deploy/api"}},
		"idle":           {"deploy/web", ExitOK, []string{"NOT HELD", "no pod of it is held now"}},
		"node":           {"node/worker", ExitOK, []string{"HELD", "NodeHeld"}},
		"node with why":  {"node/short", ExitOK, []string{"HELD", "WaitingForBudget", "needs 12 units, 8 free"}},
		"node let go":    {"node/free", ExitOK, []string{"RELEASED", "Budget", "d9"}},
		"node by itself": {"node/plain", ExitOK, []string{"NOT HELD", "does not carry the taint"}},
		"node of nobody": {"node/orphan", ExitOK, []string{"HELD", "registered with the taint", "nobody frees it"}},
		"unknown kind":   {"thing/x", ExitUsage, []string{"unknown kind"}},
		"other kind":     {"sts/x", ExitUsage, []string{"explain knows"}},
		"missing object": {"pod/none", ExitError, []string{"is not in namespace"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.wants(h.run("explain", tc.arg), tc.wantCode, tc.want...)
			if strings.Contains(h.out.String(), "not ours") {
				t.Error("an Event of somebody else is shown")
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, heartbeat(now))
	h.wants(h.run("version"), ExitOK, "client v0.0.0-test   controller installed   cluster v1.37.2")
	h.wants(h.run("version", "--client"), ExitOK, "cluster not asked")
	h = newHarness(t, interceptor.Funcs{}, heartbeat(now), taintedNode())
	h.wants(h.run("version"), ExitOK, "holds 1 node")
}

func TestCheckPaused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, annotated(v1alpha1.AnnotationPaused, `{"by":"kim","reason":"leaks"}`)...)
	h.wants(h.run("check", "rollout", "deploy/api"), ExitPaused, `"decision": "hold"`, `"reason": "Paused"`)
	h.wants(h.run("check"), ExitUsage, "say what to check")
}

func TestExplainDoesNotCallAPodParkedThatMayStillBeScheduled(t *testing.T) {
	t.Parallel()
	pod := heldPod("api-9", "api")
	pod.Spec.SchedulingGates = nil
	pod.Annotations[v1alpha1.AnnotationRelease] = v1alpha1.ReleaseMark{Decision: "d7", Reason: "Budget", Time: now.Add(-2 * time.Minute)}.String()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	h := newHarness(t, interceptor.Funcs{}, paced(pod)...)
	h.wants(h.run("explain", "pod/api-9"), ExitOK, "RELEASED  Budget")
	if strings.Contains(h.out.String(), "parked") {
		t.Errorf("a pod released 2 min ago is parked already:\n%s", h.out.String())
	}
}
