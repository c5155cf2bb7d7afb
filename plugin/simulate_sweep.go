package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/search"
)

type sweepOptions struct {
	s       *session
	out     output
	varied  variation
	paths   []string
	values  []string
	metrics []string
	axes    [][]string
}

func newSweep(s *session) *cobra.Command {
	o := &sweepOptions{s: s}
	cmd := &cobra.Command{
		Use:   "sweep FILE --path PATH --values VALUES [--path PATH --values VALUES]...",
		Short: "Run a scenario with many values of some of its fields",
		Long: "Run a scenario at every point of a grid: for each --path one --values, in the same\n" +
			"order. Values are a list, as 6h,12h, or a range with their number, as\n" +
			"'50..5000 log 20' or '1/s..20/s lin 5'. All points meet the same random draws.\n\n" +
			"Exit codes: 0 done, 1 error, 2 usage or a wrong file, 3 a goal is missed at a point.",
		Example: s.examples("simulate sweep black-friday.yaml --path 'registries[hub].limiters[0].limit' --values '50..5000 log 20'",
			"simulate sweep black-friday.yaml --path 'registries[0].limiters[0].window' --values 1h,6h --path mirrors --values 1,2,3 --policy pace"),
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	o.out.add(cmd.Flags())
	o.varied.add(cmd)
	cmd.Flags().StringArrayVar(&o.paths, "path", nil, "field of the scenario to vary, as registries[hub].limiters[0].limit; a list, as mirrors, takes how many; may be repeated")
	cmd.Flags().StringArrayVar(&o.values, "values", nil, "values of the --path at the same place; may be repeated")
	cmd.Flags().StringSliceVar(&o.metrics, "metric", []string{"throttled", "podReadySeconds.p95", "makespanSeconds", "ratioToBound"}, "figures of the table")
	return cmd
}

func (o *sweepOptions) complete(cmd *cobra.Command) error {
	if err := o.out.validate(); err != nil {
		return err
	}
	if len(o.paths) == 0 || len(o.paths) != len(o.values) {
		return usagef("there are %d --path and %d --values: want one of each, or more in pairs", len(o.paths), len(o.values))
	}
	for _, text := range o.values {
		values, err := search.Values(text)
		if err != nil {
			return usagef("%w", err)
		}
		o.axes = append(o.axes, values)
	}
	for _, name := range o.metrics {
		if _, err := report.MetricOf(name); err != nil {
			return usagef("%w", err)
		}
	}
	return o.varied.validate(cmd)
}

func (o *sweepOptions) run(ctx context.Context, file string) error {
	text, err := o.s.scenarioText(file)
	if err != nil {
		return err
	}
	grid, err := search.Grid(o.axes)
	if err != nil {
		return usagef("%w", err)
	}
	// All points are read before the first is run: a wrong one costs no time.
	all := make([]*scenario.Scenario, len(grid))
	for i, values := range grid {
		if all[i], err = o.varied.apply(text, edits(o.paths, values)...); err != nil {
			return usagef("%s", inFile(file, fmt.Errorf("with %q: %w", values, err)))
		}
	}
	model := view.Sweep{Scenario: all[0].Metadata.Name, Paths: o.paths, Points: []view.SweepPoint{}, Metrics: o.metrics}
	for i, sc := range all {
		r, err := o.s.simulate(ctx, sc)
		if err != nil {
			return err
		}
		model.Seed, model.Replications = r.Seed, r.Replications
		model.Points = append(model.Points, view.SweepPoint{Values: grid[i], Policies: r.Policies, Goals: r.Goals, LogSHA256: r.LogSHA256})
	}
	if err := show(o.s, o.out, model, view.SweepTable); err != nil {
		return err
	}
	if model.Missed() > 0 {
		return verdict(ExitHold)
	}
	return nil
}

func edits(paths, values []string) []scenario.Edit {
	out := make([]scenario.Edit, len(paths))
	for i := range paths {
		out[i] = scenario.Edit{Path: paths[i], Value: values[i]}
	}
	return out
}
