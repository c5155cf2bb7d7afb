package cluster

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// SetOrder writes an order on an object.
func SetOrder(obj client.Object, key string, o v1alpha1.Order) {
	notes := obj.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[key] = o.String()
	obj.SetAnnotations(notes)
}

// ClearOrder takes an order back; false where there is none.
func ClearOrder(obj client.Object, key string) bool {
	notes := obj.GetAnnotations()
	if _, ok := notes[key]; !ok {
		return false
	}
	delete(notes, key)
	obj.SetAnnotations(notes)
	return true
}

// PausedBy says who paused an object and why; empty where nobody did.
func PausedBy(obj client.Object) string {
	text, ok := obj.GetAnnotations()[v1alpha1.AnnotationPaused]
	if !ok {
		return ""
	}
	o, err := v1alpha1.ParseOrder(text)
	if err != nil || o.Reason == "" {
		return "somebody, for an unknown reason"
	}
	return fmt.Sprintf("%s (%s)", o.Reason, o.By)
}

// Empty returns an empty object of the kind that a person named.
func Empty(t Target) (client.Object, error) {
	switch t.Kind {
	case Deployment:
		return &appsv1.Deployment{}, nil
	case Rollout:
		return kube.NewRollout(), nil
	case Job:
		return &batchv1.Job{}, nil
	case Pod:
		return &corev1.Pod{}, nil
	case Node:
		return &corev1.Node{}, nil
	case PullBudget:
		return &v1alpha1.PullBudget{}, nil
	}
	return nil, fmt.Errorf("%s: Pace does nothing with a %s here", t, t.Kind)
}
