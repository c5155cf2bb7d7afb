package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/docs"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/setup"
	"github.com/pullpace/pace/plugin/view"
)

// rounds is how often the cluster is searched and cleaned before what is left is
// reported: objects may change between search and write.
const rounds = 5

type uninstallOptions struct {
	s       *session
	out     output
	dry     dryRun
	crds    bool
	now     bool
	keep    bool
	print   bool
	timeout time.Duration
}

func newUninstall(s *session) *cobra.Command {
	o := &uninstallOptions{s: s}
	cmd := &cobra.Command{
		Use:   "uninstall [--dry-run] [--crds] [--now] [--print]",
		Short: "Take Pace out of the cluster and leave nothing behind",
		Long: "Take Pace out of the cluster: the webhook first, then the controller lets what is\n" +
			"held go as units are free (--now: all at once; without a running controller: at the\n" +
			"rate at which registries refill), notes and taints are taken off, and everything\n" +
			"that `install` made is deleted. CRDs and their objects stay unless --crds is given.\n" +
			"It may be run again.\n\n" +
			"It changes nothing and ends with 3 while something starts new nodes with Pace's\n" +
			"taint or waits for what Pace says of them, or a Rollout of Argo's asks Pace before\n" +
			"its steps, and prints the edits in a safe order. Where it is the taint alone,\n" +
			"--keep-failsafe takes all away but the failsafe, which frees such nodes.\n\n" +
			"Exit codes: 0 done, 1 error or something is left, 2 usage, 3 it must not go yet.",
		Example: s.examples("uninstall --dry-run", "uninstall", "uninstall --now --crds", "uninstall --print"),
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			if err := o.dry.validate(); err != nil {
				return err
			}
			if o.print {
				_, err := io.WriteString(s.env.Out, docs.Removal())
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	o.out.add(flags)
	o.dry.add(flags)
	flags.BoolVar(&o.crds, "crds", false, "delete the CRDs too, and with them every PullBudget and PacePolicy")
	flags.BoolVar(&o.now, "now", false, "let everything go at once; expect pulls to be refused")
	flags.BoolVar(&o.keep, "keep-failsafe", false, "leave the failsafe, which frees new nodes that come with the taint")
	flags.BoolVar(&o.print, "print", false, "print how to do it with kubectl alone, and change nothing")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "how long to let pods go one by one before the rest is let go at once")
	return cmd
}

func (o *uninstallOptions) run(ctx context.Context) error {
	objects, err := setup.Render(source(), setup.Override{NodeWaves: true})
	if err != nil {
		return err
	}
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	extras, err := setup.Extras(ctx, c.Client, objects)
	if err != nil {
		return err
	}
	objects = append(objects, extras...)
	model := view.Uninstall{DryRun: o.dry.on(), Deleted: []view.Applied{}}
	if model.Blockers, err = setup.Blocked(ctx, c); err != nil {
		return err
	}
	if o.keep {
		if objects, err = o.keepFailsafe(ctx, c.Client, objects, &model); err != nil {
			return err
		}
	}
	if len(model.Blocked) > 0 {
		if err := show(o.s, o.out, model, view.UninstallPage); err != nil {
			return err
		}
		return verdict(ExitHold)
	}
	if err := o.kept(ctx, c.Client, &model); err != nil {
		return err
	}
	if o.dry.on() {
		return o.preview(ctx, c.Client, objects, model)
	}
	if err := o.remove(ctx, c.Client, objects, &model); err != nil {
		return fmt.Errorf("%w; run the command again to go on", err)
	}
	if err := show(o.s, o.out, model, view.UninstallPage); err != nil {
		return err
	}
	if model.Left.Total() > 0 {
		return verdict(ExitError)
	}
	return nil
}

// keepFailsafe takes the failsafe out of what goes, and what it answers for out of what
// keeps Pace from going.
func (o *uninstallOptions) keepFailsafe(ctx context.Context, c client.Client, objects []*unstructured.Unstructured, model *view.Uninstall) ([]*unstructured.Unstructured, error) {
	failsafe, err := cluster.FailsafeOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if !failsafe.Alive(o.s.env.Now()) {
		return nil, fmt.Errorf("no failsafe works that could stay: look at the pods in %s (`%s status`); nothing was changed", v1alpha1.Namespace, o.s.env.program())
	}
	if model.FailsafeFrees {
		model.Blockers = view.Blockers{Unknown: model.Unknown}
	}
	model.Kept.Failsafe = v1alpha1.Namespace
	return setup.WithoutFailsafe(objects), nil
}

// preview says what would be done.
func (o *uninstallOptions) preview(ctx context.Context, c client.Client, objects []*unstructured.Unstructured, model view.Uninstall) error {
	found, err := setup.Search(ctx, c)
	if err != nil {
		return err
	}
	model.Released, model.Untainted, model.Restored = found.Left.Gates, found.Left.Taints, found.Left.Pauses
	model.Stripped, model.Searched = len(found.Marked), found.Searched
	for _, obj := range objects {
		if setup.StageOf(obj) == setup.StageCRD && !o.crds {
			continue
		}
		there, err := setup.Exists(ctx, c, obj)
		if err != nil {
			return err
		}
		if there {
			model.Deleted = append(model.Deleted, view.Applied{Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(), Change: "would delete"})
		}
	}
	return show(o.s, o.out, model, view.UninstallPage)
}

// remove takes everything out, in the order that never holds anything anew.
func (o *uninstallOptions) remove(ctx context.Context, c client.Client, objects []*unstructured.Unstructured, model *view.Uninstall) error {
	budgets, err := cluster.Budgets(ctx, c)
	if err != nil && !meta.IsNoMatchError(err) {
		return err
	}
	deadline := o.s.env.Now().Add(o.timeout)
	for _, stage := range []setup.Stage{setup.StageWebhook, setup.StageController} {
		deleted, err := setup.Delete(ctx, c, objects, stage)
		model.Deleted = append(model.Deleted, deleted...)
		if err != nil {
			return err
		}
		if stage != setup.StageWebhook {
			continue
		}
		if err := o.handOver(ctx, c, deadline, model); err != nil {
			return err
		}
	}
	own := client.MatchingLabels{"app.kubernetes.io/name": cluster.ControllerName}
	if err := setup.Stopped(ctx, c, client.InNamespace(v1alpha1.Namespace), own); err != nil {
		return err
	}
	if err := o.drip(ctx, c, budgets, deadline, model); err != nil {
		return err
	}
	if err := o.sweep(ctx, c, model); err != nil {
		return err
	}
	if model.Resumed, err = setup.ResumeDisruption(ctx, c); err != nil {
		return err
	}
	last := []setup.Stage{setup.StageRest}
	if o.crds {
		last = append(last, setup.StageCRD)
	}
	for _, stage := range last {
		deleted, err := setup.Delete(ctx, c, objects, stage)
		model.Deleted = append(model.Deleted, deleted...)
		if err != nil {
			return err
		}
	}
	return setup.Remains(ctx, c, objects, &model.Left)
}

// sweep searches and cleans until nothing is found.
func (o *uninstallOptions) sweep(ctx context.Context, c client.Client, model *view.Uninstall) error {
	for range rounds {
		found, err := setup.Search(ctx, c)
		if err != nil {
			return err
		}
		model.Left, model.Searched = found.Left, found.Searched
		if len(found.Marked) == 0 {
			return nil
		}
		if err := setup.Sweep(ctx, c, found.Marked, model); err != nil {
			return err
		}
	}
	return nil
}

// drip lets go from here what is held still, one by one at the rate of the refill, as
// many as are free at once, and stops at the first 429.
func (o *uninstallOptions) drip(ctx context.Context, c client.Client, budgets []v1alpha1.PullBudget, deadline time.Time, model *view.Uninstall) error {
	every := cluster.RefillEvery(budgets)
	if o.now || every == 0 {
		return nil
	}
	held, err := cluster.HeldPods(ctx, c, "")
	if err != nil {
		return err
	}
	if len(held) == 0 {
		return nil
	}
	d := setup.Drip{Client: c, Free: cluster.LeastFree(budgets)}
	tick, stop := o.s.env.Tick(every)
	defer stop()
	o.s.notef("letting %d pods go: %d now, then one per %s; --now lets all go at once", len(held), min(d.Free, int64(len(held))), every)
	for {
		left, err := d.Step(ctx, model)
		if err != nil || left == 0 {
			return err
		}
		if o.s.env.Now().After(deadline) {
			o.s.notef("%d pods are still held after --timeout %s: they are let go at once", left, o.timeout)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
	}
}

// kept counts what stays.
func (o *uninstallOptions) kept(ctx context.Context, c client.Client, model *view.Uninstall) error {
	if o.crds {
		return nil
	}
	budgets, err := cluster.Budgets(ctx, c)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var policies v1alpha1.PacePolicyList
	if err := c.List(ctx, &policies); err != nil {
		return fmt.Errorf("listing pacepolicies: %w", err)
	}
	model.Kept.CRDs, model.Kept.Budgets, model.Kept.Policies = 2, len(budgets), len(policies.Items)
	return nil
}
