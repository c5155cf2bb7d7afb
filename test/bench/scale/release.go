//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/bench/measure"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
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
	before, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	workloads := (b.held + b.each - 1) / b.each
	for i := range workloads {
		name := fmt.Sprint("app-", i)
		if err := b.Push(ctx, b.Image(name)); err != nil {
			return err
		}
		d := ground.Deployment(b.Name, name, b.Image(name), int32(min(b.each, b.held-i*b.each)))
		d.Spec.Template.Spec = spec(b.Image(name))
		d.Spec.Template.Spec.NodeSelector = map[string]string{cluster.LabelUnrun: cluster.LabelUnrunValue}
		if err := b.Create(ctx, d); err != nil {
			return err
		}
	}
	if _, err := b.AwaitPods(ctx, "", "all pods to be held", func(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) == b.held }); err != nil {
		return err
	}
	holding, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	b.show("holding", before, holding)
	if out := b.Kubectl(ctx, "pace", "resume", "budget/"+b.Name, "--reason", "all are held"); out.Code != 0 {
		return fmt.Errorf("resuming: %s", out)
	}
	pods, err := b.AwaitPods(ctx, "", "all pods to be let go", func(pods []corev1.Pod) bool { return stage.Count(pods, stage.Released) == b.held })
	if err != nil {
		return err
	}
	after, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	b.show("letting_go", holding, after)
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	took := releases[len(releases)-1].At.Sub(releases[0].At)
	fmt.Printf("released pods=%d seconds=%.1f per_second=%.0f\n", len(releases), took.Seconds(), float64(len(releases))/took.Seconds())
	return b.events(ctx, workloads)
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
	return nil
}
