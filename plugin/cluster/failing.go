package cluster

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// PausedByFailures reports whether failing pulls, and no person, pause an account or a
// Deployment: its breaker is not ok, pods of it are held for an image that fails, or
// pulls of its pods fail now, so that the next ones will be.
func PausedByFailures(ctx context.Context, c client.Reader, obj client.Object) (bool, error) {
	switch o := obj.(type) {
	case *v1alpha1.PullBudget:
		for _, a := range o.Status.Accounts {
			if b := a.Breaker; b != nil && b.State != "ok" && b.Cause != string(core.Paused) {
				return true, nil
			}
		}
	case *appsv1.Deployment:
		return podsFail(ctx, c, o.Namespace, Target{Deployment, o.Name})
	case *unstructured.Unstructured:
		return podsFail(ctx, c, o.GetNamespace(), Target{Kind(o.GetKind()), o.GetName()})
	}
	return false, nil
}

// podsFail reports whether pulls of a workload's pods fail, or pods are held for that.
func podsFail(ctx context.Context, c client.Reader, namespace string, owner Target) (bool, error) {
	pods, err := PodsOf(ctx, c, namespace, owner)
	if err != nil {
		return false, err
	}
	for i := range pods {
		if HoldOf(&pods[i]).Reason == string(core.ImageFailing) || len(kube.Failing(&pods[i])) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// PodsOf lists the pods of a workload.
func PodsOf(ctx context.Context, c client.Reader, namespace string, owner Target) ([]corev1.Pod, error) {
	var out []corev1.Pod
	for next := ""; ; {
		var page corev1.PodList
		if err := c.List(ctx, &page, client.InNamespace(namespace), client.Limit(500), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("listing pods: %w", err)
		}
		for _, pod := range page.Items {
			if OwnerOf(&pod) == owner.String() && pod.DeletionTimestamp == nil {
				out = append(out, pod)
			}
		}
		if next = page.Continue; next == "" {
			return out, nil
		}
	}
}
