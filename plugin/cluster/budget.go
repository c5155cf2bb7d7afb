package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// Budgets reads every PullBudget, sorted by name.
func Budgets(ctx context.Context, c client.Reader) ([]v1alpha1.PullBudget, error) {
	var list v1alpha1.PullBudgetList
	if err := c.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing pullbudgets: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.PullBudget) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// BudgetRows returns one row for each account of a budget, and one for a budget
// of which nothing was read yet.
func BudgetRows(b *v1alpha1.PullBudget) []view.Budget {
	if len(b.Status.Accounts) == 0 {
		row := budgetRow(b)
		row.Problems = problems(b.Status.Conditions)
		return []view.Budget{row}
	}
	rows := make([]view.Budget, 0, len(b.Status.Accounts))
	for i := range b.Status.Accounts {
		row := budgetRow(b)
		accountRow(&row, &b.Status.Accounts[i])
		if i == 0 {
			row.Problems = problems(b.Status.Conditions)
		}
		rows = append(rows, row)
	}
	return rows
}

func budgetRow(b *v1alpha1.PullBudget) view.Budget {
	row := view.Budget{Name: b.Name, Registry: b.Spec.Registry, Identity: string(cmp.Or(b.Spec.Identity, v1alpha1.Anonymous))}
	row.PausedReason = PausedBy(b)
	declared := b.Spec.Limit != nil && b.Spec.Limit.Source == v1alpha1.Fixed
	row.Mirrors, row.Share = b.Spec.Mirrors, share(b.Spec.Share, declared)
	return row
}

// share says what part of an account is this cluster's; empty: all of it. A limit that
// is declared is not read, and has no remainder.
func share(s *v1alpha1.Share, declared bool) string {
	if s == nil {
		return ""
	}
	var parts []string
	if s.FractionOfRemaining != nil {
		of := " of what remains"
		if declared {
			of = " of the limit"
		}
		parts = append(parts, strconv.FormatFloat(s.FractionOfRemaining.AsApproximateFloat64(), 'g', -1, 64)+of)
	}
	if s.Guard > 0 {
		parts = append(parts, fmt.Sprintf("%d kept back", s.Guard))
	}
	if s.MaxPerWindow > 0 {
		parts = append(parts, fmt.Sprintf("%d a window at most", s.MaxPerWindow))
	}
	return strings.Join(parts, ", ")
}

func accountRow(row *view.Budget, a *v1alpha1.AccountStatus) {
	row.Account, row.SeenAs, row.Grade, row.Unlimited, row.Doubt = a.Account, seenAs(a), a.Grade, a.Unlimited, a.Doubt
	if f := a.Flow; f != nil {
		row.Flow = view.Flow{AskedPerHour: f.AskedPerHour, GivenPerHour: f.GivenPerHour, OverSeconds: int64(f.Over.Seconds())}
		if f.HopelessSince != nil {
			row.Flow.HopelessSince = f.HopelessSince.Time
		}
	}
	if a.Limit > 0 {
		row.Limit, row.Remaining = &a.Limit, &a.Remaining
		row.WindowSeconds = int64(a.Window.Seconds())
		row.Available = map[string]int64{}
		for _, class := range a.Available {
			row.Available[class.Class] = class.Units
		}
	}
	row.Reserved, row.UngatedDemand, row.OthersPerHour = a.Reserved, a.UngatedDemand, a.ForeignPerHour
	row.Held, row.Demand = a.Held, a.Demand
	if a.ProbesChargedSince != nil {
		row.ProbesChargedSince = a.ProbesChargedSince.Time
	}
	if a.SentAt != nil {
		row.ReadAt = a.SentAt.Time
	}
	if a.Forecast != nil {
		row.Forecast = view.Window{From: a.Forecast.From.Time, To: a.Forecast.To.Time}
	}
	if a.Breaker != nil {
		row.Breaker = view.Breaker{State: a.Breaker.State, Cause: a.Breaker.Cause}
		if a.Breaker.Until != nil {
			row.Breaker.Until = a.Breaker.Until.Time
		}
	}
	for _, c := range a.ChargePerPull {
		row.PerPull = append(row.PerPull, view.Charge{
			Host: c.Host, Manifests: c.Manifests, Mean: c.Mean, Samples: c.Samples,
			Most: c.Most, Certain: quota.Certain(int(c.Batches), int(c.Samples)),
		})
	}
	row.Window = usage(a)
	for _, s := range a.Spent {
		row.Spent = append(row.Spent, view.Spent{End: s.End.Time, Units: s.Units})
	}
}

// usage is who spent the window; nil where nothing was counted and nothing was read.
func usage(a *v1alpha1.AccountStatus) *view.Usage {
	if len(a.UsedBy) == 0 && a.SentAt == nil && len(a.Spent) == 0 {
		return nil
	}
	u := &view.Usage{UnderWay: a.Open, Namespaces: []view.NamespaceUse{}}
	if a.SentAt != nil && a.Limit > 0 {
		others := a.ForeignTaken
		u.NotThisCluster, u.Used = &others, others
	}
	at := map[string]int{}
	for _, use := range a.UsedBy {
		u.Used += use.Units
		owner, ok := kube.ParseOwner(use.Workload)
		if !ok {
			u.Unnamed += use.Units
			continue
		}
		i, known := at[owner.Namespace]
		if !known {
			i = len(u.Namespaces)
			at[owner.Namespace], u.Namespaces = i, append(u.Namespaces, view.NamespaceUse{Namespace: owner.Namespace})
		}
		n := &u.Namespaces[i]
		n.Units += use.Units
		n.Workloads = append(n.Workloads, view.WorkloadUse{Workload: owner.Kind + "/" + owner.Name, Units: use.Units})
	}
	slices.SortStableFunc(u.Namespaces, func(a, b view.NamespaceUse) int {
		return cmp.Or(cmp.Compare(b.Units, a.Units), cmp.Compare(a.Namespace, b.Namespace))
	})
	return u
}

// problems returns the conditions that say that something is wrong.
func problems(conditions []metav1.Condition) []view.Condition {
	var list []view.Condition
	for _, c := range conditions {
		if c.Status == metav1.ConditionFalse {
			list = append(list, view.Condition{Type: c.Type, Reason: c.Reason, Message: c.Message})
		}
	}
	return list
}

// Account sums up a row for screens that only need what is free.
func Account(row view.Budget) view.Account {
	a := view.Account{Name: cmp.Or(row.Account, row.Name), ReadAt: row.ReadAt, More: row.Forecast, Unlimited: row.Unlimited}
	if free, ok := row.Available["rollout"]; ok {
		a.Free = &free
	}
	switch {
	case row.PausedReason != "":
		a.Paused = row.PausedReason
	case row.Breaker.State != "ok":
		a.Breaker = row.Breaker
	}
	return a
}

// RefillEvery is how long the most limited account takes to allow one more pull;
// 0 where no limit is known.
func RefillEvery(budgets []v1alpha1.PullBudget) time.Duration {
	var slowest time.Duration
	for _, b := range budgets {
		for _, a := range b.Status.Accounts {
			if a.Limit > 0 && a.Window.Duration > 0 {
				slowest = max(slowest, a.Window.Duration/time.Duration(a.Limit))
			}
		}
	}
	return slowest
}

// LeastFree is what a rollout may spend now on the account that has the least; 0
// where nothing is known.
func LeastFree(budgets []v1alpha1.PullBudget) int64 {
	least, known := int64(0), false
	for i := range budgets {
		for _, row := range BudgetRows(&budgets[i]) {
			free, ok := row.Available["rollout"]
			if ok && (!known || free < least) {
				least, known = free, true
			}
		}
	}
	return max(least, 0)
}

// seenAs is whom the registry meters: several where readings named several.
func seenAs(a *v1alpha1.AccountStatus) string {
	if len(a.Sources) > 0 {
		return strings.Join(a.Sources, ", ")
	}
	return a.Source
}
