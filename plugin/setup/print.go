package setup

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Print writes objects as one stream of YAML documents.
func Print(w io.Writer, objects []*unstructured.Unstructured) error {
	for i, obj := range objects {
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			return fmt.Errorf("writing %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// ImageOf returns the image of the first container of a Deployment.
func ImageOf(objects []*unstructured.Unstructured, deployment string) string {
	for _, obj := range objects {
		if obj.GetKind() != "Deployment" || obj.GetName() != deployment {
			continue
		}
		containers, _, _ := unstructured.NestedSlice(obj.Object, "spec", "template", "spec", "containers")
		for _, item := range containers {
			if c, ok := item.(map[string]any); ok {
				image, _ := c["image"].(string)
				return image
			}
		}
	}
	return ""
}

// LabelsOf returns the labels of a Namespace.
func LabelsOf(objects []*unstructured.Unstructured, namespace string) map[string]string {
	for _, obj := range objects {
		if obj.GetKind() == "Namespace" && obj.GetName() == namespace {
			return obj.GetLabels()
		}
	}
	return nil
}
