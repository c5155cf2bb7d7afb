package gate

import (
	"encoding/json"

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
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return Saved{}, false
	}
	return was, true
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
		restoreDeployment(o, was)
		return true
	case *batchv1.Job:
		if was.Suspend != nil {
			o.Spec.Suspend = was.Suspend
		}
		return true
	}
	return false
}

func restoreDeployment(d *appsv1.Deployment, was Saved) {
	if was.ProgressDeadlineSeconds != nil {
		d.Spec.ProgressDeadlineSeconds = was.ProgressDeadlineSeconds
	}
	if was.Paused != nil {
		d.Spec.Paused = *was.Paused
	}
	if was.MaxUnavailable == nil && was.MaxSurge == nil {
		return
	}
	if d.Spec.Strategy.RollingUpdate == nil {
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	if was.MaxUnavailable != nil {
		d.Spec.Strategy.RollingUpdate.MaxUnavailable = was.MaxUnavailable
	}
	if was.MaxSurge != nil {
		d.Spec.Strategy.RollingUpdate.MaxSurge = was.MaxSurge
	}
}
