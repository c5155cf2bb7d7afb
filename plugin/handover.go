package plugin

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// handOver leaves what is held to the controller for as long as it works: it alone
// reads the accounts, and lets pods go as units are really free. The webhook is off,
// so that nothing new comes. It returns when nothing is held that time would free,
// when the controller works no more, or at the deadline.
func (o *uninstallOptions) handOver(ctx context.Context, c client.Client, deadline time.Time, model *view.Uninstall) error {
	held, err := o.waiting(ctx, c)
	if err != nil || held == 0 || o.now {
		return err
	}
	if working, err := o.served(ctx, c); err != nil || !working {
		return err
	}
	if err := unpause(ctx, c, model); err != nil {
		return err
	}
	o.s.notef("leaving %d held pods to the controller, which lets them go as units are free; --now lets all go at once", held)
	tick, stop := o.s.env.Tick(handOverEvery)
	defer stop()
	for {
		left, err := o.waiting(ctx, c)
		if err != nil {
			return err
		}
		model.Released += max(held-left, 0)
		held = left
		working, err := o.served(ctx, c)
		switch {
		case err != nil || left == 0:
			return err
		case !working:
			o.s.notef("the controller works no more: %d pods are let go from here", left)
			return nil
		case o.s.env.Now().After(deadline):
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
	}
}

// handOverEvery is how often it is looked how far the controller is.
const handOverEvery = 2 * time.Second

// served reports whether the controller completes turns.
func (o *uninstallOptions) served(ctx context.Context, c client.Reader) (bool, error) {
	known, err := cluster.ControllerOf(ctx, c)
	return err == nil && known.Alive(o.s.env.Now()), err
}

// waiting counts held pods and suspended Jobs that the controller will let go. Those
// that another owner holds too, whose release is refused or whose image cannot be
// pulled are not its to free.
func (o *uninstallOptions) waiting(ctx context.Context, c client.Reader) (int, error) {
	pods, err := cluster.HeldPods(ctx, c, "")
	if err != nil {
		return 0, err
	}
	stuck := []string{string(core.ForeignGate), string(core.ReleaseRefused), string(core.ImageFailing)}
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return gate.ForeignGate(&p) || slices.Contains(stuck, cluster.HoldOf(&p).Reason)
	})
	var jobs batchv1.JobList
	if err := c.List(ctx, &jobs, client.HasLabels{v1alpha1.LabelHeld}); err != nil {
		return 0, fmt.Errorf("listing held jobs: %w", err)
	}
	return len(pods) + len(jobs.Items), nil
}

// unpause takes back what people paused: all of it is to go.
func unpause(ctx context.Context, c client.Client, model *view.Uninstall) error {
	for _, list := range []client.ObjectList{&appsv1.DeploymentList{}, &batchv1.JobList{}, &v1alpha1.PullBudgetList{}} {
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("looking for what is paused: %w", err)
		}
		for _, obj := range pausable(list) {
			before := obj.DeepCopyObject().(client.Object)
			if !cluster.ClearOrder(obj, v1alpha1.AnnotationPaused) {
				continue
			}
			err := cluster.PatchLocked(ctx, c, before, obj)
			switch {
			case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
				continue // gone, or left to the search at the end
			case err != nil:
				return fmt.Errorf("resuming %s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
			}
			model.Stripped++
		}
	}
	return nil
}

// pausable are the objects of a list.
func pausable(list client.ObjectList) (out []client.Object) {
	_ = meta.EachListItem(list, func(o runtime.Object) error { // fails for what is no list
		out = append(out, o.(client.Object))
		return nil
	})
	return out
}
