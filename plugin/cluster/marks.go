package cluster

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// Hold is what is written on a held pod. Reason is empty before the controller
// has said why.
type Hold struct {
	Reason  string
	Message string
	Since   time.Time
	// Until is hold-until; zero where it is absent or unreadable.
	Until time.Time
}

// HoldOf reads the hold of a gated pod.
func HoldOf(pod *corev1.Pod) Hold {
	hold := Hold{Since: pod.CreationTimestamp.Time, Until: gate.HoldUntil(pod)}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1alpha1.ConditionHeld && c.Status == corev1.ConditionTrue {
			hold.Reason, hold.Message = c.Reason, c.Message
			break
		}
	}
	if hold.Reason == "" {
		hold.Message = "the controller has not said why yet"
	}
	return hold
}

// ReleaseOf reads the mark of a release; false where the pod carries none.
func ReleaseOf(obj client.Object) (v1alpha1.ReleaseMark, bool) {
	text, ok := obj.GetAnnotations()[v1alpha1.AnnotationRelease]
	if !ok {
		return v1alpha1.ReleaseMark{}, false
	}
	mark, err := v1alpha1.ParseReleaseMark(text)
	if err != nil {
		mark.Reason = "Unreadable"
	}
	return mark, true
}

// EventTime is when an Event happened last.
func EventTime(e *eventsv1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	case !e.DeprecatedLastTimestamp.IsZero():
		return e.DeprecatedLastTimestamp.Time
	}
	return e.CreationTimestamp.Time
}
