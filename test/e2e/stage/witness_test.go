//go:build linux

package stage

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// witnessed is a pod as the API server has it at one time.
func witnessed(uid, node string, held core.Reason, waiting, message string) *corev1.Pod {
	p := &corev1.Pod{}
	p.UID, p.Name, p.Labels, p.Spec.NodeName = types.UID(uid), "pod-"+uid, map[string]string{"app": "web"}, node
	if held != "" {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
		p.Status.Conditions = []corev1.PodCondition{{Type: v1alpha1.ConditionHeld, Reason: string(held)}}
	}
	if waiting != "" {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting, Message: message}}}}
	}
	return p
}

// running is a witnessed pod of which the image came.
func running(uid, node string) *corev1.Pod {
	p := witnessed(uid, node, "", "", "")
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{ImageID: "sha256:1"}}
	return p
}

func TestWitnessNotesEachChangeOnce(t *testing.T) {
	t.Parallel()
	w := &Witness{last: map[types.UID]Sight{}}
	for _, p := range []*corev1.Pod{
		witnessed("a", "", "", "", ""), // nothing to note yet
		witnessed("a", "", core.WaitingForBudget, "", ""),
		witnessed("a", "", core.WaitingForBudget, "", ""), // something else of it changed
		witnessed("a", "", core.BreakerOpen, "", ""),
		witnessed("b", "node-1", "", "", ""),
		witnessed("a", "node-2", "", "", ""),
		witnessed("a", "node-2", "", "ErrImagePull", "429"),
		witnessed("a", "node-2", "", "ImagePullBackOff", "Back-off: 429"),
		witnessed("a", "node-2", "", "ErrImagePull", "429"), // another try
		witnessed("a", "node-2", "", "PodInitializing", ""),
		running("a", "node-2"),
		running("a", "node-2"),
	} {
		w.see(p)
	}
	want := []Sight{
		{Pod: "pod-a", App: "web", Held: core.WaitingForBudget},
		{Pod: "pod-a", App: "web", Held: core.BreakerOpen},
		{Pod: "pod-b", App: "web", Node: "node-1", Bound: true},
		{Pod: "pod-a", App: "web", Node: "node-2", Bound: true},
		{Pod: "pod-a", App: "web", Node: "node-2", Waiting: "ErrImagePull", Message: "429"},
		{Pod: "pod-a", App: "web", Node: "node-2", Waiting: "ImagePullBackOff", Message: "Back-off: 429"},
		{Pod: "pod-a", App: "web", Node: "node-2", Waiting: "ErrImagePull", Message: "429"},
		{Pod: "pod-a", App: "web", Node: "node-2", Arrived: true},
	}
	got, err := w.Sights(func(Sight) bool { return true })
	for i := range got {
		got[i].At = want[min(i, len(want)-1)].At
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; sights (-want +got):\n%s", err, diff)
	}
}
