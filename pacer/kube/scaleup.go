package kube

import (
	"slices"
	"sort"
	"strings"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// ToQuoteNodes is what the price of new nodes depends on. Objects are only read.
type ToQuoteNodes struct {
	// Node is what a new node will look like; it has no name yet. What it lists is not
	// asked: it is born with what Present tell. Count is how many come.
	Node  NodeTemplate
	Count int
	// Present are nodes of the same pool that are there: they tell what its nodes are
	// born with.
	Present    []corev1.Node
	DaemonSets []*appsv1.DaemonSet
	// Pods tell what was started on nodes that are present, and what waits for room.
	Pods       []corev1.Pod
	Namespaces []corev1.Namespace
	Rules      *Rules
	Budgets    []v1alpha1.PullBudget
	Now        time.Time
	// Turning says that turns are completed, so that what is free is kept up to date.
	Turning bool
}

// NodesQuote is what new nodes will be charged, and how many of them may come now.
type NodesQuote struct {
	v1alpha1.PodQuote
	// Workloads are what pulls each of Images on a new node, by the same index.
	Workloads [][]string
	// Allowed is how many of the nodes what is free pays for; nil: not known. Binds is
	// the account that allows the fewest, where that is not all.
	Allowed *int
	Binds   core.AccountID
	// Waiting pods are those that no node has room for now and that such a node fits.
	Waiting int
}

// Reasons in a row of a NodesQuote, besides those of a PriceRow.
const (
	WhyBornWith   = "nodes of the pool are born with it"
	WhyMaybeBorn  = "not known whether nodes of the pool are born with it"
	WhyOwnAccount = "each new node is an account of its own"
)

// youngNode is how long a node lists what it was born with, as far as nothing was
// started from it.
const youngNode = 10 * time.Minute

// QuoteNodes prices nodes that are to come: the images of the DaemonSets that will run
// on them and of the pods that wait for them, less what they are born with. The pulls
// of a new node go before those of any pod, and so against all that is free.
func QuoteNodes(in ToQuoteNodes) NodesQuote {
	if in.Rules == nil {
		in.Rules = &Rules{}
	}
	q := nodesQuoting{
		quoting: quoting{
			in:    ToQuote{Budgets: in.Budgets, Class: core.ClassNodeCritical, Now: in.Now, Turning: in.Turning},
			quote: v1alpha1.PodQuote{At: in.Now.UTC().Truncate(time.Second), Nodes: int32(in.Count), Class: core.ClassNodeCritical.String(), Verdict: v1alpha1.QuoteUnknown, Images: []v1alpha1.QuotedImage{}},
		},
		nodes: in, node: in.Node.ready(), born: FleetOf(in.Present, in.Pods),
	}
	q.bundle()
	q.expected()
	for _, w := range q.wants {
		q.price(w)
	}
	q.decide()
	q.allow()
	return NodesQuote{PodQuote: q.quote, Workloads: q.workloads, Allowed: q.allowed, Binds: q.binds, Waiting: q.waiting}
}

// nodesQuoting is a quote of nodes in the making.
type nodesQuoting struct {
	quoting
	nodes     ToQuoteNodes
	node      *corev1.Node // one of them, once it is ready
	born      *Fleet
	wants     []nodeWant
	workloads [][]string
	prices    []nodePrice
	allowed   *int
	binds     core.AccountID
	waiting   int
}

// nodeWant is an image that new nodes will pull.
type nodeWant struct {
	pull Pull
	// account and budget are what a pull to a new node draws on; empty: nothing.
	account   core.AccountID
	budget    string
	workloads []string
	// pods is how many pods want it, where it is not wanted on each node.
	pods     int
	eachNode bool
}

// nodePrice is what an image costs of an account: so much for each node, for so many
// of them at most.
type nodePrice struct {
	account core.AccountID
	each    core.Units
	most    int
}

// bundle are the images of the DaemonSets that will run on a new node.
func (q *nodesQuoting) bundle() {
	in := ToBundle{Node: q.nodes.Node, DaemonSets: q.nodes.DaemonSets, Rules: q.nodes.Rules, NamespaceLabels: q.labelsOf}
	for _, image := range BundleOf(in).Images {
		w := nodeWant{pull: image.Pull, account: image.Account, budget: image.Budget, eachNode: true}
		for _, owner := range image.For {
			w.workloads = append(w.workloads, named(owner))
		}
		q.wants = append(q.wants, w)
	}
}

func named(o Owner) string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// expected are the images of the pods that no node has room for and that a new node
// fits.
func (q *nodesQuoting) expected() {
	for i := range q.nodes.Pods {
		p := &q.nodes.Pods[i]
		if finished(p) || p.DeletionTimestamp != nil || len(p.Spec.SchedulingGates) > 0 || podPhase(p) != engine.PodUnschedulable {
			continue // not there, placed, or held by somebody
		}
		if ref := metav1.GetControllerOf(p); ref != nil && ref.Kind == "DaemonSet" {
			continue
		}
		if c, target := podConstraints(&p.Spec); target != "" || !c.fits(q.node) {
			continue
		}
		q.waiting++
		for _, pull := range Pulls(&p.Spec) {
			w := nodeWant{pull: pull, pods: 1}
			if b, group := drawsOn(q.nodes.Rules.covering(pull.Host, &p.Spec, q.labelsOf(p.Namespace)), q.node); b != nil {
				w.account, w.budget = b.accountID(group), b.name
			}
			q.want(w, named(OwnerOf(p)))
		}
	}
}

// want takes an image in, once however many want it.
func (q *nodesQuoting) want(w nodeWant, of string) {
	i := slices.IndexFunc(q.wants, func(have nodeWant) bool { return have.pull.Image == w.pull.Image })
	if i < 0 {
		i, q.wants = len(q.wants), append(q.wants, w)
	} else {
		q.wants[i].pods += w.pods
		q.wants[i].pull.Always = q.wants[i].pull.Always || w.pull.Always
	}
	if have := &q.wants[i]; !slices.Contains(have.workloads, of) {
		have.workloads = append(have.workloads, of)
	}
}

// price adds the row of an image.
func (q *nodesQuoting) price(w nodeWant) {
	q.workloads = append(q.workloads, w.workloads)
	row := PriceRow{Image: w.pull.Image}
	n := q.nodes.Count
	if !w.eachNode {
		n = min(n, w.pods)
	}
	switch q.birth(w.pull) {
	case bornWith:
		row.Warm, row.Why = n, WhyBornWith
	case bornWithout:
		row.Cold = n
	default:
		row.Unknown, row.Why = n, WhyMaybeBorn
	}
	switch {
	case w.account == "":
		row.Why = WhyNoBudget
	case strings.HasSuffix(string(w.account), "@"+perNodeGroup("")):
		row.Why = WhyOwnAccount
	default:
		row.Account, row.Budget = w.account, w.budget
		q.charge(&row, w, n)
	}
	q.add(row)
	for i := range q.quote.Accounts {
		q.quote.Accounts[i].Waiting = 0 // what waits is pods, and nodes go before them
	}
}

// charge prices the pulls of a row on n nodes at most.
func (q *nodesQuoting) charge(row *PriceRow, w nodeWant, n int) {
	each := learned(q.nodes.Budgets, row.Account, w.pull.Host)
	least := each.Min * core.Units(row.Cold)
	if !w.eachNode {
		least = min(least, each.Min) // they may all go to one of the nodes
	}
	row.Units = plan.Span{Min: least, Max: each.Max * core.Units(row.Cold+row.Unknown)}
	switch {
	case row.Why != "" || row.Units.Exact():
	case w.eachNode:
		row.Why = WhyManifests
	default:
		row.Why = WhyPlacement
	}
	if row.Units.Max > 0 {
		q.prices = append(q.prices, nodePrice{account: row.Account, each: each.Max, most: n})
	}
}

func (q *nodesQuoting) labelsOf(namespace string) map[string]string {
	for i := range q.nodes.Namespaces {
		if q.nodes.Namespaces[i].Name == namespace {
			return q.nodes.Namespaces[i].Labels
		}
	}
	return nil
}

// learned is what one cold pull is charged on an account: what pulls of several
// manifests were found to cost, since the shape of the image is not known, or else one
// unit for each of two manifests at most.
func learned(budgets []v1alpha1.PullBudget, account core.AccountID, host string) plan.Span {
	each := plan.Span{Min: 1, Max: 2}
	status := statusOfAccount(budgets, account)
	if status == nil {
		return each
	}
	for _, c := range status.ChargePerPull {
		if c.Host == host && c.Manifests > 1 && quota.Certain(int(c.Batches), int(c.Samples)) {
			each.Max = max(core.Units(c.Most), 0)
			each.Min = min(each.Min, each.Max)
		}
	}
	return each
}

// ToleratesHold reports whether pods go to a node that we hold, as those do that
// tolerate every taint.
func ToleratesHold(spec *corev1.PodSpec) bool { return toleratesHold(spec) }

// birth is what is known of an image on nodes of the pool that nothing has run on yet.
type birth int

const (
	bornUnknown birth = iota
	bornWith
	bornWithout
)

// birth tells from the nodes that are there: what one of them lacks none is born with,
// and what a young one has that nothing was started from it was born with.
func (q *nodesQuoting) birth(pull Pull) birth {
	listed := unique.Make(pull.Image)
	known := bornUnknown
	for i := range q.nodes.Present {
		n := q.born.nodes[q.nodes.Present[i].Name]
		switch {
		case n == nil || len(n.listed) == 0 || !alike(n.object.Labels, q.nodes.Node.Labels):
		case pull.Always && n.alwaysCosts:
			return bornWithout // it is asked for whether it is there or not
		case !n.has(listed) && !n.truncated:
			return bornWithout
		case n.has(listed) && !slices.ContainsFunc(n.started, func(s startedImage) bool { return s.image == listed }) &&
			q.nodes.Now.Sub(n.object.CreationTimestamp.Time) < youngNode:
			known = bornWith
		}
	}
	return known
}

// alike reports whether nodes of such labels may come from one image: of one platform.
func alike(there, next map[string]string) bool {
	platform := next[corev1.LabelArchStable]
	return platform == "" || there[corev1.LabelArchStable] == "" || there[corev1.LabelArchStable] == platform
}

// allow finds how many nodes what is free pays for.
func (q *nodesQuoting) allow() {
	if !q.in.Turning {
		return
	}
	allowed := q.nodes.Count
	for _, a := range q.quote.Accounts {
		if a.Unlimited || a.Needs.Max == 0 {
			continue
		}
		fits := 0
		if a.Free != nil {
			fits = q.paidBy(core.AccountID(a.Account), core.Units(*a.Free))
		}
		if fits < allowed {
			allowed, q.binds = fits, core.AccountID(a.Account)
		}
	}
	q.allowed = &allowed
}

// paidBy is how many nodes so many units of an account pay for.
func (q *nodesQuoting) paidBy(account core.AccountID, free core.Units) int {
	// The first count that is too many, less one: more nodes never cost less.
	return sort.Search(q.nodes.Count, func(i int) bool {
		var needs core.Units
		for _, p := range q.prices {
			if p.account == account {
				needs += p.each * core.Units(min(i+1, p.most))
			}
		}
		return needs > free
	})
}
