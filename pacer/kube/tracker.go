package kube

import (
	"maps"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/gate"
)

// Tracker turns changes of cluster objects into engine events. Every method that
// takes in a change returns what became known by it, in the order in which it is
// to be observed. Objects are kept and never written to; they may belong to an
// informer's cache. A Tracker is not safe for concurrent use.
type Tracker struct {
	rules      *Rules
	namespaces map[string]*namespace
	nodes      map[core.NodeID]*trackedNode
	pools      map[core.PoolID]*trackedPool
	groups     map[core.GroupID]*trackedGroup
	pods       map[core.PodID]*trackedPod
	workloads  map[Owner]*workload
	jobs       map[Owner]*trackedJob
	sets       map[Owner]*replicaSet
	daemonSets map[string]*appsv1.DaemonSet
	// arrivals are the nodes that are new, bundles the groups of those that pull the
	// same for themselves, untold the nodes that do not say that they were let go.
	arrivals map[core.NodeID]bool
	bundles  map[core.GroupID]*trackedBundle
	untold   map[core.NodeID]bool
	// nodePools and claims are Karpenter's, nodesHoldable says that we may hold nodes.
	nodePools     map[string]NodeTemplate
	claims        map[string]*trackedClaim
	nodesHoldable bool
	// taken is what pods take of each node, roomsDirty says that groups may have other
	// room than was announced, autoscaler that a cluster-autoscaler is there.
	taken                  map[core.NodeID]room
	roomsDirty, autoscaler bool
	// at is when something was last seen whose time was told.
	at time.Time
	// accounts are those announced, budgetOf the PullBudget of each, and egress the egress
	// groups of each PullBudget, sorted. egressDirty says that some came or went and that
	// pods were not told; lists are kept of accounts, by the budgets that are drawn on.
	accounts    map[core.AccountID]engine.Account
	budgetOf    map[core.AccountID]string
	egress      map[string][]string
	egressDirty bool
	lists       map[string]accountList
	// byOwner are the groups of each workload, freed the held pods that must go at
	// once, slipped those that the webhook never saw.
	byOwner map[Owner]map[core.GroupID]bool
	freed   map[core.PodID]core.Reason
	slipped map[core.PodID]slip
	doubts  doubts
	// failing are the pods on each node of which a pull fails, recent what registries
	// throttled lately.
	failing map[core.NodeID]map[core.PodID]bool
	recent  feedback.Recent
	// standIns are the pods that stand for those which a Job is still to make, with
	// the Job, resumed the Jobs that somebody else let go.
	standIns map[core.PodID]Owner
	resumed  map[Owner]bool
	steps    steps
	images   map[core.Image]bool
	// altered are the Deployments with fields that were changed, copies the
	// ReplicaSets with a copy of what is remembered of one.
	altered map[Owner]bool
	copies  map[Owner]*appsv1.ReplicaSet
	// inShadow counts the pods of each namespace that Shadow holds in its books.
	inShadow map[string]int
	fresh    []PacedImage
	out      []engine.Event
}

// trackedNode is a node as last announced.
type trackedNode struct {
	object    *corev1.Node
	facts     *corev1.Node
	announced engine.Node
	// arrival is nil for a node that is not new, wasReady says that it took pods once,
	// rebooted that it was seen with another boot, handedOver that its pods tell all that
	// it pulls; daemons are the pods of DaemonSets that came to it while it was new.
	arrival                        *arrival
	wasReady, rebooted, handedOver bool
	daemons                        map[core.PodID]bool
}

// trackedPool is a pool with the groups that use it.
type trackedPool struct {
	constraints constraints
	groups      int
	nodes       map[core.NodeID]bool
	// growth is what an autoscaler would add to it; nil: nothing.
	growth *engine.Growth
}

// PacedImage is an image that draws on an account, for asking what a pull costs.
type PacedImage struct {
	Image   core.Image
	Account core.AccountID
}

// NewTracker returns a tracker that knows nothing.
func NewTracker() *Tracker {
	return &Tracker{
		rules: &Rules{}, namespaces: map[string]*namespace{}, nodes: map[core.NodeID]*trackedNode{},
		pools: map[core.PoolID]*trackedPool{}, groups: map[core.GroupID]*trackedGroup{},
		pods: map[core.PodID]*trackedPod{}, workloads: map[Owner]*workload{}, sets: map[Owner]*replicaSet{},
		accounts: map[core.AccountID]engine.Account{}, budgetOf: map[core.AccountID]string{},
		egress: map[string][]string{}, lists: map[string]accountList{}, images: map[core.Image]bool{},
		byOwner: map[Owner]map[core.GroupID]bool{}, freed: map[core.PodID]core.Reason{}, failing: map[core.NodeID]map[core.PodID]bool{}, doubts: newDoubts(), slipped: map[core.PodID]slip{},
		jobs: map[Owner]*trackedJob{}, standIns: map[core.PodID]Owner{}, resumed: map[Owner]bool{}, steps: newSteps(),
		altered: map[Owner]bool{}, copies: map[Owner]*appsv1.ReplicaSet{},
		daemonSets: map[string]*appsv1.DaemonSet{}, arrivals: map[core.NodeID]bool{}, bundles: map[core.GroupID]*trackedBundle{},
		untold: map[core.NodeID]bool{}, nodePools: map[string]NodeTemplate{}, claims: map[string]*trackedClaim{}, taken: map[core.NodeID]room{},
	}
}

// take returns what has become known and forgets it.
func (t *Tracker) take() []engine.Event {
	out := t.out
	t.out = nil
	return out
}

func (t *Tracker) emit(ev engine.Event) { t.out = append(t.out, ev) }

// NewImages returns the images of paced accounts that came up since the last call.
func (t *Tracker) NewImages() []PacedImage {
	fresh := t.fresh
	t.fresh = nil
	return fresh
}

// BudgetOf is the name of the PullBudget that declares an account.
func (t *Tracker) BudgetOf(id core.AccountID) string { return t.budgetOf[id] }

// BudgetsOf names the PullBudgets that pods of a namespace draw on.
func (t *Tracker) BudgetsOf(namespace string, spec *corev1.PodSpec) []string {
	var names []string
	for _, b := range t.rules.Budgeted(spec, t.namespace(namespace).labels) {
		names = append(names, b.Budget)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// EgressOf is the egress group of an account; empty: every node's.
func (t *Tracker) EgressOf(id core.AccountID) string { return t.accounts[id].Egress }

// Accounts are the accounts that a PullBudget declares, sorted.
func (t *Tracker) Accounts(budget string) []core.AccountID {
	var ids []core.AccountID
	for _, id := range slices.Sorted(maps.Keys(t.budgetOf)) {
		if t.budgetOf[id] == budget {
			ids = append(ids, id)
		}
	}
	return ids
}

// Node takes in a node. now is when it was seen.
func (t *Tracker) Node(now time.Time, n *corev1.Node) []engine.Event {
	id := core.NodeID(n.Name)
	known := t.nodes[id]
	if known == nil {
		known = &trackedNode{}
		t.nodes[id] = known
	}
	last := known.object
	back := last != nil && notReady(last) && !notReady(n)
	known.object = n
	known.noteBoot(last)
	if last == nil || !maps.Equal(last.Labels, n.Labels) {
		t.ownAccounts(n.Name, n)
	}
	t.announceNode(known)
	if last == nil || !sameRoom(last, n) {
		t.roomsChanged()
	}
	if facts := nodeFacts(n); known.facts == nil || !reflect.DeepEqual(known.facts, facts) {
		known.facts = facts
		t.refit(id, facts)
	}
	if back {
		t.tellOf(now, id)
	}
	t.at = now
	t.noteTold(n)
	t.arrive(now, known)
	t.meetClaim(n)
	return t.take()
}

// Hostnames are the values of the hostname label of nodes, which is what affinity
// can name; at most one term's worth.
func (t *Tracker) Hostnames(nodes []core.NodeID) []string {
	var names []string
	for _, id := range nodes {
		if len(names) == gate.MaxHostnames {
			break
		}
		if n := t.nodes[id]; n != nil && n.facts.Labels[corev1.LabelHostname] != "" {
			names = append(names, n.facts.Labels[corev1.LabelHostname])
		}
	}
	return names
}

func (t *Tracker) announceNode(known *trackedNode) {
	next := node(known.object, nodeEgress(t.rules.budgets, known.object))
	if reflect.DeepEqual(known.announced, next) {
		return
	}
	known.announced = next
	t.emit(engine.Event{Node: &next})
}

// refit looks at one node again for every pool; nil facts: the node is gone.
func (t *Tracker) refit(id core.NodeID, facts *corev1.Node) {
	for _, poolID := range slices.Sorted(maps.Keys(t.pools)) {
		p := t.pools[poolID]
		fits := facts != nil && p.constraints.fits(facts)
		if fits == p.nodes[id] {
			continue
		}
		empty := len(p.nodes) == 0
		if fits {
			p.nodes[id] = true
		} else {
			delete(p.nodes, id)
		}
		if empty != (len(p.nodes) == 0) {
			t.regrow(p)
		}
		t.announcePool(poolID, p)
	}
}

func (t *Tracker) announcePool(id core.PoolID, p *trackedPool) {
	t.emit(engine.Event{Pool: &engine.Pool{ID: id, Nodes: slices.Sorted(maps.Keys(p.nodes)), Growth: p.growth}})
}

// NodeGone takes in the end of a node.
func (t *Tracker) NodeGone(name string) []engine.Event {
	id := core.NodeID(name)
	if t.nodes[id] == nil {
		return nil
	}
	t.leaveArrival(t.nodes[id])
	delete(t.nodes, id)
	delete(t.untold, id)
	t.roomsChanged()
	t.refit(id, nil)
	t.emit(engine.Event{NodeGone: id})
	t.ownAccounts(name, nil)
	return t.take()
}

// usePool counts a group in; the pool is announced when it is new.
func (t *Tracker) usePool(c constraints) core.PoolID {
	id := c.id()
	p := t.pools[id]
	if p == nil {
		p = &trackedPool{constraints: c, nodes: map[core.NodeID]bool{}}
		for nodeID, n := range t.nodes {
			if c.fits(n.facts) {
				p.nodes[nodeID] = true
			}
		}
		for name, claim := range t.claims {
			if claim.facts != nil && c.fits(claim.facts) {
				p.nodes[claimNode(name)] = true
			}
		}
		p.growth = t.growthOf(p)
		t.roomsChanged()
		t.pools[id] = p
		t.announcePool(id, p)
	}
	p.groups++
	return id
}

// leavePool counts a group out; a pool that no group uses is gone.
func (t *Tracker) leavePool(id core.PoolID) {
	p := t.pools[id]
	if p == nil {
		return
	}
	if p.groups--; p.groups == 0 {
		delete(t.pools, id)
		t.emit(engine.Event{PoolGone: id})
	}
}

// Rules takes in all PullBudgets and PacePolicies. Every node and pod is looked at again
// if something else may be chosen for one: that changes seldom, and takes half a second
// with 50,000 pods (BenchmarkRules).
func (t *Tracker) Rules(r *Rules) []engine.Event {
	same := r.choosesAs(t.rules)
	t.rules = r
	t.announceAccounts()
	if same {
		return t.take()
	}
	for _, id := range slices.Sorted(maps.Keys(t.nodes)) {
		t.announceNode(t.nodes[id])
	}
	t.translateAll()
	t.bundlesChanged(t.at)
	return t.take()
}

// translateAll looks at every pod again.
func (t *Tracker) translateAll() {
	t.egressDirty = false
	for _, id := range slices.Sorted(maps.Keys(t.pods)) {
		t.translate(t.pods[id])
	}
}
