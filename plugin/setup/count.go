package setup

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// countPage is how many pods are asked for at a time.
const countPage = 500

// Count counts the pods of the whole cluster, a page at a time.
func Count(ctx context.Context, c client.Reader) (Census, error) {
	var census Census
	var next string
	for {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.Limit(countPage), client.Continue(next)); err != nil {
			return census, fmt.Errorf("looking at the images that run: %w", err)
		}
		for i := range pods.Items {
			census.Add(&pods.Items[i])
		}
		if next = pods.Continue; next == "" {
			return census, nil
		}
	}
}

// SecretNames lists the Secrets of Pace's own namespace by name; what is in them is
// not asked for.
func SecretNames(ctx context.Context, c client.Reader) ([]string, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := c.List(ctx, &list, client.InNamespace(v1alpha1.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the Secrets in %s: %w", v1alpha1.Namespace, err)
	}
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	return names, nil
}

// Manifest is a PullBudget as a person would write it.
func Manifest(b *v1alpha1.PullBudget) (string, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
	if err != nil {
		return "", fmt.Errorf("writing PullBudget %s: %w", b.Name, err)
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": "PullBudget",
		"metadata": map[string]any{"name": b.Name}, "spec": object["spec"],
	})
	if err != nil {
		return "", fmt.Errorf("writing PullBudget %s: %w", b.Name, err)
	}
	return string(text), nil
}
