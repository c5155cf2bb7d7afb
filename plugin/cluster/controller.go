package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// ControllerOf reads whether the controller is there and when it completed a turn
// last.
func ControllerOf(ctx context.Context, c client.Reader) (view.Controller, error) {
	var known view.Controller
	var lease coordinationv1.Lease
	err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}, &lease)
	if client.IgnoreNotFound(err) != nil {
		return known, fmt.Errorf("reading the heartbeat: %w", err)
	}
	if err == nil {
		known.Installed = true
		known.Version = lease.Annotations[v1alpha1.AnnotationVersion]
		if lease.Spec.RenewTime != nil {
			known.Heartbeat = lease.Spec.RenewTime.Time
		}
	}
	var d appsv1.Deployment
	err = c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: ControllerName}, &d)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		// A tenant may see the heartbeat and not the Deployment.
		return known, nil
	case err != nil:
		return known, fmt.Errorf("reading the controller's Deployment: %w", err)
	}
	known.Installed, known.Ready, known.Wanted = true, d.Status.ReadyReplicas, Replicas(&d)
	if len(d.Spec.Template.Spec.Containers) > 0 {
		known.Image = d.Spec.Template.Spec.Containers[0].Image
	}
	return known, nil
}

// FailsafeOf reads whether the failsafe is there and when it looked last.
func FailsafeOf(ctx context.Context, c client.Reader) (view.Failsafe, error) {
	var known view.Failsafe
	var lease coordinationv1.Lease
	err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.FailsafeHeartbeat}, &lease)
	if client.IgnoreNotFound(err) != nil {
		return known, fmt.Errorf("reading the heartbeat of the failsafe: %w", err)
	}
	if err == nil && lease.Spec.RenewTime != nil {
		known.Seen = lease.Spec.RenewTime.Time
	}
	var d appsv1.Deployment
	err = c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: FailsafeName}, &d)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return known, nil
	case err != nil:
		return known, fmt.Errorf("reading the failsafe's Deployment: %w", err)
	}
	known.Replicas = view.Replicas{Ready: d.Status.ReadyReplicas, Wanted: Replicas(&d)}
	return known, nil
}

// ErrNoController says that nobody would carry out what is asked for.
var ErrNoController = errors.New("the controller is not installed")

// Working complains unless the controller completed a turn lately.
func Working(c view.Controller, now time.Time, program string) error {
	switch {
	case !c.Installed:
		return fmt.Errorf("%w: `%s install --dry-run` shows what that would create; nothing was changed", ErrNoController, program)
	case !c.Alive(now):
		return fmt.Errorf("the controller has not completed a turn since %s: look at the pods in %s (`%s status`); nothing was changed",
			c.Heartbeat.UTC().Format(time.RFC3339), v1alpha1.Namespace, program)
	}
	return nil
}

// OptedIn complains unless the namespace is paced.
func OptedIn(ctx context.Context, c client.Reader, namespace string) error {
	var ns corev1.Namespace
	err := c.Get(ctx, client.ObjectKey{Name: namespace}, &ns)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no namespace %q: choose another with -n", namespace)
	case err != nil:
		return fmt.Errorf("reading namespace %s: %w", namespace, err)
	case ns.Labels[v1alpha1.LabelPace] != v1alpha1.LabelPaceEnabled:
		return fmt.Errorf("namespace %s is not opted in, its rollouts are not paced: kubectl label namespace %s %s=%s; nothing was changed",
			namespace, namespace, v1alpha1.LabelPace, v1alpha1.LabelPaceEnabled)
	case ns.Annotations[v1alpha1.LabelPace] == v1alpha1.AnnotationPaceOff:
		return fmt.Errorf("namespace %s is switched off by its annotation %s: %s: kubectl annotate namespace %s %s-; nothing was changed",
			namespace, v1alpha1.LabelPace, v1alpha1.AnnotationPaceOff, namespace, v1alpha1.LabelPace)
	}
	return nil
}
