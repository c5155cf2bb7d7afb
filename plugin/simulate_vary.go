package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/scenario"
)

// variation is what a command line changes in scenarios before they run.
type variation struct {
	policies     []string
	seed         uint64
	replications int
	seeded       bool
	replicated   bool
}

func (v *variation) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&v.policies, "policy", nil, "run only these policies of the scenario")
	cmd.Flags().Uint64Var(&v.seed, "seed", 0, "seed instead of the scenario's")
	cmd.Flags().IntVar(&v.replications, "replications", 0, "runs of each policy instead of the scenario's")
}

func (v *variation) validate(cmd *cobra.Command) error {
	v.seeded, v.replicated = cmd.Flags().Changed("seed"), cmd.Flags().Changed("replications")
	if v.replicated && v.replications < 1 {
		return usagef("--replications is %d: want 1 or more", v.replications)
	}
	return nil
}

// apply reads a scenario with edits and what the command line changes.
func (v *variation) apply(text []byte, edits ...scenario.Edit) (*scenario.Scenario, error) {
	if v.seeded {
		edits = append(edits, scenario.Edit{Path: "seed", Value: fmt.Sprint(v.seed)})
	}
	if v.replicated {
		edits = append(edits, scenario.Edit{Path: "replications", Value: fmt.Sprint(v.replications)})
	}
	sc, err := scenario.With(text, edits...)
	if err != nil {
		return nil, err
	}
	if len(v.policies) > 0 {
		if err := v.choose(sc); err != nil {
			return nil, err
		}
	}
	return sc, simulate.Check(sc)
}

// choose leaves the policies that are wanted and the goals that are theirs.
func (v *variation) choose(sc *scenario.Scenario) error {
	var names []string
	for _, p := range sc.Spec.Policies {
		names = append(names, p.Name)
	}
	for _, want := range v.policies {
		if !slices.Contains(names, want) {
			return fmt.Errorf("there is no policy %q: the scenario has %s", want, strings.Join(names, ", "))
		}
	}
	sc.Spec.Policies = slices.DeleteFunc(sc.Spec.Policies, func(p scenario.Policy) bool { return !slices.Contains(v.policies, p.Name) })
	sc.Spec.Goals = slices.DeleteFunc(sc.Spec.Goals, func(g scenario.Goal) bool { return !slices.Contains(v.policies, g.Policy) })
	return nil
}
