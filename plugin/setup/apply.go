package setup

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// poll is how often the cluster is asked while waiting for it.
const poll = time.Second

// Apply writes one object with server-side apply and says what changed.
func Apply(ctx context.Context, c client.Client, obj *unstructured.Unstructured) (view.Applied, error) {
	done := describe(obj)
	before := &unstructured.Unstructured{}
	before.SetGroupVersionKind(obj.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(obj), before)
	if err != nil && !apierrors.IsNotFound(err) {
		return done, fmt.Errorf("reading %s %s: %w", done.Kind, done.Name, err)
	}
	fresh := err != nil
	after := obj.DeepCopy()
	options := []client.ApplyOption{client.FieldOwner(cluster.FieldManager), client.ForceOwnership}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(after), options...); err != nil {
		return done, fmt.Errorf("applying %s %s: %w", done.Kind, done.Name, err)
	}
	switch {
	case fresh:
		done.Change = "created"
	case after.GetResourceVersion() == before.GetResourceVersion():
		done.Change = "unchanged"
	default:
		done.Change = "configured"
	}
	return done, nil
}

// describe names an object.
func describe(obj *unstructured.Unstructured) view.Applied {
	return view.Applied{Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// Established waits until the API server serves a CRD.
func Established(ctx context.Context, c client.Reader, crd *unstructured.Unstructured) error {
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		got := &unstructured.Unstructured{}
		got.SetGroupVersionKind(crd.GroupVersionKind())
		if err := c.Get(ctx, client.ObjectKeyFromObject(crd), got); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		return condition(got, "Established"), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server to serve %s: %w", crd.GetName(), err)
	}
	return nil
}

func condition(obj *unstructured.Unstructured, kind string) bool {
	list, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, item := range list {
		if c, ok := item.(map[string]any); ok && c["type"] == kind && c["status"] == "True" {
			return true
		}
	}
	return false
}

// Ready waits until all replicas of a Deployment are available.
func Ready(ctx context.Context, c client.Reader, key client.ObjectKey) (view.Replicas, error) {
	var seen view.Replicas
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		var d appsv1.Deployment
		if err := c.Get(ctx, key, &d); err != nil {
			return false, err
		}
		seen = view.Replicas{Ready: d.Status.AvailableReplicas, Wanted: cluster.Replicas(&d)}
		current := d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == seen.Wanted
		return current && seen.Ready >= seen.Wanted, nil
	})
	if err != nil {
		return seen, fmt.Errorf("waiting for %s: %d of %d ready: %w", key.Name, seen.Ready, seen.Wanted, err)
	}
	return seen, nil
}
