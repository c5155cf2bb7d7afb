//go:build linux

package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/ground"
)

// KeptCRDs says that a finding is what uninstalling keeps unless told otherwise:
// CRDs with their objects, and what the API server makes of them.
func KeptCRDs(f Finding) bool {
	return f.Kind == "CustomResourceDefinition" || f.Kind == "APIService" || f.Group == v1alpha1.Group
}

// A Finding is an object that still has something of Pace.
type Finding struct{ Group, Kind, Namespace, Name, What string }

func (f Finding) String() string {
	return fmt.Sprintf("%s %s/%s: %s", f.Kind, f.Namespace, f.Name, f.What)
}

// NothingLeft searches every object of every kind until nothing is found, as
// deletions and the sums of aggregated roles take a moment.
func (l *Lab) NothingLeft(ctx context.Context, kept func(Finding) bool) error {
	return Poll(ctx, "nothing of Pace to be left", func(ctx context.Context) (bool, string, error) {
		found, err := l.search(ctx)
		found = slices.DeleteFunc(found, kept)
		return len(found) == 0, fmt.Sprintf("%d left: %v", len(found), found), err
	})
}

// search reads all that can be listed.
func (l *Lab) search(ctx context.Context) ([]Finding, error) {
	kinds, err := l.Cluster.Client().Discovery().ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking for all kinds: %w", err)
	}
	objects, err := dynamic.NewForConfig(l.Cluster.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	var found []Finding
	for _, list := range kinds {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("reading a group: %w", err)
		}
		for _, kind := range list.APIResources {
			if !slices.Contains(kind.Verbs, "list") || kind.Kind == "Event" {
				continue // Events tell what was, and go by themselves
			}
			all, err := objects.Resource(group.WithResource(kind.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("listing %s: %w", kind.Name, err)
			}
			for i := range all.Items {
				if what := traces(&all.Items[i]); what != "" {
					found = append(found, Finding{group.Group, kind.Kind, all.Items[i].GetNamespace(), all.Items[i].GetName(), what})
				}
			}
		}
	}
	return found, nil
}

// traces is what of an object is Pace's; empty: nothing.
func traces(obj *unstructured.Unstructured) string {
	if obj.GetNamespace() == v1alpha1.Namespace || obj.GetName() == v1alpha1.Namespace {
		return "Pace's own"
	}
	clean := obj.DeepCopy()
	// Who wrote a field is history; the fields themselves are searched.
	clean.SetManagedFields(nil)
	if obj.GetKind() == "Namespace" {
		// People opt namespaces in, and out.
		labels := clean.GetLabels()
		delete(labels, v1alpha1.LabelPace)
		clean.SetLabels(labels)
	}
	if obj.GetKind() == "Node" {
		// A kubelet keeps images until it needs the room.
		unstructured.RemoveNestedField(clean.Object, "status", "images")
	}
	text, err := json.Marshal(clean.Object)
	if err != nil {
		return err.Error()
	}
	for _, word := range []string{v1alpha1.Group, v1alpha1.Namespace, ground.Product} {
		if at := strings.Index(string(text), word); at >= 0 {
			return string(text[max(0, at-60):min(len(text), at+60)])
		}
	}
	return ""
}
