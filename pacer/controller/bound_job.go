package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// lookAtJobs lets the Job go whose hold should have ended first, if one is overdue.
func (b *bound) lookAtJobs(ctx context.Context, now time.Time) error {
	var jobs batchv1.JobList
	if err := b.client.List(ctx, &jobs, client.HasLabels{v1alpha1.LabelHeld}); err != nil {
		return fmt.Errorf("listing held jobs: %w", err)
	}
	due := slices.DeleteFunc(jobs.Items, func(j batchv1.Job) bool {
		until := gate.HoldUntil(&j)
		return !gate.Suspended(&j) || until.IsZero() || !until.Before(now)
	})
	if len(due) == 0 {
		return nil
	}
	job := slices.MinFunc(due, func(a, c batchv1.Job) int { return gate.HoldUntil(&a).Compare(gate.HoldUntil(&c)) })
	err := b.releaser.resume(ctx, &job, v1alpha1.ReleaseMark{Time: now.UTC(), Reason: string(core.HoldExpired)})
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	b.metrics.released(core.HoldExpired)
	b.events.Eventf(&job, nil, corev1.EventTypeWarning, string(core.HoldExpired), "Release", "let go: %s, and no turn was completed for %s", text(core.HoldExpired), heartbeat.Fresh)
	return nil
}
