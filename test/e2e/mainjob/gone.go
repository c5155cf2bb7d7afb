//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// freeWithin is how long after the last turn everything is free, and spared how long
// after it nothing is let go, by the contract.
const (
	freeWithin = 5 * time.Minute
	spared     = 2 * time.Minute
)

// slack is what the failsafe may take to look again, and a watch to tell.
const slack = 15 * time.Second

// controllerGone takes the controller away while objects of every kind are held, and
// touches nothing: new pods are not held, and all that is held is free in time.
func controllerGone(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	if err := s.Deploy(ctx, "held", stage.Nodes); err != nil {
		return err
	}
	marked, err := heldByHand(ctx, s)
	if err != nil {
		return err
	}
	if err := allHeld(ctx, s, "held", stage.Nodes); err != nil {
		return err
	}
	scale := func(replicas string) error {
		if out := s.Kubectl(ctx, "scale", "deploy/pacer", "-n", v1alpha1.Namespace, "--replicas="+replicas); out.Code != 0 {
			return fmt.Errorf("scaling the controller: %s", out)
		}
		return s.AwaitRollout(ctx, v1alpha1.Namespace, "pacer")
	}
	defer func() { err = all(err, scale("2"), awaitTurns(ctx, s)) }()
	if err := scale("0"); err != nil {
		return err
	}
	if err := s.ControllerGone(ctx); err != nil {
		return err
	}
	gone, err := renewed(ctx, s, v1alpha1.Heartbeat)
	if err != nil {
		return err
	}
	if err := s.Deploy(ctx, "new", 1); err != nil {
		return err
	}
	if err := ungated(ctx, s, "new"); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, time.Until(gone.Add(freeWithin+slack)))
	defer cancel()
	pods, err := s.AwaitPods(within, "held", "all to be free", noneHeld)
	if err != nil {
		return err
	}
	if err := marked.free(within, s); err != nil {
		return err
	}
	r.Note("free_after_s", int(time.Since(gone).Seconds()))
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	for _, rel := range releases {
		if rel.Reason != string(core.Failsafe) || rel.At.Before(gone.Add(spared)) {
			err = all(err, fmt.Errorf("%s was released as %s %s after the last turn", rel.Pod, rel.Reason, rel.At.Sub(gone).Round(time.Second)))
		}
	}
	if n := len(releases); n != stage.Nodes {
		return all(err, fmt.Errorf("%d pods carry a release, want %d", n, stage.Nodes))
	}
	if spread := releases[len(releases)-1].At.Sub(releases[0].At); spread < spared/2 {
		err = all(err, fmt.Errorf("all went within %s, want a drip over minutes", spread))
	}
	return err
}

func noneHeld(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) == 0 }

// allHeld waits until so many pods of an app are held, with a Reason.
func allHeld(ctx context.Context, s *stage.Stage, app string, n int) error {
	_, err := s.AwaitPods(ctx, app, "its pods to be held", func(pods []corev1.Pod) bool {
		return len(pods) == n && stage.Count(pods, stage.Held) == n
	})
	return err
}

// noticed is how long turns complete until every replica knows: each looks once a second,
// and holds nothing new before.
const noticed = 3 * time.Second

// awaitTurns waits until turns complete again, and every replica holds what is new.
func awaitTurns(ctx context.Context, s *stage.Stage) error {
	var first time.Time
	return stage.Poll(ctx, "turns to complete", func(ctx context.Context) (bool, string, error) {
		at, err := renewed(ctx, s, v1alpha1.Heartbeat)
		switch {
		case err != nil || time.Since(at) >= slack:
			first = time.Time{}
		case first.IsZero():
			first = at
		}
		return !first.IsZero() && at.Sub(first) >= noticed, "last at " + clock(at), err
	})
}

// renewed is when a Lease of ours was renewed last.
func renewed(ctx context.Context, s *stage.Stage, name string) (time.Time, error) {
	var lease coordinationv1.Lease
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, &lease); err != nil {
		return time.Time{}, fmt.Errorf("reading Lease %s: %w", name, err)
	}
	return lease.Spec.RenewTime.Time, nil
}

// turnsWedged refuses what every turn writes: the leader leads, but no turn
// completes. Nothing new is held from then on, and what is held waits for it.
func turnsWedged(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	if err := s.Deploy(ctx, "held", stage.Nodes); err != nil {
		return err
	}
	if err := allHeld(ctx, s, "held", stage.Nodes); err != nil {
		return err
	}
	allow, err := denied(ctx, s, v1alpha1.Group, "pullbudgets/status", "{}")
	if err != nil {
		return err
	}
	defer func() { err = all(err, allow(), awaitTurns(ctx, s)) }()
	// Something must be there to write down: somebody takes from the account.
	s.Host.SetLimit(0, stage.Limit-1)
	open := 0
	err = stage.Poll(ctx, "a new pod not to be held", func(ctx context.Context) (bool, string, error) {
		open++
		app := fmt.Sprint("new-", open)
		if err := s.Create(ctx, ground.Deployment(s.Name, app, s.Image("held"), 1)); err != nil {
			return false, "", err
		}
		pods, err := s.AwaitPods(ctx, app, "a pod", func(pods []corev1.Pod) bool { return len(pods) > 0 })
		if err != nil {
			return false, "", err
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
		return noneHeld(pods), fmt.Sprintf("%d new Deployments, the last one held", open), nil
	})
	if err != nil {
		return err
	}
	last, err := renewed(ctx, s, v1alpha1.Heartbeat)
	if err != nil {
		return err
	}
	r.Note("open_after_s", int(time.Since(last).Seconds()))
	if since := time.Since(last); since > time.Minute {
		err = fmt.Errorf("new pods were held for %s after the last turn, want 30 s or so", since.Round(time.Second))
	}
	leads, also := renewed(ctx, s, "pullpace-leader")
	if also != nil || time.Since(leads) > slack {
		err = all(err, also, fmt.Errorf("nobody has led since %s: the turns were to be wedged, not the leader", clock(leads)))
	}
	if pods, also := s.Pods(ctx, "held"); also != nil || stage.Count(pods, stage.Held) != stage.Nodes {
		err = all(err, also, fmt.Errorf("%d of %d old pods are held, want all: the controller is to come back", stage.Count(pods, stage.Held), stage.Nodes))
	}
	return err
}
