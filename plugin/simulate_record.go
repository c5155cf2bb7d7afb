package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/plugin/cluster"
)

type recordOptions struct {
	s         *session
	decisions bool
}

func newRecord(s *session) *cobra.Command {
	o := &recordOptions{s: s}
	cmd := &cobra.Command{
		Use:   "record --decisions > FILE",
		Short: "Write what happens in a cluster into a trace, read-only",
		Long: "Write what the controller was told and what it decided into a trace, from when it\n" +
			"began to lead until now. It reads it from the pod that decides, as `kubectl\n" +
			"port-forward` would, and changes nothing; `simulate replay` decides it all again.\n\n" +
			"A controller keeps a trace only when it is told so: `install --trace 64Mi`. It is in\n" +
			"its memory, never larger than that, and holds names of pods, nodes, images and\n" +
			"workloads, and no secrets.",
		Example: s.examples("simulate record --decisions > decisions.jsonl", "simulate replay decisions.jsonl"),
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.decisions {
				return usagef("say what to record: --decisions; usage: %s", cmd.UseLine())
			}
			return o.trace(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.decisions, "decisions", false, "write what the controller was told and decided")
	return cmd
}

// trace writes what the controller was told and decided.
func (o *recordOptions) trace(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	text, err := c.Trace(ctx)
	if errors.Is(err, cluster.ErrNoTrace) {
		return fmt.Errorf("%w: `%s install --trace 64Mi` has it keep one from its next start on", err, o.s.env.program())
	}
	if err != nil {
		return err
	}
	if _, err := o.s.env.Out.Write(text); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}
