package plugin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// watching is a policy that has counted in mode Shadow for two days.
func watching() *v1alpha1.PacePolicy {
	p := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "watching"}, Spec: v1alpha1.PacePolicySpec{Mode: v1alpha1.Shadow}}
	hour := func(ago time.Duration, c v1alpha1.ShadowCounts) v1alpha1.ShadowHour {
		return v1alpha1.ShadowHour{Start: metav1.NewTime(now.Add(-ago).Truncate(time.Hour)), ShadowCounts: c}
	}
	p.Status.Shadow = &v1alpha1.ShadowStatus{
		Since: metav1.NewTime(now.Add(-48 * time.Hour)),
		ShadowCounts: v1alpha1.ShadowCounts{Pods: 100, Rollouts: 9, HeldForNothing: 3, Throttled: 500, Saved: 480, Paged: 5,
			LongestSeconds: 7200, LongestWorkload: "Deployment/shop/old"},
		Hours: []v1alpha1.ShadowHour{
			hour(20*time.Hour, v1alpha1.ShadowCounts{Pods: 30, Rollouts: 3, Throttled: 90, Saved: 80, LongestSeconds: 1320, LongestWorkload: "Deployment/shop/api"}),
			hour(time.Hour, v1alpha1.ShadowCounts{Pods: 7, Rollouts: 1, HeldForNothing: 1, Throttled: 10, Saved: 10, Paged: 2, LongestSeconds: 60, LongestWorkload: "Deployment/shop/web"}),
		},
		Workloads: []v1alpha1.ShadowWorkload{{Workload: "Deployment/shop/api", Pods: 30}},
		Holds: []v1alpha1.ShadowHold{{Workload: "Deployment/shop/api", Pods: 12, Reason: "WaitingForBudget", Message: "0 free",
			Since:    metav1.NewTime(now.Add(-5 * time.Minute)),
			Expected: &v1alpha1.Forecast{From: metav1.NewTime(now.Add(20 * time.Minute)), To: metav1.NewTime(now.Add(40 * time.Minute))}}},
	}
	return p
}

func TestStatusShadow(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, paced(watching())...)
	h.wants(h.run("status", "--shadow"), ExitOK, "37 pods in 4 rollouts, 0 nodes; longest 22m (shop/deploy/api); nothing in kube-system",
		"90 of 100 answers of 429", "1 pod (", "KubePodNotReady 2x", `kubectl patch pacepolicy watching --type merge -p '{"spec":{"mode":"Enforce"}}'`)
	h.wants(h.run("status", "--shadow", "--since", "2h"), ExitOK, "7 pods in 1 rollout", "10 of 10 answers", "longest 5m (shop/deploy/api)")
	h.wants(h.run("status", "--shadow", "--since", "200h"), ExitOK, "100 pods in 9 rollouts", "480 of 500 answers", "longest 2h (shop/deploy/old)", "(2d ago)")
	h.wants(h.run("status", "--shadow", "-o", "name"), ExitOK, "pacepolicy.pullpace.dev/watching")
	if code := h.run("status", "--shadow", "-o", "json"); code != ExitOK {
		t.Fatal(h.err.String())
	}
	var model view.Shadow
	if err := json.Unmarshal(h.out.Bytes(), &model); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"watching"}, model.Watching); diff != "" || model.Pods != 37 || len(model.Holds) != 1 {
		t.Errorf("%+v", model)
	}
	h.wants(h.run("status", "--since", "2h"), ExitUsage, "--since goes with --shadow")
	h.wants(h.run("status", "--shadow", "--since", "0s"), ExitUsage, "above zero")
}

func TestStatusShadowAfterItWasSwitchedOn(t *testing.T) {
	t.Parallel()
	p := watching()
	p.Spec.Mode = v1alpha1.Enforce
	h := newHarness(t, interceptor.Funcs{}, paced(p)...)
	h.wants(h.run("status", "--shadow"), ExitOK, "37 pods")
	if strings.Contains(h.out.String(), "kubectl patch") {
		t.Errorf("asks to switch on what is on:\n%s", h.out.String())
	}
	h = newHarness(t, interceptor.Funcs{}, paced()...)
	h.wants(h.run("status", "--shadow"), ExitOK, "Nothing was watched")
}

func TestExplainPodInShadow(t *testing.T) {
	t.Parallel()
	pod := heldPod("api-1", "api")
	pod.Spec.SchedulingGates, pod.Status = nil, corev1.PodStatus{}
	h := newHarness(t, interceptor.Funcs{}, paced(watching(), pod)...)
	h.wants(h.run("explain", "pod/api-1"), ExitOK, "NOT HELD  Shadow: would be held until about 14:30:00 - 14:50:00", "12 pods of it would be held now (WaitingForBudget)")
	other := heldPod("web-1", "web")
	other.Spec.SchedulingGates, other.Status = nil, corev1.PodStatus{}
	h = newHarness(t, interceptor.Funcs{}, paced(watching(), other)...)
	h.wants(h.run("explain", "pod/web-1"), ExitOK, "NOT HELD")
	if strings.Contains(h.out.String(), "would be held") {
		t.Errorf("a pod of another workload would be held:\n%s", h.out.String())
	}
}
