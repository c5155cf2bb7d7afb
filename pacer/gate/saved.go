package gate

import (
	"encoding/json"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Saved is the value of v1alpha1.AnnotationSaved: fields as they were before Pace
// changed them. An absent field was not changed.
type Saved struct {
	MaxUnavailable          *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	MaxSurge                *intstr.IntOrString `json:"maxSurge,omitempty"`
	ProgressDeadlineSeconds *int32              `json:"progressDeadlineSeconds,omitempty"`
	Paused                  *bool               `json:"paused,omitempty"`
	Suspend                 *bool               `json:"suspend,omitempty"`
	// Deadline is what progressDeadlineSeconds was changed to; nil: Lifted.
	Deadline *int32 `json:"deadline,omitempty"`
	// Over asks for fields to be put back; see Follow.
	Over Over `json:"over,omitempty"`
}

// String returns the annotation's value.
func (s Saved) String() string {
	text, err := json.Marshal(s)
	if err != nil { // none of its fields can fail to marshal
		return "{}"
	}
	return string(text)
}

// SavedOf reads what is remembered on an object; false where nothing is, or
// nothing that can be read.
func SavedOf(obj client.Object) (Saved, bool) {
	text, ok := obj.GetAnnotations()[v1alpha1.AnnotationSaved]
	if !ok {
		return Saved{}, false
	}
	var was Saved
	if err := json.Unmarshal([]byte(text), &was); err != nil || !was.readable() {
		return Saved{}, false
	}
	return was, true
}

// readable reports whether the API server may take what is remembered.
func (s Saved) readable() bool {
	return readable(s.MaxUnavailable, 100) && readable(s.MaxSurge, math.MaxInt32) &&
		(s.ProgressDeadlineSeconds == nil || *s.ProgressDeadlineSeconds > 0) && (s.Deadline == nil || *s.Deadline > 0)
}

// Restore puts fields back that Pace changed and remembered on the object; false
// where nothing is remembered, or nothing that can be read. The annotation stays.
func Restore(obj client.Object) bool {
	was, ok := SavedOf(obj)
	if !ok {
		return false
	}
	switch o := obj.(type) {
	case *appsv1.Deployment:
		was.restore(o)
		return true
	case *batchv1.Job:
		if was.Suspend != nil {
			o.Spec.Suspend = was.Suspend
		}
		return true
	}
	return false
}
