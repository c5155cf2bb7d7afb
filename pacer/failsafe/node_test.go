package failsafe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// heldNode is held until the given time after start, and wears another's taint too.
func heldNode(name string, until time.Duration) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	n.Spec.Taints = []corev1.Taint{{Key: "other.dev/starting", Effect: corev1.TaintEffectNoSchedule}}
	gate.HoldNode(n, start.Add(until))
	n.Annotations[v1alpha1.AnnotationHoldReason] = "WaitingForBudget: 1 node like this"
	return n
}

// until lets time pass from a second after start: with a controller that acts at the end of
// it, or without one.
func (b *bench) until(after time.Duration, beats bool) {
	b.t.Helper()
	if !beats {
		b.pass(after-time.Second, false)
		return
	}
	b.clock.Step(after - 3*time.Second)
	b.pass(2*time.Second, true)
}

func TestNodesAreFreedByTheirBound(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		after time.Duration
		beats bool
		want  []string
	}{
		"within its bound":                        {9 * time.Minute, true, nil},
		"past it, left to a controller that acts": {12 * time.Minute, true, nil},
		"long past it, whatever the controller":   {13*time.Minute + time.Second, true, []string{"a HoldExpired"}},
		"no controller":                           {5*time.Minute + 5*time.Second, false, []string{"a Failsafe", "b Failsafe"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, heldNode("a", 10*time.Minute), heldNode("b", time.Hour))
			b.pass(time.Second, true)
			b.until(tc.after, tc.beats)
			if diff := cmp.Diff(tc.want, b.marked()); diff != "" {
				t.Errorf("let go (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNodesThatRegisterWithTheTaintAreFreed looks at nodes that no controller has seen: they
// have the taint and nothing else of a hold.
func TestNodesThatRegisterWithTheTaintAreFreed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		after time.Duration
		beats bool
		want  []string
	}{
		"left to a controller that acts": {12 * time.Minute, true, nil},
		"whatever the controller":        {13*time.Minute + time.Second, true, []string{"fresh HoldExpired"}},
		"no controller":                  {5*time.Minute + 5*time.Second, false, []string{"fresh Failsafe"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "fresh", UID: "fresh", CreationTimestamp: metav1.NewTime(start)}}
			fresh.Spec.Taints = []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}}
			other := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "other", CreationTimestamp: metav1.NewTime(start)}}
			other.Spec.Taints = []corev1.Taint{{Key: "other.dev/starting", Effect: corev1.TaintEffectNoSchedule}}
			b := makeBench(t, fresh, other)
			b.pass(time.Second, true)
			b.until(tc.after, tc.beats)
			if diff := cmp.Diff(tc.want, b.marked()); diff != "" {
				t.Errorf("let go (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOfNodesLittleIsKept slims a node as its watch does, and frees it as it is then.
func TestOfNodesLittleIsKept(t *testing.T) {
	t.Parallel()
	n := heldNode("a", time.Minute)
	n.Status.Images = []corev1.ContainerImage{{Names: []string{"app:1"}}}
	n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	want := heldNode("a", time.Minute)
	got, err := slim(n)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// TestAFreedNodeKeepsTheTaintsOfOthers looks at what is left on it.
func TestAFreedNodeKeepsTheTaintsOfOthers(t *testing.T) {
	t.Parallel()
	b := makeBench(t, heldNode("a", 10*time.Minute))
	b.pass(time.Second, true)
	b.pass(6*time.Minute, false)
	var n corev1.Node
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "a"}, &n); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]corev1.Taint{{Key: "other.dev/starting", Effect: corev1.TaintEffectNoSchedule}}, n.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	delete(n.Annotations, v1alpha1.AnnotationRelease)
	if len(n.Labels) > 0 || len(n.Annotations) > 0 {
		t.Errorf("labels %v and annotations %v are left", n.Labels, n.Annotations)
	}
}
