//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/bench/measure"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/ground"
)

// letGo has pods of many workloads held on an account that is paused, and then resumes it.
func (b *bench) letGo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	patch := fmt.Sprintf(`{"spec":{"maxGatedPerNamespace":%d}}`, 2*b.held)
	if out := b.Kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", patch); out.Code != 0 {
		return fmt.Errorf("changing the policy: %s", out)
	}
	if out := b.Kubectl(ctx, "pace", "pause", "budget/"+b.Name, "--reason", "until all are held"); out.Code != 0 {
		return fmt.Errorf("pausing: %s", out)
	}
	pods, err := watch(ctx, b.fast, b.Name)
	if err != nil {
		return err
	}
	workloads, err := b.hold(ctx, pods)
	if err != nil {
		return err
	}
	if err := b.release(ctx, pods); err != nil {
		return err
	}
	return b.events(ctx, workloads)
}

// hold makes Deployments, as fast as their pods are made, until all are held. It returns
// how many Deployments there are.
func (b *bench) hold(ctx context.Context, pods *tally) (workloads int, err error) {
	workloads = (b.held + b.each - 1) / b.each
	for i := range workloads {
		if err := b.Push(ctx, b.Image(fmt.Sprint("app-", i))); err != nil {
			return 0, err
		}
	}
	before, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return 0, err
	}
	wanted := 0
	for i := range workloads {
		name, size := fmt.Sprint("app-", i), min(b.each, b.held-i*b.each)
		d := ground.Deployment(b.Name, name, b.Image(name), int32(size))
		d.Spec.Template.Spec = spec(b.Image(name))
		d.Spec.Template.Spec.NodeSelector = map[string]string{cluster.LabelUnrun: cluster.LabelUnrunValue}
		d.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: cluster.LabelUnrun, Operator: corev1.TolerationOpExists}}
		if err := b.Create(ctx, d); err != nil {
			return 0, err
		}
		wanted += size
		// The next one comes while the last few pods of this one do.
		if err := pods.await(ctx, "pods to be held", func(held, _ int) bool { return held >= wanted-size/10 }); err != nil {
			return 0, err
		}
	}
	if err := pods.await(ctx, "all pods to be held", func(held, _ int) bool { return held == b.held }); err != nil {
		return 0, err
	}
	holding, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return 0, err
	}
	b.show("holding", before, holding)
	return workloads, nil
}

// release lets all pods go. The scheduler is given no time meanwhile: what binds and runs
// pods takes many times what it takes to let them go, on the same processors.
func (b *bench) release(ctx context.Context, pods *tally) (err error) {
	thaw, err := b.Cluster.FreezeScheduler(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, thaw()) }()
	before, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	if out := b.Kubectl(ctx, "pace", "resume", "budget/"+b.Name, "--reason", "all are held"); out.Code != 0 {
		return fmt.Errorf("resuming: %s", out)
	}
	if err := pods.await(ctx, "all pods to be let go", func(_, went int) bool { return went == b.held }); err != nil {
		return err
	}
	after, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	b.show("letting_go", before, after)
	took := pods.span()
	rate := float64(b.held) / took.Seconds()
	fmt.Printf("released pods=%d seconds=%.1f per_second=%.0f\n", b.held, took.Seconds(), rate)
	b.atLeast("releases_per_second", rate, leastReleases)
	return nil
}

// events prints how many Events there are of Pace, of pods and of what is no pod.
func (b *bench) events(ctx context.Context, workloads int) error {
	all, err := b.fast.EventsV1().Events(b.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Events: %w", err)
	}
	pods, others := 0, 0
	for _, e := range all.Items {
		switch {
		case e.ReportingController != v1alpha1.FieldManager:
		case e.Regarding.Kind == "Pod":
			pods++
		default:
			others++
		}
	}
	fmt.Printf("events workloads=%d of_pods=%d of_workloads=%d\n", workloads, pods, others)
	b.atMost("events_of_pods", float64(pods), 0)
	return nil
}
