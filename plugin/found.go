package plugin

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/setup"
	"github.com/pullpace/pace/plugin/view"
)

// What is done with the PullBudgets that an installation proposes.
const (
	budgetsWrite = "write"
	budgetsPrint = "print"
	budgetsNone  = "none"
)

func validBudgets(mode string) error {
	switch mode {
	case budgetsWrite, budgetsPrint, budgetsNone:
		return nil
	}
	return usagef("unknown --budgets %q: want write, print or none", mode)
}

// found looks at the images that run and makes a PullBudget for each registry that has
// none. What may not be looked at is said and left out: Pace is installed all the same.
func (o *installOptions) found(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	if o.budgets == budgetsNone {
		return nil
	}
	census, known, err := look(ctx, c.Client)
	if apierrors.IsForbidden(err) {
		model.Notes = append(model.Notes, fmt.Sprintf("no PullBudget is proposed: %v", cluster.Explain(err, o.s.env.program())))
		return nil
	}
	if err != nil {
		return err
	}
	known.Image = model.Image
	proposals, notes := census.Propose(known)
	model.Notes = append(model.Notes, notes...)
	model.Found = &view.Found{Pods: census.Pods, Registries: census.Registries(), Budgets: []view.FoundBudget{}}
	for _, p := range proposals {
		budget, err := o.propose(ctx, c.Client, p)
		if err != nil {
			return err
		}
		model.Found.Budgets = append(model.Found.Budgets, budget)
	}
	return nil
}

// look lists what a proposal depends on.
func look(ctx context.Context, c client.Reader) (census setup.Census, known setup.Known, err error) {
	if census, err = setup.Count(ctx, c); err != nil {
		return census, known, err
	}
	known.Budgets, err = cluster.Budgets(ctx, c)
	if err != nil && !meta.IsNoMatchError(err) { // a dry run before the first installation
		return census, known, err
	}
	known.Secrets, err = setup.SecretNames(ctx, c)
	return census, known, err
}

// propose makes one PullBudget, or prints it; one that came in between is kept.
func (o *installOptions) propose(ctx context.Context, c client.Client, p setup.Proposal) (view.FoundBudget, error) {
	out := view.FoundBudget{Name: p.Budget.Name, Registry: p.Budget.Spec.Registry, Identity: string(p.Budget.Spec.Identity), Pods: p.Pods, Change: "created"}
	if o.budgets == budgetsPrint || o.dry.on() {
		manifest, err := setup.Manifest(&p.Budget)
		out.Change, out.Manifest = would("created"), manifest
		return out, err
	}
	err := c.Create(ctx, &p.Budget, client.FieldOwner(cluster.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		out.Change, err = "kept", nil
	}
	if err != nil {
		return out, fmt.Errorf("making PullBudget %s: %w; Pace is installed, run the command again", out.Name, err)
	}
	return out, nil
}
