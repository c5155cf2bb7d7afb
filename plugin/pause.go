package plugin

import (
	"context"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
)

func newPause(s *session) *cobra.Command {
	o := &order{s: s, verb: "pause"}
	cmd := &cobra.Command{
		Use:   "pause TYPE/NAME --reason TEXT",
		Short: "Release nothing more of a workload or an account",
		Long: "Release no more pods of a Deployment, no more steps of an Argo Rollout, or of a whole account (budget/NAME), until\n" +
			"`resume`. Pods that were released go on; hold-until still ends every hold.",
		Example: s.examples(`pause deploy/api -n shop --reason "2.4.1 leaks"`, `pause budget/hub --reason "contract ends today"`),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			t, err := o.target(args[0], cluster.Deployment, cluster.Rollout, cluster.PullBudget)
			if err != nil {
				return err
			}
			return o.pause(cmd.Context(), t)
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *order) pause(ctx context.Context, t cluster.Target) error {
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
	err = g.write(ctx, t, obj, "paused", func(obj client.Object) bool {
		cluster.SetOrder(obj, v1alpha1.AnnotationPaused, g.note())
		return true
	})
	if err != nil {
		return err
	}
	return g.show()
}
