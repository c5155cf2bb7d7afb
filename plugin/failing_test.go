package plugin

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// failingPod is a pod that went and that cannot pull its image.
func failingPod(name, owner, reason, message string) *corev1.Pod {
	pod := heldPod(name, owner)
	delete(pod.Labels, v1alpha1.LabelHeld)
	pod.Spec.SchedulingGates, pod.Status.Conditions = nil, nil
	pod.Spec.NodeName = "worker"
	pod.Annotations[v1alpha1.AnnotationRelease] = v1alpha1.ReleaseMark{Decision: "d7", Reason: "Budget", Time: now}.String()
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "api",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	return pod
}

// pausedAccount is a budget whose account failing pulls have paused.
func pausedAccount(cause string) *v1alpha1.PullBudget {
	b := budget(0)
	b.Status.Accounts[0].Breaker = &v1alpha1.BreakerStatus{State: "paused", Cause: cause, Until: new(metav1.NewTime(now.Add(40 * time.Second)))}
	return b
}

func TestExplainFailingPulls(t *testing.T) {
	t.Parallel()
	const missing = "failed to resolve image: docker.io/acme/api:1: not found\x1b[2J"
	lost := failingPod("api-3", "api", "ImagePullBackOff", `Back-off pulling image "docker.io/acme/api:1"`)
	event := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e"}, Reason: "Failed", ReportingController: "kubelet",
		Note:      `Failed to pull image "docker.io/acme/api:1": no match for platform in manifest: not found`,
		Regarding: corev1.ObjectReference{Kind: "Pod", Name: "api-3", Namespace: "shop", UID: "api-3", FieldPath: "spec.containers{api}"}}
	waits := heldPod("web-1", "web")
	waits.Status.Conditions[0].Reason = "BreakerOpen"
	fails := heldPod("api-5", "api")
	fails.Status.Conditions[0].Reason, fails.Status.Conditions[0].Message = "ImageFailing", "docker.io/acme/api:1: the pulls of 5 of 6 pods failed (NotFound)"
	h := newHarness(t, interceptor.Funcs{}, paced(pausedAccount("a pull was answered by 429"), lost, event, waits, fails,
		failingPod("api-1", "api", "ErrImagePull", missing), failingPod("api-2", "api", "ErrImagePull", missing),
		failingPod("api-4", "api", "ErrImagePull", "429 Too Many Requests"))...)
	tests := map[string]struct {
		arg  string
		want []string
	}{
		"a bound pod":           {"pod/api-1", []string{"RELEASED  Budget, and a pull FAILS: NotFound", "NotFound  docker.io/acme/api:1  1 pod", "docker.io/acme/api:1: not found?[2J", "fix the reference"}},
		"its throttle":          {"pod/api-4", []string{"a pull FAILS: Throttled", "docker.io/anonymous paused until 14:10:40: a pull was answered by 429", "one pod is tried"}},
		"a cause that was lost": {"pod/api-3", []string{"a pull FAILS: WrongPlatform", "no match for platform"}},
		"a held pod":            {"pod/web-1", []string{"HELD 20m  BreakerOpen", "docker.io/anonymous paused until 14:10:40", "one pod is tried"}},
		"a workload":            {"deploy/api", []string{"HELD", "ImageFailing", "the pulls of 5 of 6 pods failed (NotFound)", "NotFound  docker.io/acme/api:1  2 pods", "Throttled (Unsaid)  docker.io/acme/api:1  1 pod"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.wants(h.run("explain", tc.arg), ExitOK, tc.want...)
			if strings.Contains(h.out.String(), "\x1b") {
				t.Error("an escape of somebody else reaches the terminal")
			}
		})
	}
}

// TestResumeOverridesFailures has no controller, so that the plugin records what was done.
func TestResumeOverridesFailures(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), pausedAccount("a pull was answered by 429"), deployment("api"), deployment("web"),
		failingPod("api-1", "api", "ErrImagePull", "docker.io/acme/api:1: not found"))
	h.wants(h.run("resume", "budget/hub", "--reason", "it is back"), ExitOK, "budget/hub resumed")
	wantOrder(t, read(h, budget(0)), v1alpha1.AnnotationResumed, v1alpha1.Order{By: "kim", Reason: "it is back", At: now})
	wantEvent(h, "default", "hub", "Resumed", "resumed by kim: it is back")
	h.wants(h.run("resume", "deploy/api", "-n", "shop", "--reason", "pushed it"), ExitOK, "deploy/api in shop resumed")
	wantOrder(t, read(h, deployment("api")), v1alpha1.AnnotationResumed, v1alpha1.Order{By: "kim", Reason: "pushed it", At: now})
	h.wants(h.run("resume", "deploy/web", "-n", "shop", "--reason", "why not"), ExitOK, "deploy/web in shop unchanged")
}

func TestResumeOfAnAccountThatFlowsChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, asKim(), budget(5))
	h.wants(h.run("resume", "budget/hub", "--reason", "x"), ExitOK, "budget/hub unchanged")
}
