//go:build linux

package mainjob

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	if err := deletesFirst(ctx, s); err != nil {
		return err
	}
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err != nil {
		return err
	}
	// Nobody holds those that are made when the webhook is gone.
	for _, app := range names {
		if _, err := s.AwaitPods(ctx, app, "all its pods to be there", func(pods []corev1.Pod) bool { return len(pods) == stage.Nodes }); err != nil {
			return err
		}
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
	// The controller let them go as units were free, before it was deleted.
	if err := all(noOwn429(s), unchanged(ctx, s)); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if err := s.NothingLeft(ctx, stage.KeptCRDs); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	err = refused(ctx, s, s.Name, mistake{"no controller", []string{"pace", "rollout", "deploy/app", "-n", s.Name, "--restart"}, 1, "controller is not installed"})
	out = s.Kubectl(ctx, "pace", "uninstall", "--crds")
	if out.Code != 0 {
		return all(err, fmt.Errorf("uninstalling with CRDs: %s", out))
	}
	s.Options.NoBudget = true // it went with its kind
	return all(err, s.NothingLeft(ctx, func(stage.Finding) bool { return false }))
}

// deletesFirst rolls out a Deployment whose fields Pace may change while its pods are
// held. All its new pods come at once: those of a later step would be created when
// nobody holds pods any more, and be refused for reasons that are not Pace's.
func deletesFirst(ctx context.Context, s *stage.Stage) error {
	quarter, whole := intstr.FromString("25%"), intstr.FromString("100%")
	d, err := s.Deployment(ctx, "quarter", stage.Nodes)
	if err != nil {
		return err
	}
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter, MaxSurge: &whole}
	d.Spec.Template.Spec.TopologySpreadConstraints = nil
	image := d.Spec.Template.Spec.Containers[0].Image
	d.Spec.Template.Spec.Containers[0].Image = stage.Unmetered
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, "quarter"); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "set", "image", "deploy/quarter", "app="+image, "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("rolling out: %s", out)
	}
	_, err = s.AwaitPods(ctx, "quarter", "its new pods to be there", func(pods []corev1.Pod) bool {
		return stage.Count(pods, func(p *corev1.Pod) bool { return p.Spec.Containers[0].Image == image }) == stage.Nodes
	})
	return err
}

// unchanged complains unless the fields of that Deployment are what they were.
func unchanged(ctx context.Context, s *stage.Stage) error {
	var d appsv1.Deployment
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Name, Name: "quarter"}, &d); err != nil {
		return fmt.Errorf("reading a deployment: %w", err)
	}
	r := d.Spec.Strategy.RollingUpdate
	if r.MaxUnavailable.String() != "25%" || r.MaxSurge.String() != "100%" || *d.Spec.ProgressDeadlineSeconds != 600 || d.Spec.Paused {
		return fmt.Errorf("maxUnavailable %s, maxSurge %s, progressDeadlineSeconds %d, paused %v: want 25%%, 100%%, 600, false",
			r.MaxUnavailable, r.MaxSurge, *d.Spec.ProgressDeadlineSeconds, d.Spec.Paused)
	}
	return nil
}
