package plugin

import (
	"context"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

type checkScaleUpOptions struct {
	s    *session
	out  output
	up   scaleUp
	pool string
}

func newCheckScaleUp(s *session) *cobra.Command {
	o := &checkScaleUpOptions{s: s}
	cmd := &cobra.Command{
		Use:   "scaleup NODEPOOL --nodes N",
		Short: "Say whether so many nodes could come now",
		Long: "Say whether so many new nodes of a pool could pull what they start with now, and if\n" +
			"not, how many could, when the rest, and which account binds. A pool is a NodePool of\n" +
			"Karpenter, or the nodes that share a label which Karpenter, EKS, GKE, AKS, Cluster\n" +
			"API or kOps set. The answer is one JSON object with the fields of the gate endpoint\n" +
			"of the controller, and nodes, now, binds and pool.\n\n" +
			"Exit codes: 0 allow, 1 error, 2 usage, 3 not all of them now.",
		Example: s.examples("check scaleup general --nodes 40", "check scaleup workers --nodes 10 --pool-label example.com/pool"),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			if err := o.up.validate(cmd); err != nil {
				return err
			}
			if o.pool = args[0]; strings.Contains(o.pool, "/") {
				t, err := cluster.ParseTarget(o.pool)
				if err != nil || t.Kind != cluster.NodePool {
					return usagef("%q is no node pool; usage: %s", o.pool, cmd.UseLine())
				}
				o.pool = t.Name
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().Lookup("output").DefValue = "json"
	o.out.format = "json"
	o.up.add(cmd.Flags())
	return cmd
}

func (o *checkScaleUpOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	cost, err := o.s.priceNodes(ctx, c.Client, o.pool, o.up)
	if err != nil {
		return err
	}
	model := o.decide(cost)
	if err := show(o.s, o.out, model, view.NodesCheckPage); err != nil {
		return err
	}
	if model.Decision == "hold" {
		return verdict(ExitHold)
	}
	return nil
}

// decide turns a price into the answer. What cannot be known is not held, as with a
// rollout.
func (o *checkScaleUpOptions) decide(cost view.NodeCost) view.NodesCheck {
	model := view.NodesCheck{
		Decision: "allow", Reason: cost.Reason, Need: cost.Total(), Free: cost.Least(), Expected: cost.Finish,
		Pool: cost.NodePool, Nodes: cost.Nodes, Now: cost.Now, Binds: cost.Binds, Unknown: cost.Unknown,
	}
	if cost.Verdict != "hold" {
		return model
	}
	model.Decision = "hold"
	if now := o.s.env.Now(); cost.Finish.From.After(now) {
		model.RetryAfterSeconds = int64(math.Ceil(cost.Finish.From.Sub(now).Seconds()))
	}
	return model
}
