package plugin

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

type checkOptions struct {
	s      *session
	out    output
	target cluster.Target
	images map[string]string
}

func newCheck(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask in a script whether something may go ahead now",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("say what to check; usage: %s rollout TYPE/NAME, or %[1]s scaleup NODEPOOL --nodes N", cmd.CommandPath())
		},
	}
	cmd.AddCommand(newCheckRollout(s), newCheckScaleUp(s))
	return cmd
}

func newCheckRollout(s *session) *cobra.Command {
	o := &checkOptions{s: s}
	var images []string
	cmd := &cobra.Command{
		Use:   "rollout TYPE/NAME [--image CONTAINER=IMAGE]",
		Short: "Say whether every pod of a Deployment or Argo Rollout could start now",
		Long: "Say whether every pod of a Deployment or Argo Rollout could start now. The answer is one JSON object\n" +
			"with the fields of the gate endpoint of the controller.\n\n" +
			"Exit codes: 0 allow, 1 error, 2 usage, 3 it would be held, 4 it is paused.",
		Example: s.examples("check rollout deploy/api -n shop"),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.out.validate(); err != nil {
				return err
			}
			if o.images, err = parseImages(images); err != nil {
				return err
			}
			if o.target, err = cluster.ParseTarget(args[0]); err != nil {
				return &exitError{code: ExitUsage, err: err}
			}
			if err := o.target.Paced(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().Lookup("output").DefValue = "json"
	o.out.format = "json"
	cmd.Flags().StringArrayVar(&images, "image", nil, "CONTAINER=IMAGE to price; may be repeated")
	return cmd
}

func (o *checkOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	d, err := o.s.workload(ctx, c.Client, c.Namespace, o.target)
	if err != nil {
		return err
	}
	changed, err := setImages(d.Deployment, o.images)
	if err != nil {
		return err
	}
	model := view.Check{Namespace: d.Namespace, Workload: o.target.String()}
	if why := cluster.PausedBy(d); why != "" {
		model.Decision, model.Reason, model.Message = "hold", string(core.Paused), why
		if err := show(o.s, o.out, model, view.CheckPage); err != nil {
			return err
		}
		return verdict(ExitPaused)
	}
	cost, err := o.s.price(ctx, c, changed)
	if err != nil {
		return err
	}
	d.noteGate(&cost)
	o.decide(&model, cost)
	if err := show(o.s, o.out, model, view.CheckPage); err != nil {
		return err
	}
	if model.Decision == "hold" {
		return verdict(ExitHold)
	}
	return nil
}

// decide turns a price into the answer. What cannot be known is not held: that is
// how the controller treats it too.
func (o *checkOptions) decide(model *view.Check, cost view.Cost) {
	model.Need, model.Reason = cost.Total(), cost.Reason
	model.Decision, model.Expected = "allow", cost.Finish
	for _, a := range cost.Accounts {
		if a.Free != nil && (model.Free == nil || *a.Free < *model.Free) {
			model.Free = a.Free
		}
	}
	if cost.Verdict != "hold" {
		return
	}
	model.Decision = "hold"
	if now := o.s.env.Now(); cost.Finish.From.After(now) {
		model.RetryAfterSeconds = int64(math.Ceil(cost.Finish.From.Sub(now).Seconds()))
	}
}
