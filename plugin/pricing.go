package plugin

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// cutList is how many images a kubelet reports at most, the largest first
// (nodeStatusMaxImages); a node that reports as many may hold further ones.
const cutList = 50

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
	var nodes corev1.NodeList
	if err := c.Client.List(ctx, &nodes); err != nil {
		return cost, fmt.Errorf("listing nodes: %w", err)
	}
	rows, err := budgetRows(ctx, c.Client)
	if err != nil {
		return cost, err
	}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return cost, err
	}
	p := pricing{cost: &cost, rows: rows, nodes: eligible(&d.Spec.Template.Spec, nodes.Items), now: s.env.Now()}
	p.images(&d.Spec.Template.Spec)
	p.verdict(controller)
	p.clocks(d)
	return cost, nil
}

// budgetRows reads the accounts; none where the cluster knows no PullBudget.
func budgetRows(ctx context.Context, c client.Reader) ([]view.Budget, error) {
	budgets, err := cluster.Budgets(ctx, c)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	var rows []view.Budget
	for i := range budgets {
		rows = append(rows, cluster.BudgetRows(&budgets[i])...)
	}
	return rows, err
}

// eligible returns the nodes that the scheduler may choose for a pod.
func eligible(spec *corev1.PodSpec, nodes []corev1.Node) []corev1.Node {
	wanted := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec})
	var fit []corev1.Node
	for _, node := range nodes {
		if ok, err := wanted.Match(&node); err != nil || !ok || node.Spec.Unschedulable {
			continue
		}
		_, repelled := schedcorev1.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, spec.Tolerations, func(t *corev1.Taint) bool {
			return t.Effect != corev1.TaintEffectPreferNoSchedule
		}, false)
		if !repelled {
			fit = append(fit, node)
		}
	}
	return fit
}

// pricing fills a cost.
type pricing struct {
	cost  *view.Cost
	rows  []view.Budget
	nodes []corev1.Node
	now   time.Time
}

// images prices each distinct image of the pods.
func (p *pricing) images(spec *corev1.PodSpec) {
	if len(p.nodes) == 0 {
		p.unknown("where the pods go: no node fits them now")
	}
	seen := map[core.Image]bool{}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		image, host, ok := kube.NormalImage(container.Image)
		if !ok {
			p.unknown("the price of " + container.Image + ": it is not an image reference")
			continue
		}
		if !seen[image] {
			seen[image] = true
			p.image(image, host)
		}
	}
}

func (p *pricing) image(image core.Image, host string) {
	count := plan.NodeCount{}
	for i := range p.nodes {
		switch {
		case lists(&p.nodes[i], image):
			count.Warm++
		case len(p.nodes[i].Status.Images) >= cutList:
			count.Unknown++
		default:
			count.Cold++
		}
	}
	row, account := p.accountOf(host)
	order := plan.Order{Pods: int(p.cost.Pods), PerPull: perPull(row), Nodes: []plan.NodeCount{count}}
	span := plan.Price(order)[0]
	entry := view.Image{
		Image: string(image), ColdNodes: view.Units{Min: int64(count.Cold), Max: int64(count.Cold + count.Unknown)},
		Units: view.Units{Min: int64(span.Min), Max: int64(span.Max)},
	}
	switch {
	case count.Unknown > 0:
		entry.Why = fmt.Sprintf("%d of %d nodes report only %d images", count.Unknown, len(p.nodes), cutList)
	case span.Min != span.Max:
		entry.Why = fmt.Sprintf("%d of %d nodes have it; the scheduler chooses", count.Warm, len(p.nodes))
	}
	if account == nil {
		entry.Why = "no PullBudget for " + host + ": not held"
	} else {
		entry.Account = account.Name
		account.Needs.Min += entry.Units.Min
		account.Needs.Max += entry.Units.Max
	}
	p.cost.Images = append(p.cost.Images, entry)
}

// lists reports whether a node names the image among those it has.
func lists(node *corev1.Node, image core.Image) bool {
	return slices.ContainsFunc(node.Status.Images, func(i corev1.ContainerImage) bool {
		return slices.ContainsFunc(i.Names, func(name string) bool {
			listed, _, ok := kube.NormalImage(name)
			return ok && listed == image
		})
	})
}

// accountOf returns the account of a host, in the price; nil where nothing is
// declared for the host. Where several are, the scarcest is taken and said so.
func (p *pricing) accountOf(host string) (*view.Budget, *view.Account) {
	var rows []*view.Budget
	for i := range p.rows {
		if kube.Host(p.rows[i].Registry) == host {
			rows = append(rows, &p.rows[i])
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	row := slices.MinFunc(rows, func(a, b *view.Budget) int { return cmp.Compare(freeOf(a), freeOf(b)) })
	account := cluster.Account(*row)
	i := slices.IndexFunc(p.cost.Accounts, func(a view.Account) bool { return a.Name == account.Name })
	if i < 0 {
		if len(rows) > 1 {
			p.unknown(fmt.Sprintf("which of %d accounts of %s the pods draw on: the scarcest is shown", len(rows), host))
		}
		p.cost.Accounts = append(p.cost.Accounts, account)
		i = len(p.cost.Accounts) - 1
	}
	return row, &p.cost.Accounts[i]
}

// freeOf is what a rollout may spend; more than anything where nothing is held.
func freeOf(row *view.Budget) int64 {
	if free, ok := row.Available["rollout"]; ok && !row.Unlimited {
		return free
	}
	return math.MaxInt64
}

// perPull is what a pull was found to be charged, rounded outwards; 1 before
// anything was found.
func perPull(row *view.Budget) plan.Span {
	span := plan.Span{Min: 1, Max: 1}
	if row == nil {
		return span
	}
	for i, c := range row.PerPull {
		mean, err := strconv.ParseFloat(c.Mean, 64)
		if err != nil || math.IsNaN(mean) || mean < 0 || mean > 1000 {
			continue
		}
		low, high := core.Units(math.Floor(mean)), core.Units(math.Ceil(mean))
		if i == 0 {
			span = plan.Span{Min: low, Max: high}
		}
		span = plan.Span{Min: min(span.Min, low), Max: max(span.Max, high)}
	}
	return span
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
			p.unknown("what is free of " + a.Name + ": it was not read yet")
		case *a.Free < a.Needs.Max:
			p.cost.Verdict, p.cost.Reason = "hold", string(core.WaitingForBudget)
			p.late(a)
		}
	}
}

// late widens the time at which the last pod may go. Whatever the limiter does, a
// whole window brings the whole limit back.
func (p *pricing) late(a view.Account) {
	i := slices.IndexFunc(p.rows, func(r view.Budget) bool { return cmp.Or(r.Account, r.Name) == a.Name })
	row := p.rows[i]
	if row.Limit == nil || *row.Limit <= 0 || row.WindowSeconds <= 0 {
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
