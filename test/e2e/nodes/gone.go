//go:build linux

package nodes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// killLeader kills the replica that decides.
func killLeader(ctx context.Context, s *stage.Stage) error {
	var leases coordinationv1.LeaseList
	if err := s.Client.List(ctx, &leases, client.InNamespace(v1alpha1.Namespace)); err != nil {
		return fmt.Errorf("looking for the leader: %w", err)
	}
	pods, err := s.Controllers(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases.Items {
		for _, p := range pods {
			if h := l.Spec.HolderIdentity; h != nil && strings.HasPrefix(*h, p.Name) {
				return s.KillPod(ctx, p.Namespace, p.Name)
			}
		}
	}
	return errors.New("no replica leads")
}

// whileDown scales the controller to none with nodes held, has more nodes register while
// it is away, and brings it back: all that were held go when there is budget, and nothing of a
// hold stays behind.
func whileDown(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	f, err := heldFleet(ctx, s, 4)
	if err != nil {
		return err
	}
	names := f.names("new", 6)
	back, err := scaledTo0(ctx, s)
	if err != nil {
		return err
	}
	// Nobody holds what registers now: it joins, and is no worse off than without Pace.
	if err := all(f.register(ctx, names[4:], 0), f.joined(ctx, names[4:])); err != nil {
		return all(err, back())
	}
	if held := f.seen.those(f.seen.held); len(held) != 4 {
		return all(fmt.Errorf("%v are held while the controller is down, want the 4 from before", held), back())
	}
	if err := all(back(), s.Resume(ctx)); err != nil {
		return err
	}
	began := time.Now()
	if err := f.joined(ctx, names); err != nil {
		return err
	}
	r.Note("freed_after", time.Since(began).Round(time.Second))
	return f.done(ctx, none429(s))
}

// leftHeld takes the controller away with nodes held, and has another register that wears
// the taint from its first moment: the failsafe lets those go at the bound of their hold,
// and this one when it finds the controller gone.
func leftHeld(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	f, err := heldFleet(ctx, s, 4)
	if err != nil {
		return err
	}
	back, err := scaledTo0(ctx, s)
	if err != nil {
		return err
	}
	began := time.Now()
	tainted := f.names("tainted", 1)
	err = all(f.registerTainted(ctx, tainted[0]), f.joined(ctx, f.names("new", 4)))
	r.Note("freed_after", time.Since(began).Round(time.Second))
	err = all(err, f.joined(ctx, tainted))
	r.Note("all_after", time.Since(began).Round(time.Second))
	return f.done(ctx, err, back(), s.Resume(ctx), none429(s), exactly(s, 5))
}

// backWithin bounds how long replicas take to start: a guard, not a promise.
const backWithin = 5 * time.Minute

// scaledTo0 takes the controller away until back is called, and waits until it is gone.
func scaledTo0(ctx context.Context, s *stage.Stage) (back func() error, err error) {
	scale := func(ctx context.Context, n string) error {
		if out := s.Kubectl(ctx, "scale", "deployment", "pacer", "-n", v1alpha1.Namespace, "--replicas="+n); out.Code != 0 {
			return fmt.Errorf("scaling the controller: %s", out)
		}
		return nil
	}
	if err := scale(ctx, "0"); err != nil {
		return nil, err
	}
	err = s.ControllerGone(ctx)
	return func() error {
		// Also where the case's own time is up: others need the controller.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
		defer cancel()
		return all(scale(ctx, "2"), s.AwaitRollout(ctx, v1alpha1.Namespace, "pacer"))
	}, err
}
