//go:build linux

package mainjob

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// nextVersion is what the controller is brought to.
const nextVersion = "v0.0.0-next"

// upgraded installs another version while all pods are held: not one of them goes
// meanwhile, and the new controller lets all go as the old one would have.
func upgraded(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	names, err := pausedFleet(ctx, s)
	if err != nil {
		return err
	}
	image, err := s.Publish(ctx, nextVersion)
	if err != nil {
		return err
	}
	out := s.Kubectl(ctx, "pace", "install", "--image", image)
	r.Note("install", out.Took.Round(100_000_000))
	if out.Code != 0 {
		return fmt.Errorf("upgrading: %s", out)
	}
	err = stage.Poll(ctx, "a turn of the new version", func(ctx context.Context) (bool, string, error) {
		var beat coordinationv1.Lease
		err := s.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}, &beat)
		version := beat.Annotations[v1alpha1.AnnotationVersion]
		return version == nextVersion, "the last turn was of " + version, err
	})
	if err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "")
	if err != nil {
		return err
	}
	if held := stage.Count(pods, stage.Held); held != pulls {
		return fmt.Errorf("%d of %d pods are still held after the upgrade", held, pulls)
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	if err := s.Await(ctx, names...); err != nil {
		return err
	}
	return all(noOwn429(s), exactly(s, pulls))
}

// pausedFleet makes the fleet while the account is paused and returns when all of it
// is held.
func pausedFleet(ctx context.Context, s *stage.Stage) (names []string, err error) {
	if err := s.Pause(ctx); err != nil {
		return nil, err
	}
	if names, err = s.Fleet(ctx, pulls/stage.Nodes); err != nil {
		return nil, err
	}
	_, err = s.AwaitPods(ctx, "", "all of them to be held", func(pods []corev1.Pod) bool {
		return len(pods) == pulls && stage.Count(pods, stage.Held) == pulls
	})
	return names, err
}
