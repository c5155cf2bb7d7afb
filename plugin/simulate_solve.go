package plugin

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/search"
)

type solveOptions struct {
	s      *session
	out    output
	varied variation
	path   string
	within string
	step   float64
	goal   string
	wanted report.Goal
}

func newSolve(s *session) *cobra.Command {
	o := &solveOptions{s: s}
	cmd := &cobra.Command{
		Use:   "solve FILE --path PATH --goal 'METRIC OP VALUE' [--policy NAME]",
		Short: "Find the smallest quota, rate, batch or number of mirrors that meets a goal",
		Long: "Find the smallest value of a field of a scenario with which a goal is met in every\n" +
			"replication, by halving: the goal is taken to be missed below some value and met from\n" +
			"there on. All values meet the same random draws. Some values around the answer are\n" +
			"tried as well; where they show that the goal is not so, that is said.\n\n" +
			"Exit codes: 0 there is an answer, 1 error, 2 usage or a wrong file, 3 no value will do.",
		Example: s.examples("simulate solve black-friday.yaml --path 'registries[hub].limiters[0].limit' --goal 'makespanSeconds <= 20m' --policy pace",
			"simulate solve black-friday.yaml --path 'registries[hub].limiters[0].rate' --within 0.1/s..50/s --goal 'podReadySeconds.p95 <= 20m'"),
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
	cmd.Flags().StringVar(&o.path, "path", "", "field of the scenario to solve for; a list, as mirrors, is solved for how many (required)")
	cmd.Flags().StringVar(&o.goal, "goal", "", "what to meet, as 'makespanSeconds <= 20m' (required)")
	cmd.Flags().StringVar(&o.within, "within", "", "range to look in, as 1..5000 or 0.1/s..50/s; by default from 1 to a thousand times what the scenario has")
	cmd.Flags().Float64Var(&o.step, "step", 0, "the answer is a multiple of it; by default 1, of rates 0.01")
	return cmd
}

func (o *solveOptions) complete(cmd *cobra.Command) (err error) {
	if err := o.out.validate(); err != nil {
		return err
	}
	if o.path == "" || o.goal == "" {
		return usagef("--path and --goal are required; usage: %s", cmd.UseLine())
	}
	if o.wanted, err = search.Goal(o.goal); err != nil {
		return usagef("%w", err)
	}
	if len(o.varied.policies) > 1 {
		return usagef("one --policy is solved for, %d are named", len(o.varied.policies))
	}
	return o.varied.validate(cmd)
}

func (o *solveOptions) run(ctx context.Context, file string) error {
	text, err := o.s.scenarioText(file)
	if err != nil {
		return err
	}
	now, err := scenario.At(text, o.path)
	if err != nil {
		return usagef("%s", inFile(file, err))
	}
	space, err := o.space(now)
	if err != nil {
		return usagef("%w", err)
	}
	sc, err := o.varied.apply(text)
	if err != nil {
		return usagef("%s", inFile(file, err))
	}
	if o.wanted.Policy, err = onlyPolicy(sc); err != nil {
		return err
	}
	model := view.Solution{Scenario: sc.Metadata.Name, Seed: sc.Spec.Seed, Replications: sc.Spec.Replications, Path: o.path, Now: now,
		Policy: o.wanted.Policy, Goal: o.wanted.Sentence(), Metric: o.wanted.Metric}
	model.Solution, err = search.Solve(ctx, space, func(ctx context.Context, value string) (search.Try, error) {
		return o.try(ctx, text, value)
	})
	if err != nil {
		return err
	}
	if err := show(o.s, o.out, model, view.SolutionPage); err != nil {
		return err
	}
	if model.Answer == "" {
		return verdict(ExitHold)
	}
	return nil
}

func (o *solveOptions) space(now string) (search.Space, error) {
	if o.within != "" {
		return search.NewSpace(o.within, o.step)
	}
	return search.Around(now, o.step)
}

// try runs the scenario with one value and its goal alone.
func (o *solveOptions) try(ctx context.Context, text []byte, value string) (search.Try, error) {
	sc, err := o.varied.apply(text, scenario.Edit{Path: o.path, Value: value})
	if err != nil {
		return search.Try{}, usagef("with %s = %s: %w", o.path, value, err)
	}
	sc.Spec.Goals = []scenario.Goal{{Policy: o.wanted.Policy, Metric: o.wanted.Metric, Op: o.wanted.Op, Value: scenario.Value{Number: o.wanted.Value}}}
	r, err := o.s.simulate(ctx, sc)
	if err != nil {
		return search.Try{}, err
	}
	return search.Of(r)
}

// onlyPolicy is the policy that is left of a scenario.
func onlyPolicy(sc *scenario.Scenario) (string, error) {
	var names []string
	for _, p := range sc.Spec.Policies {
		names = append(names, p.Name)
	}
	if len(names) != 1 {
		return "", usagef("name one --policy to solve for: the scenario has %s", strings.Join(names, ", "))
	}
	return names[0], nil
}
