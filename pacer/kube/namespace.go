package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// kueueManaged is the label by which Kueue marks pods that it holds itself.
const kueueManaged = "kueue.x-k8s.io/managed"

// switchedOff reports whether a namespace's annotation switches Pace off there.
func switchedOff(o metav1.Object) bool {
	return o.GetAnnotations()[v1alpha1.AnnotationPace] == v1alpha1.AnnotationPaceOff
}

// optedIn reports whether a namespace's label opts it in.
func optedIn(o metav1.Object) bool {
	return o.GetLabels()[v1alpha1.LabelPace] == v1alpha1.LabelPaceEnabled
}
