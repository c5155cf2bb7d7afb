package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// onlyBeat reports whether a node said nothing but that it is as it was before.
func onlyBeat(before, after client.Object) bool {
	was, isNode := before.(*corev1.Node)
	is, still := after.(*corev1.Node)
	return isNode && still && was.UID == is.UID && equality.Semantic.DeepEqual(timeless(was), timeless(is))
}

// timeless is a node without what every write of it changes.
func timeless(n *corev1.Node) *corev1.Node {
	out := *n
	out.ResourceVersion, out.ManagedFields = "", nil
	out.Status.Conditions = slices.Clone(n.Status.Conditions)
	for i := range out.Status.Conditions {
		out.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return &out
}
