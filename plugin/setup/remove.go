package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// Stage is a part of the removal: stages are carried out in order.
type Stage int

// The stages. The webhook goes first so that nothing new is held, the failsafe
// after everything was let go, the CRDs only if asked.
const (
	StageWebhook Stage = iota
	StageController
	StageRest
	StageCRD
)

// StageOf says when an object goes.
func StageOf(obj *unstructured.Unstructured) Stage {
	switch obj.GetKind() {
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "MutatingAdmissionPolicy",
		"MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return StageWebhook
	case "CustomResourceDefinition":
		return StageCRD
	case "Deployment":
		if !strings.Contains(obj.GetName(), "failsafe") {
			return StageController
		}
	}
	return StageRest
}

// WithoutFailsafe are the objects that go where the failsafe stays: all but what it runs by.
func WithoutFailsafe(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(obj *unstructured.Unstructured) bool {
		return obj.GetName() == cluster.FailsafeName || obj.GetKind() == "Namespace"
	})
}

// Delete removes the objects of a stage, the last applied first. What is gone
// already is skipped.
func Delete(ctx context.Context, c client.Client, objects []*unstructured.Unstructured, stage Stage) ([]view.Applied, error) {
	var deleted []view.Applied
	for _, obj := range slices.Backward(objects) {
		if StageOf(obj) != stage {
			continue
		}
		err := c.Delete(ctx, obj.DeepCopy(), client.PropagationPolicy("Background"))
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			continue
		case err != nil:
			return deleted, fmt.Errorf("deleting %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
		done := describe(obj)
		done.Change = "deleted"
		deleted = append(deleted, done)
	}
	return deleted, nil
}

// stopFor bounds the wait for the controller's end: one on a node that is gone never
// reports it, and lets nothing go either.
const stopFor = 30 * time.Second

// Stopped waits until no pod of a Deployment that was deleted is left, so that
// nobody else lets pods go.
func Stopped(ctx context.Context, c client.Reader, pods ...client.ListOption) error {
	err := wait.PollUntilContextTimeout(ctx, poll, stopFor, true, func(ctx context.Context) (bool, error) {
		var list corev1.PodList
		if err := c.List(ctx, &list, pods...); err != nil {
			return false, fmt.Errorf("looking for the controller's pods: %w", err)
		}
		return len(list.Items) == 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil
	}
	return err
}

// Remains counts what is still there of the objects of an installation, without
// the CRDs. An object that is being deleted does not count.
func Remains(ctx context.Context, c client.Reader, objects []*unstructured.Unstructured, left *view.Left) error {
	for _, obj := range objects {
		if StageOf(obj) == StageCRD {
			continue
		}
		there, err := Exists(ctx, c, obj)
		if err != nil {
			return err
		}
		switch {
		case !there:
		case StageOf(obj) == StageWebhook:
			left.Webhooks++
		case strings.Contains(obj.GetKind(), "Role"):
			left.Roles++
		}
	}
	return nil
}

// Exists reports whether an object is there and not being deleted.
func Exists(ctx context.Context, c client.Reader, obj *unstructured.Unstructured) (bool, error) {
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(obj.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(obj), got)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for %s %s: %w", obj.GetKind(), obj.GetName(), err)
	}
	return got.GetDeletionTimestamp() == nil, nil
}
