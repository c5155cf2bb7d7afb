package gate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

func isHeldTaint(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }

// NodeHeld reports whether our taint is on the node, whoever put it there: Pace, or
// whatever registered the node with it.
func NodeHeld(n *corev1.Node) bool { return slices.ContainsFunc(n.Spec.Taints, isHeldTaint) }

// HoldNode puts a hold on a node: the taint, unless the node was registered with it,
// and the marks and the bound of the hold. Taints of others stay as they are. It
// reports false, and changes nothing, where all of it is there.
func HoldNode(n *corev1.Node, until time.Time) bool {
	if NodeHeld(n) && n.Labels[v1alpha1.LabelHeld] != "" && !HoldUntil(n).IsZero() {
		return false
	}
	if !NodeHeld(n) {
		n.Spec.Taints = append(slices.Clone(n.Spec.Taints), corev1.Taint{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule})
	}
	MarkHeld(n, until)
	return true
}

// LetNode lets a node go, held or not: our taint and the marks of the hold go, and the
// mark of the release comes. Taints of others stay.
func LetNode(n *corev1.Node, mark v1alpha1.ReleaseMark) {
	untaint(n)
	dropHoldMarks(n)
	n.Annotations = with(n.Annotations, v1alpha1.AnnotationRelease, mark.String())
}

// dropHoldMarks takes off by what a held node is found and explained.
func dropHoldMarks(n *corev1.Node) {
	delete(n.Labels, v1alpha1.LabelHeld)
	delete(n.Annotations, v1alpha1.AnnotationHoldUntil)
	delete(n.Annotations, v1alpha1.AnnotationHoldReason)
}

// NodeReleasedAt is when a node was let go by us; zero: it was not.
func NodeReleasedAt(n *corev1.Node) time.Time { return markedAt(n) }
