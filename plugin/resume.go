package plugin

import (
	"context"
	"github.com/pullpace/pace/pacer/api/v1alpha1"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
)

func newResume(s *session) *cobra.Command {
	o := &order{s: s, verb: "resume"}
	cmd := &cobra.Command{
		Use:     "resume TYPE/NAME --reason TEXT",
		Short:   "Take a pause back",
		Long:    "Take the pause of a Deployment or of an account (budget/NAME) back.",
		Example: s.examples(`resume deploy/api -n shop --reason "2.4.2 fixes it"`),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			t, err := o.target(args[0], cluster.Deployment, cluster.PullBudget)
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
	obj, err := g.get(ctx, t)
	if err != nil {
		return err
	}
	err = g.write(ctx, t, obj, "resumed", func(obj client.Object) bool {
		return cluster.ClearOrder(obj, v1alpha1.AnnotationPaused)
	})
	if err != nil {
		return err
	}
	return g.show()
}
