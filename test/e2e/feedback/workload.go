//go:build linux

package feedback

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// The workload that fails: more pods than a rate of failures needs to be one, and some
// that come later.
const (
	failing = 6
	joining = 4
)

// badTag rolls out an image that does not exist beside others on the same account. They
// never notice. More pods of the bad one are held, until somebody pushes the image.
func badTag(ctx context.Context, s *scene, r *suite.Report) error {
	bad, err := s.Deployment(ctx, "bad", failing)
	if err != nil {
		return err
	}
	missing := s.Host.Name() + "/bad:typo"
	bad.Spec.Template.Spec.Containers[0].Image = missing
	if err := s.Create(ctx, bad); err != nil {
		return err
	}
	good, err := s.Fleet(ctx, 5)
	if err != nil {
		return err
	}
	if err := joined(ctx, s, "bad", feedback.NotFound); err != nil {
		return err
	}
	if err := all(s.Await(ctx, good...), s.Says(ctx, 0, []string{string(core.ImageFailing), "not found"}, "pace", "explain", "deploy/bad", "-n", s.Name)); err != nil {
		return err
	}
	if err := s.Push(ctx, missing); err != nil {
		return err
	}
	return all(s.Await(ctx, "bad"), alone(s.witness, good))
}

// joined waits until a pull of an app fails for what it should, adds further pods, and
// expects all of the app that do not fail yet to be held for it.
func joined(ctx context.Context, s *scene, app string, want feedback.Class) error {
	if err := stage.Poll(ctx, "a pull to fail", func(context.Context) (bool, string, error) {
		seen, err := failed(s.witness, app)
		for _, f := range seen {
			if got := feedback.Classify(f.Waiting, f.Message, s.Host.Name()).Class; got != want {
				return false, fmt.Sprintf("%s is taken for %s, want %s", f.Message, got, want), nil
			}
		}
		return len(seen) > 0, "none has", err
	}); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "scale", "deploy/"+app, "-n", s.Name, fmt.Sprintf("--replicas=%d", failing+joining)); out.Code != 0 {
		return fmt.Errorf("scaling: %s", out)
	}
	_, err := s.AwaitPods(ctx, app, fmt.Sprintf("%d of its pods or more to be held as ImageFailing, and the others to fail", joining), func(pods []corev1.Pod) bool {
		held := stage.Count(pods, stage.HeldFor(core.ImageFailing))
		return held >= joining && held+stage.Count(pods, inBackOff)+stage.Count(pods, running) == len(pods)
	})
	return err
}

// alone complains if one of those apps was held for the failures of another, or failed.
func alone(w *stage.Witness, apps []string) error {
	err := neverHeld(w, apps, core.BreakerOpen, core.ImageFailing)
	for _, app := range apps {
		seen, also := failed(w, app)
		if err = all(err, also); len(seen) > 0 {
			err = all(err, fmt.Errorf("%s failed: %s", seen[0].Pod, seen[0].Message))
		}
	}
	return err
}

// spare is the name of a second pull secret of the stage's account.
const spare = "spare"

// revokedSecret rolls out two workloads that log in to one account, each with a password
// of its own, and takes one away. The other never notices; the first goes on when its
// Secret has a password that is valid.
func revokedSecret(ctx context.Context, s *scene, r *suite.Report) error {
	const own, next = "a password of its own", "the next password"
	s.Tokens.SetPasswords(s.Name, stage.Password, own)
	if err := s.PullSecret(ctx, s.Name, spare, s.Host.Name(), s.Name, own); err != nil {
		return err
	}
	if err := introduce(ctx, s, s.Name, spare); err != nil {
		return err
	}
	d, err := s.Deployment(ctx, "revoked", failing)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: spare}}
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, "revoked"); err != nil {
		return err
	}
	s.Tokens.SetPasswords(s.Name, stage.Password)
	good, err := s.Fleet(ctx, 5)
	if err != nil {
		return err
	}
	second := s.Host.Name() + "/revoked:2"
	if err := s.Push(ctx, second); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "set", "image", "deploy/revoked", "app="+second, "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("rolling out: %s", out)
	}
	if err := joined(ctx, s, "revoked", feedback.Auth); err != nil {
		return err
	}
	if err := all(s.Await(ctx, good...), s.Says(ctx, 0, []string{string(core.ImageFailing)}, "pace", "explain", "deploy/revoked", "-n", s.Name)); err != nil {
		return err
	}
	s.Tokens.SetPasswords(s.Name, stage.Password, next)
	if err := s.Cluster.Client().CoreV1().Secrets(s.Name).Delete(ctx, spare, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("replacing a Secret: %w", err)
	}
	if err := s.PullSecret(ctx, s.Name, spare, s.Host.Name(), s.Name, next); err != nil {
		return err
	}
	return all(s.Await(ctx, "revoked"), alone(s.witness, good))
}
