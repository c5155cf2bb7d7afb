package record

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/trace"
)

var start = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// pod is a pod of Deployment shop/api.
func pod(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"pod-template-hash": "abc"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-abc", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "acme/api:1"}}},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func gated(p *corev1.Pod)  { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}} }
func placed(p *corev1.Pod) { p.Spec.NodeName = "n1" }
func isReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}

// says is what a kubelet says of a pod, so many times by now.
func says(uid, pod, reason, message string, count int32) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: uid, UID: types.UID(uid)},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: types.UID(pod)}, Reason: reason, Message: message, Count: count,
	}
}

// refused is a kubelet's message as one wrote it.
const refused = `Failed to pull image "acme/api:1": failed to pull and unpack image "docker.io/acme/api:1": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://docker.io/v2/acme/api/manifests/sha256:03: 429 Too Many Requests`

// sample is a run of two pods that are held, one of which is refused twice.
func sample() trace.Run {
	r := New(start)
	r.Before(pod("old"))
	r.Pod(at(1), pod("old", placed, isReady))
	r.Pod(at(1), pod("a", gated))
	r.Pod(at(2), pod("b", gated))
	r.Pod(at(3), pod("a"))
	r.Pod(at(4), pod("a", placed))
	r.Event(at(5), says("e1", "a", "Pulling", `Pulling image "acme/api:1"`, 1))
	r.Event(at(6), says("e2", "a", "Failed", refused, 1))
	r.Event(at(6), says("e3", "a", "Failed", "Error: ErrImagePull", 1))
	r.Event(at(6), says("e4", "a", "BackOff", `Back-off pulling image "acme/api:1"`, 1))
	r.Event(at(20), says("e1", "a", "Pulling", `Pulling image "acme/api:1"`, 2))
	r.Event(at(21), says("e2", "a", "Failed", refused, 2))
	r.Event(at(21), says("e2", "a", "Failed", refused, 2)) // a watch that begins anew says it again
	r.Event(at(45), says("e5", "a", "Pulled", `Successfully pulled image "acme/api:1" in 1.192s (3.4s including waiting). Image size: 6398986 bytes.`, 1))
	r.Pod(at(46), pod("a", placed, isReady))
	r.Pod(at(47), pod("a", placed))
	r.Event(at(48), says("e6", "b", "Failed", `Failed to pull image "acme/api:1": not found`, 1))
	r.Event(at(50), says("e7", "c", "Pulling", `Pulling image "acme/api:1"`, 1)) // comes before the pod
	r.Pod(at(51), pod("c", placed))
	r.Gone(at(52), pod("c"))
	r.Node(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelTopologyZone: "a"}}})
	r.Node(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2", CreationTimestamp: metav1.NewTime(at(30))}})
	return r.Run(at(60))
}

func TestARunIsWhatWasSeen(t *testing.T) {
	t.Parallel()
	got := sample()
	const image = "docker.io/acme/api:1"
	of := func(p trace.Pod) trace.Pod {
		p.Namespace, p.Workload, p.Images = "shop", "Deployment/api", []string{image}
		return p
	}
	want := []trace.Pod{
		of(trace.Pod{Name: "a", Node: "n1", Created: at(1), Held: true, Released: at(3), Scheduled: at(4), Ready: at(46),
			Pulls: []trace.Pull{{Image: image, Began: at(5), Pulled: at(45), Took: 1192 * time.Millisecond, Throttled: 2}}}),
		of(trace.Pod{Name: "b", Created: at(2), Held: true, Pulls: []trace.Pull{{Image: image, Failed: 1}}}),
		of(trace.Pod{Name: "c", Node: "n1", Created: at(51), Scheduled: at(51), Gone: at(52), Pulls: []trace.Pull{{Image: image, Began: at(50)}}}),
	}
	if diff := cmp.Diff(want, got.Pods); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]trace.Image{{Name: image, Bytes: 6398986}}, got.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got.Begin.Policy != "pace" {
		t.Errorf("policy %q of a run whose pods were held, want pace", got.Begin.Policy)
	}
	if _, err := trace.Decode(trace.Encode(got)); err != nil {
		t.Errorf("what is recorded cannot be read: %v", err)
	}
}

func TestTheSkeletonIsAScenario(t *testing.T) {
	t.Parallel()
	text := sample().Scenario
	s, err := scenario.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if n := s.Spec.NodePools[0].Nodes; n != 1 || len(s.Spec.Workloads) != 1 || len(s.Spec.Images) != 1 || int64(s.Spec.Images[0].Layers[0].Size) != 6398986 {
		t.Errorf("%d nodes, workloads %+v, images %+v", n, s.Spec.Workloads, s.Spec.Images)
	}
	if len(s.Spec.Timeline) != 2 || s.Spec.Timeline[0].AddNodes == nil && s.Spec.Timeline[1].AddNodes == nil {
		t.Errorf("timeline %+v, want the pods and the node that came", s.Spec.Timeline)
	}
	if !strings.Contains(text, "limiters: what this registry allows is not in a recording") {
		t.Error("it does not say that limits are missing")
	}
	none := New(start).Run(at(1))
	if _, err := scenario.Decode([]byte(none.Scenario)); err != nil && !strings.Contains(err.Error(), "images") && !strings.Contains(err.Error(), "nodes") {
		t.Errorf("of nothing: %v", err)
	}
}
