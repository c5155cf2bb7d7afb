package plugin

import (
	"context"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
)

func newResume(s *session) *cobra.Command {
	o := &order{s: s, verb: "resume"}
	cmd := &cobra.Command{
		Use:     "resume TYPE/NAME --reason TEXT",
		Short:   "Take a pause back, or go on although pulls failed",
		Long:    "Take the pause of a Deployment, an Argo Rollout or an account (budget/NAME) back. Where no person paused\nit, but failing pulls did, what failed before does not count any more: pods go as the\nbudget allows, and the next failure counts anew.",
		Example: s.examples(`resume deploy/api -n shop --reason "2.4.2 fixes it"`, `resume budget/hub --reason "the registry is back"`),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			t, err := o.target(args[0], cluster.Deployment, cluster.Rollout, cluster.PullBudget)
			if err != nil {
				return err
			}
			return o.resume(cmd.Context(), t)
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *order) resume(ctx context.Context, t cluster.Target) error {
	g, err := o.start(ctx)
	if err != nil {
		return err
	}
	if err := g.understood(ctx); err != nil {
		return err
	}
	obj, err := g.get(ctx, t)
	if err != nil {
		return err
	}
	failing, err := cluster.PausedByFailures(ctx, g.cluster.Client, obj)
	if err != nil {
		return cluster.Explain(err, o.s.env.program())
	}
	err = g.write(ctx, t, obj, "resumed", func(obj client.Object) bool {
		paused := cluster.ClearOrder(obj, v1alpha1.AnnotationPaused)
		if paused || failing {
			cluster.SetOrder(obj, v1alpha1.AnnotationResumed, g.note())
		}
		return paused || failing
	})
	if err != nil {
		return err
	}
	if d, ok := obj.(*appsv1.Deployment); ok && !o.dry.on() {
		g.forgetPause(ctx, d)
	}
	return g.show()
}

// forgetPause takes the pause off the revisions of a Deployment. Its controller
// copies annotations to them, and `kubectl rollout undo` copies them back.
func (g *giver) forgetPause(ctx context.Context, d *appsv1.Deployment) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return // the API server does not store such a Deployment
	}
	var sets appsv1.ReplicaSetList
	if err := g.cluster.Client.List(ctx, &sets, client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		g.s.notef("resumed; an undo may bring the pause back: %v", cluster.Explain(err, g.s.env.program()))
		return
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		before := set.DeepCopy()
		if !metav1.IsControlledBy(set, d) || !cluster.ClearOrder(set, v1alpha1.AnnotationPaused) {
			continue
		}
		if err := g.client.Patch(ctx, set, client.MergeFrom(before), client.FieldOwner(cluster.FieldManager)); err != nil {
			g.s.notef("resumed; an undo to %s may bring the pause back: %v", set.Name, cluster.Explain(err, g.s.env.program()))
		}
	}
}
