package plugin

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// hostile is what a registry, a kubelet or a tenant writes who hopes that it reaches a
// terminal.
const hostile = "toomanyrequests\x1b[31m\x1b]0;pwned\x07\u009b2J\u202egpj.exe\rerror: all is well"

// TestNothingHostileReachesTheTerminal runs what reads against a cluster in which
// every text that somebody else may write is hostile.
func TestNothingHostileReachesTheTerminal(t *testing.T) {
	t.Parallel()
	pod := heldPod("api-1", "api")
	pod.Status.Conditions[0].Message = hostile
	pod.Annotations[v1alpha1.AnnotationOverride] = `{"by":"kim","reason":"\u001b[2J"}`
	failed := heldPod("api-2", "api")
	failed.Spec.SchedulingGates, failed.Spec.NodeName = nil, "n1"
	failed.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "api", Image: hostile, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: hostile}}}}
	failed.Annotations[v1alpha1.AnnotationRelease] = v1alpha1.ReleaseMark{Decision: hostile, Reason: hostile, Time: now}.String()
	hub := budget(0)
	hub.Status.Accounts[0].Source = hostile
	hub.Status.Accounts[0].Breaker = &v1alpha1.BreakerStatus{State: hostile, Cause: hostile}
	hub.Status.Conditions = []metav1.Condition{{Type: "Reading", Status: metav1.ConditionFalse, Reason: "Lost", Message: hostile}}
	policy := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "first"}}
	policy.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionGateActive, Status: metav1.ConditionFalse, Reason: "Refused", Message: hostile}}
	policy.Status.GateAskedAt = new(metav1.NewTime(now))
	policy.Status.Slipped, policy.Status.NewestSlipped = 1, []string{hostile}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e1"}, EventTime: metav1.NewMicroTime(now.Add(-time.Minute)),
		Reason: "ReleaseRefused", Note: hostile, ReportingController: "pullpace",
		Regarding: corev1.ObjectReference{Kind: "Pod", Name: "api-1", Namespace: "shop", UID: "api-1"},
	}
	told := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e2"}, Type: corev1.EventTypeWarning, Reason: "Failed",
		Message: `Failed to pull image "` + hostile + `": ` + hostile, LastTimestamp: metav1.NewTime(now),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "api-2", Namespace: "shop", UID: "api-2"}, Source: corev1.EventSource{Host: hostile},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{ContainerRuntimeVersion: hostile, Architecture: hostile}}}
	h := newHarness(t, interceptor.Funcs{}, paced(hub, pod, failed, policy, event, told, node)...)
	commands := [][]string{
		{"status"}, {"budget"}, {"budget", "hub", "--spent"}, {"explain", "pod/api-1"}, {"explain", "pod/api-2"}, {"explain", "deploy/api"},
		{"doctor"}, {"doctor", "deploy/api"}, {"doctor", "pod/api-2"}, {"doctor", "node/" + hostile}, {"doctor", "--fix", "1", "--dry-run"},
		{"check", "rollout", "deploy/api"}, {"cost", "deploy/api"}, {"explain", "pod/" + hostile}, {"budget", hostile},
	}
	seen := ""
	for _, command := range commands {
		for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
			h.run(append(command, "-o", format)...)
			text := h.out.String() + h.err.String()
			seen += text
			if bad := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }); bad >= 0 || !utf8.ValidString(text) {
				t.Errorf("%q -o %s prints %q", command, format, text[max(0, bad-40):min(len(text), max(0, bad)+20)])
			}
		}
	}
	// It is shown, or the test proves nothing.
	for _, part := range []string{"toomanyrequests", "all is well"} {
		if !strings.Contains(seen, part) {
			t.Errorf("nothing shows %q", part)
		}
	}
}
