package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// Messages of kubelets, shortened.
const (
	refused   = "failed: 429 Too Many Requests\ntoomanyrequests: You have reached your pull rate limit"
	missing   = `failed to resolve reference "docker.io/acme/web:v1": docker.io/acme/web:v1: not found`
	forbidden = "unexpected status from HEAD request to https://registry-1.docker.io/v2/acme/web/manifests/v1: 403 Forbidden"
)

// failedOf are the failures that were announced, by class.
func failedOf(events []engine.Event) []feedback.Class {
	var out []feedback.Class
	for _, ev := range events {
		if ev.Failed != nil {
			out = append(out, ev.Failed.Class)
		}
	}
	return out
}

func TestEachFailedAttemptIsToldOnce(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	steps := []struct {
		reason, message string
		want            []feedback.Class
	}{
		{"ErrImagePull", missing, []feedback.Class{feedback.NotFound}},
		{"ErrImagePull", missing, nil},
		{"ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: ` + missing, nil},
		{"ErrImagePull", missing, []feedback.Class{feedback.NotFound}},
		{"ImagePullBackOff", `Back-off pulling image "a"`, nil},
		{"ImagePullBackOff", `Back-off pulling image "a"`, nil},
		{"ErrImagePull", "dial tcp: lookup docker.io: no such host", []feedback.Class{feedback.DNS}},
		{"ErrImagePull", missing, []feedback.Class{feedback.NotFound}}, // the back-off was not seen
		{"ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: ` + missing + "!", nil},
		{"ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: 404 not found`, []feedback.Class{feedback.NotFound}}, // the attempt was not seen
		{"ErrImagePull", "404 not found", []feedback.Class{feedback.NotFound}},
		{"ErrImagePull", "404 not found, once more", []feedback.Class{feedback.NotFound}},
	}
	for i, step := range steps {
		now := start.Add(time.Duration(i) * time.Second)
		got := failedOf(tr.Pod(now, makePod("v1", 1, bound("n1"), waiting(step.reason, step.message))))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	failing := tr.FailingPulls()
	if len(failing) != 1 {
		t.Fatalf("%d pulls fail, want 1", len(failing))
	}
	f := failing[0]
	if f.Attempts != 7 || !f.First.Equal(start) || !f.Last.Equal(start.Add(11*time.Second)) {
		t.Errorf("%d attempts since %v, last %v; want 7 over 11 s", f.Attempts, f.First, f.Last)
	}
	if f.Account != "docker.io/anonymous" || f.Image != "docker.io/acme/web:v1" {
		t.Errorf("account %q, image %q", f.Account, f.Image)
	}
	tr.Pod(start, makePod("v1", 1, running("n1")))
	if len(tr.FailingPulls()) != 0 || len(tr.failing) != 0 {
		t.Error("a pod that runs is still among those whose pulls fail")
	}
}

func TestABareBackOffKeepsWhatWasKnown(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ErrImagePull", missing)))
	tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ImagePullBackOff", `Back-off pulling image "a"`)))
	f := tr.FailingPulls()[0]
	if f.Class != feedback.NotFound || f.Message != missing {
		t.Errorf("class %s, message %q; want what the attempt told", f.Class, f.Message)
	}
}

// withStatus gives a container of any list a status.
func withStatus(list func(*corev1.Pod) *[]corev1.ContainerStatus, name, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s := list(p)
		*s = append(*s, corev1.ContainerStatus{Name: name,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}})
	}
}

func TestEveryContainerIsLookedAt(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	inits := func(p *corev1.Pod) *[]corev1.ContainerStatus { return &p.Status.InitContainerStatuses }
	mains := func(p *corev1.Pod) *[]corev1.ContainerStatus { return &p.Status.ContainerStatuses }
	ephemerals := func(p *corev1.Pod) *[]corev1.ContainerStatus { return &p.Status.EphemeralContainerStatuses }
	cases := map[string]struct {
		edit func(*corev1.Pod)
		want []PullFailure
	}{
		"an init container": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "setup", Image: "acme/setup:1"}}
			withStatus(inits, "setup", "ErrImagePull", missing)(p)
		}, []PullFailure{{Container: "setup", Image: "docker.io/acme/setup:1", Host: "docker.io", Reason: "ErrImagePull", Message: missing, Attempt: true,
			Failure: feedback.Failure{Class: feedback.NotFound}}}},
		"a sidecar": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: "ghcr.io/acme/proxy:1", RestartPolicy: &always}}
			withStatus(inits, "proxy", "ImagePullBackOff", `Back-off pulling image "x"`)(p)
		}, []PullFailure{{Container: "proxy", Image: "ghcr.io/acme/proxy:1", Host: "ghcr.io", Reason: "ImagePullBackOff", Message: `Back-off pulling image "x"`,
			Failure: feedback.Failure{Class: feedback.Unknown}}}},
		"an ephemeral container": {func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}}
			withStatus(ephemerals, "debug", "ErrImagePull", refused)(p)
		}, []PullFailure{{Container: "debug", Image: "docker.io/library/busybox:latest", Host: "docker.io", Reason: "ErrImagePull", Message: refused, Attempt: true,
			Failure: feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindPull}}}},
		"an image volume": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "quay.io/acme/data:1"}}}}
			withStatus(mains, "app", "ImagePullBackOff", `Back-off pulling image "quay.io/acme/data:1"`)(p)
		}, []PullFailure{{Container: "app", Image: "quay.io/acme/data:1", Host: "quay.io", Reason: "ImagePullBackOff", Message: `Back-off pulling image "quay.io/acme/data:1"`,
			Failure: feedback.Failure{Class: feedback.Unknown}}}},
		"one that ran before": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ImageID: "sha256:1", RestartCount: 1,
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: refused}}}}
		}, []PullFailure{{Container: "app", Image: "docker.io/acme/web:v1", Host: "docker.io", Reason: "ErrImagePull", Message: refused, Attempt: true,
			Failure: feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindPull}}}},
		"one that waits for something else": {waiting("CreateContainerConfigError", `secret "x" not found`), nil},
		"a name that is none": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = "ACME/%%"
			withStatus(mains, "app", "InvalidImageName", `Failed to apply default image tag "ACME/%%": couldn't parse image name`)(p)
		}, []PullFailure{{Container: "app", Reason: "InvalidImageName", Message: `Failed to apply default image tag "ACME/%%": couldn't parse image name`, Attempt: true,
			Failure: feedback.Failure{Class: feedback.NotFound}}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Failing(makePod("v1", 1, bound("n1"), tc.edit))); diff != "" {
				t.Errorf("failing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWordsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<html>", 5000) + "429 the end"
	got := Failing(makePod("v1", 1, bound("n1"), waiting("ErrImagePull", long)))[0].Message
	if len(got) > maxWords || !strings.HasSuffix(got, "429 the end") {
		t.Errorf("%d bytes that end in %q, want %d at most and the end kept", len(got), got[len(got)-11:], maxWords)
	}
}

func unready(n *corev1.Node) {
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown})
}

func ready(n *corev1.Node) {
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue})
}

func TestAnUnreachableNodeTellsNothing(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Node(start, makeNode("n1", unready))
	if got := failedOf(tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ErrImagePull", missing)))); len(got) != 0 {
		t.Errorf("%v was told of a node that is not ready", got)
	}
	if f := tr.FailingPulls(); len(f) != 1 || !f[0].Unreachable {
		t.Errorf("failing %+v, want one on an unreachable node", f)
	}
	if got := failedOf(tr.Node(start, makeNode("n1", ready))); !cmp.Equal(got, []feedback.Class{feedback.NotFound}) {
		t.Errorf("told %v when the node was back, want NotFound", got)
	}
	if got := failedOf(tr.Node(start, makeNode("n1", ready))); len(got) != 0 {
		t.Errorf("%v was told again", got)
	}
}

func TestARefusalBesideThrottlesIsSuspect(t *testing.T) {
	t.Parallel()
	suspect := func(events []engine.Event) bool {
		for _, ev := range events {
			if ev.Failed != nil {
				return ev.Failed.Suspect && !ev.Failed.OfWorkload()
			}
		}
		return false
	}
	tr := makeTracker(t)
	alone := tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ErrImagePull", forbidden)))
	if suspect(alone) {
		t.Error("a refusal alone is suspect")
	}
	tr.Pod(start, makePod("v1", 2, bound("n2"), waiting("ErrImagePull", refused)))
	beside := tr.Pod(start.Add(time.Second), makePod("v1", 3, bound("n3"), waiting("ErrImagePull", forbidden)))
	if !suspect(beside) {
		t.Error("a refusal beside a throttle is not suspect")
	}
	later := tr.Pod(start.Add(time.Second+feedback.DisguiseWindow), makePod("v1", 4, bound("n3"), waiting("ErrImagePull", forbidden)))
	if suspect(later) {
		t.Error("a refusal long after a throttle is suspect")
	}
}

func TestAThrottledProbeMakesSuspectToo(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Throttled(start, "docker.io/anonymous")
	tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ErrImagePull", forbidden)))
	if f := tr.FailingPulls(); !f[0].Suspect {
		t.Error("a refusal beside a throttled probe is not suspect")
	}
}

func TestAnEventTellsWhatABackOffLost(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	pod := makePod("v1", 1, bound("n1"), waiting("ImagePullBackOff", `Back-off pulling image "a"`))
	tr.Pod(start, pod)
	asked := tr.Wordless(start, 5)
	if len(asked) != 1 || PodID(asked[0]) != PodID(pod) {
		t.Fatalf("asked for %d pods, want the one whose cause is lost", len(asked))
	}
	if again := tr.Wordless(start.Add(askAgain-1), 5); len(again) != 0 {
		t.Error("asked for it again at once")
	}
	if again := tr.Wordless(start.Add(askAgain), 5); len(again) != 1 {
		t.Error("not asked for it again after a while")
	}
	hint := Hint{Pod: PodID(pod), Container: "app", Message: "Failed to pull image \"a\": " + missing}
	if got := failedOf(tr.Hint(start.Add(time.Second), hint)); !cmp.Equal(got, []feedback.Class{feedback.NotFound}) {
		t.Errorf("the hint told %v, want NotFound", got)
	}
	if got := failedOf(tr.Hint(start.Add(time.Second), hint)); len(got) != 0 {
		t.Errorf("the same hint told %v again", got)
	}
	if len(tr.Wordless(start.Add(time.Hour), 5)) != 0 {
		t.Error("asked for words that are known")
	}
	if got := tr.Hint(start, Hint{Pod: core.PodID("gone"), Container: "app", Message: missing}); got != nil {
		t.Errorf("a hint about a pod that is gone told %v", got)
	}
}

// TestARebuiltWorldTellsTheSame: a controller that starts anew sees statuses only.
func TestARebuiltWorldTellsTheSame(t *testing.T) {
	t.Parallel()
	pods := []*corev1.Pod{
		makePod("v1", 1, bound("n1"), waiting("ErrImagePull", missing)),
		makePod("v1", 2, bound("n2"), waiting("ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: `+missing)),
		makePod("v1", 3, bound("n3"), waiting("ErrImagePull", refused)),
	}
	told := func() []engine.PullFailed {
		tr := makeTracker(t)
		var out []engine.PullFailed
		for _, p := range pods {
			for _, ev := range tr.Pod(start, p) {
				if ev.Failed != nil {
					out = append(out, *ev.Failed)
				}
			}
		}
		return out
	}
	first := told()
	if len(first) != 3 {
		t.Fatalf("%d failures were told, want 3", len(first))
	}
	if diff := cmp.Diff(first, told()); diff != "" {
		t.Errorf("told after a restart (-before +after):\n%s", diff)
	}
}
