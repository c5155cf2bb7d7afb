//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// pausing is the stage of pausedFirst: an account that is used up, and a policy that
// pauses rollouts that delete first.
var pausing = stage.Options{Window: anHour, Taken: stage.Limit,
	Policy: &v1alpha1.PacePolicySpec{Mode: v1alpha1.Enforce, DeleteFirst: v1alpha1.PauseRollout}}

// pausedFirst changes the image of a Deployment that deletes first. It is paused before
// its first pod while it cannot be paid, with all old pods ready and its bounds as they
// are, and goes when there are units. Then it is what it was.
func pausedFirst(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	d, err := s.Deployment(ctx, "app", stage.Nodes)
	if err != nil {
		return err
	}
	image := d.Spec.Template.Spec.Containers[0].Image
	d.Spec.Template.Spec.Containers[0].Image = stage.Unmetered
	quarter := intstr.FromString("25%")
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter, MaxSurge: &quarter}
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, "app"); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "set", "image", "deploy/app", "app="+image, "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("rolling out: %s", out)
	}
	// It is paused by the very write; a while later nothing else has happened.
	if err := stage.Pass(ctx, 5*time.Second); err != nil {
		return err
	}
	var held appsv1.Deployment
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(d), &held); err != nil {
		return fmt.Errorf("reading a Deployment: %w", err)
	}
	saved, ok := gate.SavedOf(&held)
	if r := held.Spec.Strategy.RollingUpdate; !ok || saved.Paused == nil || !held.Spec.Paused || held.Status.ReadyReplicas != stage.Nodes ||
		r.MaxUnavailable.String() != "25%" || r.MaxSurge.String() != "25%" {
		return fmt.Errorf("paused %v with %+v remembered, bounds %s and %s, %d pods ready: want it paused and nothing else changed",
			held.Spec.Paused, saved, r.MaxUnavailable, r.MaxSurge, held.Status.ReadyReplicas)
	}
	pods, err := s.Pods(ctx, "app")
	if err != nil {
		return err
	}
	if n := stage.Count(pods, func(p *corev1.Pod) bool { return p.Spec.Containers[0].Image == image }); n > 0 {
		return fmt.Errorf("%d new pods of a rollout that is paused, want none", n)
	}
	// While a pod waits the registry is asked every 20 s, otherwise every 5 minutes.
	if err := s.Deploy(ctx, "waits", 1); err != nil {
		return err
	}
	if err := allHeld(ctx, s, "waits", 1); err != nil {
		return err
	}
	s.Host.SetLimit(0, 10*stage.Limit)
	if err := s.Await(ctx, "app", "waits"); err != nil {
		return err
	}
	h := &hold{Stage: s}
	if err := h.restored(ctx, "app"); err != nil {
		return err
	}
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(d), &held); err != nil {
		return fmt.Errorf("reading a Deployment: %w", err)
	}
	if r := held.Spec.Strategy.RollingUpdate; held.Spec.Paused || r.MaxUnavailable.String() != "25%" || r.MaxSurge.String() != "25%" || *held.Spec.ProgressDeadlineSeconds != 600 {
		return fmt.Errorf("afterwards paused %v, bounds %s and %s, deadline %d s: want false, 25%%, 25%%, 600 s",
			held.Spec.Paused, r.MaxUnavailable, r.MaxSurge, *held.Spec.ProgressDeadlineSeconds)
	}
	return all(noOwn429(s), exactly(s, stage.Nodes+1))
}
