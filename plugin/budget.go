package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
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
			"Without a controller the figures are as old as their reading; where Pace is not\n" +
			"installed, the registries that images come from are listed and what is not known.",
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
	cmd.Flags().BoolVar(&o.spent, "spent", false, "show who spent the window, and when")
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
		if errors.Is(err, errNoCRD) && o.name == "" {
			unread, err := readRegistries(ctx, c.Client)
			if err != nil {
				return err
			}
			return show(o.s, o.out, unread, view.UnreadTable(o.s.env.program()))
		}
		if errors.Is(err, errNoCRD) {
			return fmt.Errorf("%w: `%s install --dry-run` shows what that would create", err, o.s.env.program())
		}
		if err != nil {
			return err
		}
		o.s.warnOfSkew(model.Controller)
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

// readRegistries tells where the images of pods come from, which is all that can be
// known of registries without Pace.
func readRegistries(ctx context.Context, c client.Reader) (view.Unread, error) {
	model := view.Unread{Registries: []view.UnreadRegistry{}, Unknown: []string{
		"limit and what is left: they are in the registry's answers, which the controller reads",
		"who else draws on them: readings over time show it",
	}}
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return model, fmt.Errorf("listing pods: %w", err)
	}
	type seen struct {
		images, nodes map[string]bool
		pods          int
	}
	byHost := map[string]*seen{}
	for i := range pods.Items {
		spec := &pods.Items[i].Spec
		for host, images := range imagesByHost(spec) {
			if byHost[host] == nil {
				byHost[host] = &seen{images: map[string]bool{}, nodes: map[string]bool{}}
			}
			byHost[host].pods++
			maps.Copy(byHost[host].images, images)
			if spec.NodeName != "" {
				byHost[host].nodes[spec.NodeName] = true
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		s := byHost[host]
		model.Registries = append(model.Registries, view.UnreadRegistry{Registry: host, Images: len(s.images), Pods: s.pods, Nodes: len(s.nodes)})
	}
	return model, nil
}

// imagesByHost are the images of a pod by the registry that they come from.
func imagesByHost(spec *corev1.PodSpec) map[string]map[string]bool {
	hosts := map[string]map[string]bool{}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		image, host, ok := kube.NormalImage(container.Image)
		if !ok {
			continue
		}
		if hosts[host] == nil {
			hosts[host] = map[string]bool{}
		}
		hosts[host][string(image)] = true
	}
	return hosts
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
