//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// uninstall takes Pace out while pods are held and a workload is paused, searches
// every object of the cluster for what is left, and then makes the mistake of
// using what is not there any more. It is the last case.
func uninstall(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	if err := s.Create(ctx, ground.Deployment(s.Name, "app", stage.Unmetered, 1)); err != nil {
		return err
	}
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "pace", "pause", "deploy/app-6", "-n", s.Name, "--reason", "to be forgotten"); out.Code != 0 {
		return fmt.Errorf("pausing: %s", out)
	}
	if _, err := s.AwaitCharged(ctx, 1); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "", "pods to be held", someHeld); err != nil {
		return err
	}
	out := s.Kubectl(ctx, "pace", "uninstall")
	if out.Code != 0 {
		return fmt.Errorf("uninstalling: %s", out)
	}
	if err := s.Await(ctx, names...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	// Nobody reads the account while pods drip: some may be refused, none for ever.
	r.Note("dripped_429", s.Throttled(time.Time{}))
	// CRDs stay with their objects, and so does what the API server makes of them.
	keptCRDs := func(f finding) bool {
		return f.kind == "CustomResourceDefinition" || f.kind == "APIService" || f.group == v1alpha1.Group
	}
	if err := nothingLeft(ctx, s, keptCRDs); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	err = refused(ctx, s, s.Name, mistake{"no controller", []string{"pace", "rollout", "deploy/app", "-n", s.Name, "--restart"}, 1, "controller is not installed"})
	out = s.Kubectl(ctx, "pace", "uninstall", "--crds")
	if out.Code != 0 {
		return all(err, fmt.Errorf("uninstalling with CRDs: %s", out))
	}
	s.Options.NoBudget = true // it went with its kind
	return all(err, nothingLeft(ctx, s, func(finding) bool { return false }))
}

// A finding is an object that still has something of Pace.
type finding struct{ group, kind, namespace, name, what string }

func (f finding) String() string {
	return fmt.Sprintf("%s %s/%s: %s", f.kind, f.namespace, f.name, f.what)
}

// nothingLeft searches every object of every kind until nothing is found, as
// deletions and the sums of aggregated roles take a moment.
func nothingLeft(ctx context.Context, s *stage.Stage, kept func(finding) bool) error {
	return stage.Poll(ctx, "nothing of Pace to be left", func(ctx context.Context) (bool, string, error) {
		found, err := search(ctx, s)
		found = slices.DeleteFunc(found, kept)
		return len(found) == 0, fmt.Sprintf("%d left: %v", len(found), found), err
	})
}

// search reads all that can be listed.
func search(ctx context.Context, s *stage.Stage) ([]finding, error) {
	kinds, err := s.Cluster.Client().Discovery().ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking for all kinds: %w", err)
	}
	config := s.Cluster.RESTConfig()
	config.WarningHandler = rest.NoWarnings{} // of kinds that are out of date
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	var found []finding
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
					found = append(found, finding{group.Group, kind.Kind, all.Items[i].GetNamespace(), all.Items[i].GetName(), what})
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
