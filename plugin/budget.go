package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

type budgetOptions struct {
	s     *session
	out   output
	spent bool
	watch bool
	name  string
}

func newBudget(s *session) *cobra.Command {
	o := &budgetOptions{s: s}
	cmd := &cobra.Command{
		Use:   "budget [NAME]",
		Short: "Show what registries still allow, and when more is expected",
		Long: "Show each account that a registry meters: its limit and what is left by the last\n" +
			"reading, what a rollout may spend now, what others use, and when more is expected.\n" +
			"Without a controller the figures are as old as their reading.",
		Example: s.examples("budget", "budget hub --spent", "budget -o json"),
		Args:    args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			if len(args) == 1 {
				o.name = args[0]
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().BoolVar(&o.spent, "spent", false, "show what was spent when")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again every 5s until interrupted")
	return cmd
}

func (o *budgetOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	render := view.BudgetTable
	if o.spent {
		render = view.BudgetSpent
	}
	return o.s.repeat(ctx, o.watch, func(ctx context.Context) error {
		model, err := readBudgets(ctx, c.Client, o.name)
		if errors.Is(err, errNoCRD) {
			return fmt.Errorf("%w: `%s install --dry-run` shows what that would create. Without it nobody reads a registry's limit; `%s cost TYPE/NAME` prices all the same",
				err, o.s.env.program(), o.s.env.program())
		}
		if err != nil {
			return err
		}
		return show(o.s, o.out, model, render)
	})
}

// errNoCRD says that the cluster does not know PullBudgets.
var errNoCRD = errors.New("pace is not installed: the cluster knows no PullBudget")

// readBudgets reads all budgets, or the one of a name.
func readBudgets(ctx context.Context, c client.Reader, name string) (view.Budgets, error) {
	model := view.Budgets{Items: []view.Budget{}}
	budgets, err := cluster.Budgets(ctx, c)
	if meta.IsNoMatchError(err) {
		return model, errNoCRD
	}
	if err != nil {
		return model, err
	}
	for i := range budgets {
		if name == "" || budgets[i].Name == name {
			model.Items = append(model.Items, cluster.BudgetRows(&budgets[i])...)
		}
	}
	if name != "" && len(model.Items) == 0 {
		return model, fmt.Errorf("there is no PullBudget %q: %d others exist", name, len(budgets))
	}
	model.Controller, err = cluster.ControllerOf(ctx, c)
	return model, err
}

// readAccounts fills the accounts of a status.
func readAccounts(ctx context.Context, c client.Reader, model *view.Status) error {
	budgets, err := cluster.Budgets(ctx, c)
	if err != nil {
		return err
	}
	for i := range budgets {
		rows := cluster.BudgetRows(&budgets[i])
		model.Accounts = append(model.Accounts, rows...)
		for _, row := range rows {
			model.Problems = append(model.Problems, row.Problems...)
		}
	}
	return nil
}
