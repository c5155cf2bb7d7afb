package plugin

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// helmWait is how long `helm --wait` waits unless told otherwise.
const helmWait = 5 * time.Minute

// priceIfAllowed prices a Deployment; who may not see the nodes gets a price that
// is not known.
func (s *session) priceIfAllowed(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost, err := s.price(ctx, c, d)
	if apierrors.IsForbidden(err) {
		cost.Verdict = "unknown"
		cost.Unknown = append(cost.Unknown, fmt.Sprintf("the price: %v", cluster.Explain(err, s.env.program())))
		return cost, nil
	}
	return cost, err
}

// price says what starting every pod of a Deployment would be charged, by the
// images that nodes list, and whether they would wait.
func (s *session) price(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment) (view.Cost, error) {
	cost := view.Cost{
		Namespace: d.Namespace, Workload: "deploy/" + d.Name, Replicas: cluster.Replicas(d), Pods: cluster.Replicas(d),
		Source: "client", Verdict: "unknown", Images: []view.Image{}, Accounts: []view.Account{},
	}
	for _, container := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
		if _, _, ok := kube.NormalImage(container.Image); !ok {
			return cost, fmt.Errorf("container %s: %q is not an image reference; nothing was changed", container.Name, container.Image)
		}
	}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return cost, err
	}
	budgets, err := cluster.Budgets(ctx, c.Client)
	if err != nil && !meta.IsNoMatchError(err) {
		return cost, err
	}
	p := pricing{cost: &cost, now: s.env.Now()}
	for i := range budgets {
		p.rows = append(p.rows, cluster.BudgetRows(&budgets[i])...)
	}
	in, err := toPrice(ctx, c.Client, d)
	if err != nil {
		return cost, err
	}
	if in.Rules, err = kube.NewRules(budgets, nil); err != nil {
		p.unknown("a budget that cannot be used: " + err.Error())
	}
	in.PerPull = perPull(p.rows, s.manifests(ctx, c, d, controller))
	p.fill(kube.Price(in))
	p.verdict(controller)
	p.clocks(d)
	return cost, nil
}

// toPrice reads what a price depends on. Namespace and pods only sharpen it: who
// may not see them does without.
func toPrice(ctx context.Context, c client.Reader, d *appsv1.Deployment) (kube.ToPrice, error) {
	in := kube.ToPrice{Template: &d.Spec.Template, Replicas: int(cluster.Replicas(d))}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return in, fmt.Errorf("listing nodes: %w", err)
	}
	in.Nodes = nodes.Items
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: d.Namespace}, &ns); err == nil {
		in.Namespace = &ns
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err == nil {
		in.Pods = pods.Items
	}
	return in, nil
}

// pricing fills a cost.
type pricing struct {
	cost *view.Cost
	rows []view.Budget
	now  time.Time
}

// fill takes the prices of images over.
func (p *pricing) fill(prices []kube.PriceRow) {
	if len(prices) == 0 {
		p.unknown("where the pods go: no node fits them now")
	}
	for _, price := range prices {
		units := view.Units{Min: int64(price.Units.Min), Max: int64(price.Units.Max)}
		p.cost.Images = append(p.cost.Images, view.Image{
			Image: string(price.Image), Account: string(price.Account), Units: units, Why: price.Why,
			ColdNodes: view.Units{Min: int64(price.Cold), Max: int64(price.Cold + price.Unknown)},
		})
		if price.Account != "" {
			account := p.account(string(price.Account), price.Budget)
			account.Needs.Min += units.Min
			account.Needs.Max += units.Max
		}
	}
}

// account returns an account of the price, with what is known of it.
func (p *pricing) account(name, budget string) *view.Account {
	i := slices.IndexFunc(p.cost.Accounts, func(a view.Account) bool { return a.Name == name })
	if i >= 0 {
		return &p.cost.Accounts[i]
	}
	account := view.Account{Name: name}
	if row := p.row(name); row != nil {
		account = cluster.Account(*row)
	} else {
		p.unknown("what is free of " + name + ": PullBudget " + budget + " has no reading of it yet")
	}
	p.cost.Accounts = append(p.cost.Accounts, account)
	return &p.cost.Accounts[len(p.cost.Accounts)-1]
}

// row is the books of an account; nil where there are none yet.
func (p *pricing) row(account string) *view.Budget {
	i := slices.IndexFunc(p.rows, func(r view.Budget) bool { return r.Account == account })
	if i < 0 {
		return nil
	}
	return &p.rows[i]
}

// perPull answers what one cold pull is charged on an account: what its headers
// showed pulls of so many manifests to cost, or else one unit for each manifest at
// most. manifests is what the controller knows of images.
func perPull(rows []view.Budget, manifests map[core.Image]int) func(core.Image, core.AccountID) plan.Span {
	return func(image core.Image, account core.AccountID) plan.Span {
		n := manifests[image]
		if n < 1 {
			return plan.Span{}
		}
		for _, row := range rows {
			if row.Account != string(account) {
				continue
			}
			for _, c := range row.PerPull {
				if int(c.Manifests) == n && c.Certain {
					return plan.Span{Min: core.Units(c.Most), Max: core.Units(c.Most)}
				}
			}
		}
		return plan.Span{Min: 1, Max: core.Units(n)}
	}
}

func (p *pricing) unknown(text string) { p.cost.Unknown = append(p.cost.Unknown, text) }

// verdict compares what is needed with what is free.
func (p *pricing) verdict(controller view.Controller) {
	if !controller.Alive(p.now) {
		for i := range p.cost.Accounts {
			p.cost.Accounts[i].Free = nil
		}
		p.unknown("what is free now: no controller reads what the registry allows")
		return
	}
	p.cost.Source = "client, free units by the controller"
	p.cost.Verdict = "allow"
	for _, a := range p.cost.Accounts {
		switch {
		case a.Unlimited || a.Needs.Max == 0:
		case a.Free == nil:
			p.cost.Verdict, p.cost.Reason = "hold", string(core.WaitingForReading)

		case *a.Free < a.Needs.Max:
			p.cost.Verdict, p.cost.Reason = "hold", string(core.WaitingForBudget)
			p.late(a)
		}
	}
}

// late widens the time at which the last pod may go. Whatever the limiter does, a
// whole window brings the whole limit back.
func (p *pricing) late(a view.Account) {
	row := p.row(a.Name)
	if row == nil || row.Limit == nil || *row.Limit <= 0 || row.WindowSeconds <= 0 {
		p.unknown("when " + a.Name + " has more: its limit or window is not known")
		return
	}
	missing := a.Needs.Max - *a.Free
	windows := (missing + *row.Limit - 1) / *row.Limit
	finish := view.Window{From: p.now, To: p.now.Add(time.Duration(windows*row.WindowSeconds) * time.Second)}
	if row.Forecast.From.After(finish.From) && row.Forecast.From.Before(finish.To) {
		finish.From = row.Forecast.From
	}
	if finish.To.After(p.cost.Finish.To) {
		p.cost.Finish = finish
	}
}

// clocks names what gives up before the last pod is let go.
func (p *pricing) clocks(d *appsv1.Deployment) {
	if p.cost.Finish.IsZero() {
		return
	}
	p.clock("helm --wait", helmWait, "its default; set --timeout")
	if seconds := d.Spec.ProgressDeadlineSeconds; seconds != nil {
		p.clock("progressDeadlineSeconds", time.Duration(*seconds)*time.Second, "")
	}
}

func (p *pricing) clock(name string, limit time.Duration, why string) {
	breaks := "unknown"
	switch {
	case !p.cost.Finish.To.After(p.now.Add(limit)):
		breaks = "no"
	case p.cost.Finish.From.After(p.now.Add(limit)):
		breaks = "yes"
	}
	p.cost.Breaks = append(p.cost.Breaks, view.Clock{Name: name, Limit: limit.String(), Breaks: breaks, Why: why})
}
