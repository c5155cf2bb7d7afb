package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAHeartbeatWaitsForTheNextTurn changes a node in several ways: all are taken in, and
// all but a heartbeat have a turn be taken.
func TestAHeartbeatWaitsForTheNextTurn(t *testing.T) {
	t.Parallel()
	const nodeKind = 4
	if _, isNode := kinds()[nodeKind].(*corev1.Node); !isNode {
		t.Fatalf("kind %d is %T", nodeKind, kinds()[nodeKind])
	}
	cases := map[string]struct {
		edit func(*corev1.Node)
		wake bool
	}{
		"a heartbeat": {func(n *corev1.Node) {
			n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Unix(300, 0))
			n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
		}, false},
		"ready no more": {func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }, true},
		"an image": {func(n *corev1.Node) {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{"b:1"}})
		}, true},
		"a taint":       {func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }, true},
		"an annotation": {func(n *corev1.Node) { n.Annotations = map[string]string{"a": "b"} }, true},
		"an end":        {func(n *corev1.Node) { n.DeletionTimestamp = new(metav1.NewTime(time.Unix(300, 0))) }, true},
		"another node":  {func(n *corev1.Node) { n.UID = "other" }, true},
		"less room":     {func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("1") }, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "a", ResourceVersion: "1"}}
			before.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
			before.Status.Images = []corev1.ContainerImage{{Names: []string{"a:1"}}}
			before.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			tc.edit(after)
			f := newFeed()
			f.changed(nodeKind, before, after)
			if woken := len(f.signal) > 0; woken != tc.wake {
				t.Errorf("a turn is taken: %v, want %v", woken, tc.wake)
			}
			if got := f.take(); len(got) != 1 || got[0].object != after {
				t.Errorf("taken in is %+v, want the node as it is now", got)
			}
		})
	}
}
