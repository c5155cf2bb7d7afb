package kube

import (
	"maps"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// trackedBundle is a group of new nodes that pull the same.
type trackedBundle struct {
	announced engine.Group
	nodes     map[core.NodeID]bool
	// coming are the NodeClaims of such nodes.
	coming map[string]bool
}

// ownBundle is what a new node pulls for itself, as far as somebody counts it.
type ownBundle struct {
	uses []engine.ImageUse
	pool string
	// sets are the DaemonSets that run there, sorted.
	sets []Owner
}

func (b ownBundle) paced() bool { return len(b.uses) > 0 }

// within reports whether all of it is among the images.
func (b ownBundle) within(have map[core.Image]bool) bool {
	return !slices.ContainsFunc(b.uses, func(u engine.ImageUse) bool { return !have[u.Image] })
}

// among are its images that are among those, sorted.
func (b ownBundle) among(have map[core.Image]bool) []core.Image {
	var out []core.Image
	for _, u := range b.uses {
		if have[u.Image] {
			out = append(out, u.Image)
		}
	}
	slices.Sort(out)
	return out
}

// DaemonSet takes in a DaemonSet.
func (t *Tracker) DaemonSet(now time.Time, d *appsv1.DaemonSet) []engine.Event {
	id := d.Namespace + "/" + d.Name
	known := t.daemonSets[id]
	t.daemonSets[id] = d
	if known == nil || known.UID != d.UID || known.DeletionTimestamp != d.DeletionTimestamp || !reflect.DeepEqual(known.Spec.Template.Spec, d.Spec.Template.Spec) {
		t.bundlesChanged(now)
	}
	return t.take()
}

// DaemonSetGone takes in the end of a DaemonSet.
func (t *Tracker) DaemonSetGone(now time.Time, namespace, name string) []engine.Event {
	delete(t.daemonSets, namespace+"/"+name)
	t.bundlesChanged(now)
	return t.take()
}

// bundlesChanged looks again at what new nodes pull for themselves.
func (t *Tracker) bundlesChanged(now time.Time) {
	t.roomsChanged()
	t.arriveAll(now)
	t.claimAll()
	t.growAll()
}

// NodePool takes in a NodePool of Karpenter's.
func (t *Tracker) NodePool(now time.Time, u *unstructured.Unstructured) []engine.Event {
	t.at = now
	template, err := NodePoolTemplate(u)
	if err != nil {
		return t.NodePoolGone(now, u.GetName()) // as one that is not there: its nodes are not held
	}
	if known, ok := t.nodePools[u.GetName()]; ok && reflect.DeepEqual(known, template) {
		return nil // its status changes with each node
	}
	t.nodePools[u.GetName()] = template
	t.bundlesChanged(now)
	return t.take()
}

// NodePoolGone takes in the end of a NodePool.
func (t *Tracker) NodePoolGone(now time.Time, name string) []engine.Event {
	delete(t.nodePools, name)
	t.bundlesChanged(now)
	return t.take()
}

// PausesDisruption reports whether a policy wants no node replaced while units are
// short.
func (t *Tracker) PausesDisruption() bool {
	return slices.ContainsFunc(t.rules.policies, func(p *policy) bool {
		return p.spec.Mode == v1alpha1.Enforce && p.spec.Nodes.PauseDisruption
	})
}

// NodePoolAccounts are the accounts that nodes of a NodePool draw on for themselves.
func (t *Tracker) NodePoolAccounts(name string) []core.AccountID {
	template, known := t.nodePools[name]
	if !known {
		return nil
	}
	var out []core.AccountID
	for _, use := range t.bundleOf(template).uses {
		out = append(out, use.Accounts...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Undeclared names the NodePools that do not declare our taint, sorted: their nodes
// are never held.
func (t *Tracker) Undeclared() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.nodePools)) {
		if !t.nodePools[name].DeclaresHold() {
			names = append(names, name)
		}
	}
	return names
}

// bundleFor is what a node pulls for itself.
func (t *Tracker) bundleFor(n *corev1.Node) ownBundle {
	b := t.bundleOf(TemplateOfNode(n))
	b.pool = poolName(n.Labels)
	return b
}

// bundleOf is what such a node pulls for itself, with the accounts of its DaemonSets'
// pods, so that their pulls are the same pulls.
func (t *Tracker) bundleOf(template NodeTemplate) ownBundle {
	sets := make([]*appsv1.DaemonSet, 0, len(t.daemonSets))
	for _, set := range t.daemonSets {
		sets = append(sets, t.withSecrets(set))
	}
	bundle := BundleOf(ToBundle{Node: template, DaemonSets: sets, Rules: t.rules,
		NamespaceLabels: func(name string) map[string]string {
			if ns := t.namespaces[name]; ns != nil {
				return ns.labels
			}
			return nil
		},
		accounts: func(host string, spec *corev1.PodSpec, labels map[string]string) []core.AccountID {
			return candidates(t.rules.budgets, t.egress, host, spec, labels)
		}})
	b := ownBundle{sets: bundle.DaemonSets}
	for _, image := range bundle.Images {
		if len(image.Accounts) > 0 {
			b.uses = append(b.uses, engine.ImageUse{Image: image.Image, Accounts: image.Accounts, Always: image.Always})
		}
	}
	return b
}

// withSecrets is a DaemonSet with the pull secrets that admission gives to its pods by
// their ServiceAccount, as a pod of it shows them.
func (t *Tracker) withSecrets(set *appsv1.DaemonSet) *appsv1.DaemonSet {
	if len(set.Spec.Template.Spec.ImagePullSecrets) > 0 {
		return set
	}
	for group := range t.byOwner[Owner{Kind: daemonKind, Namespace: set.Namespace, Name: set.Name}] {
		for id := range t.groups[group].pods {
			secrets := t.pods[id].object.Spec.ImagePullSecrets
			if len(secrets) == 0 {
				return set
			}
			shown := *set
			shown.Spec.Template.Spec.ImagePullSecrets = secrets
			return &shown
		}
	}
	return set
}

// daemonKind is the kind of DaemonSets in an Owner.
const daemonKind = "DaemonSet"

// poolName is how people call the pool of a node, by the label of who made it.
func poolName(labels map[string]string) string {
	for _, key := range []string{LabelNodePool, "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool", "kubernetes.azure.com/agentpool", "node.cluster.x-k8s.io/nodepool"} {
		if name := labels[key]; name != "" {
			return name
		}
	}
	return "nodes"
}

// bundleGroup is the group of nodes that pull the same.
func (t *Tracker) bundleGroup(b ownBundle) engine.Group {
	g := engine.Group{
		Workload: Owner{Kind: "Node", Name: b.pool}.String(), Revision: digest(b.uses),
		Class: core.ClassNodeCritical, Images: b.uses, Pinned: true,
	}
	if p := t.nodePolicy(); p != nil {
		g.Waves = p.spec.EngineNodeWaves()
	}
	g.ID = core.GroupID("nodes/" + digest(g))
	g.Pool = core.PoolID(g.ID)
	return g
}

// joinBundle puts a new node into the group of those that pull the same.
func (t *Tracker) joinBundle(n *trackedNode, b ownBundle) {
	g := t.bundleGroup(b)
	if n.arrival.group == g.ID {
		return
	}
	t.leaveBundle(n)
	known := t.useBundle(g)
	n.arrival.group = g.ID
	known.nodes[core.NodeID(n.object.Name)] = true
	t.announceBundlePool(g.ID)
}

// useBundle is the group of that name, announced if it is new.
func (t *Tracker) useBundle(g engine.Group) *trackedBundle {
	known := t.bundles[g.ID]
	if known == nil {
		known = &trackedBundle{announced: g, nodes: map[core.NodeID]bool{}, coming: map[string]bool{}}
		t.bundles[g.ID] = known
		t.emit(engine.Event{Group: &g})
		t.noteImages(g)
	}
	return known
}

func (t *Tracker) announceBundlePool(id core.GroupID) {
	pool := t.bundles[id].pool()
	t.emit(engine.Event{Pool: &pool})
}

// pool is the nodes of the group, those to come among them.
func (g *trackedBundle) pool() engine.Pool {
	nodes := slices.Collect(maps.Keys(g.nodes))
	for claim := range g.coming {
		nodes = append(nodes, claimNode(claim))
	}
	slices.Sort(nodes)
	return engine.Pool{ID: g.announced.Pool, Nodes: nodes}
}

// newNodes is what was announced of new nodes and of those to come.
func (t *Tracker) newNodes() []engine.Event {
	var out []engine.Event
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		if t.claims[name].facts != nil {
			coming := t.comingNode(name)
			out = append(out, engine.Event{Node: &coming})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.bundles)) {
		g := t.bundles[id]
		group, pool := g.announced, g.pool()
		out = append(out, engine.Event{Pool: &pool}, engine.Event{Group: &group})
		for _, name := range slices.Sorted(maps.Keys(g.coming)) {
			pod := t.claimPod(name)
			out = append(out, engine.Event{Pod: &pod})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.arrivals)) {
		if pod := t.nodes[id].arrival.announced; pod.ID != "" {
			out = append(out, engine.Event{Pod: &pod})
		}
	}
	return out
}

// leaveBundle takes a node out of its group.
func (t *Tracker) leaveBundle(n *trackedNode) {
	id := n.arrival.group
	if g := t.bundles[id]; g != nil {
		delete(g.nodes, core.NodeID(n.object.Name))
		t.dropBundle(id)
	}
	n.arrival.group = ""
}

// dropBundle ends a group that nothing is in, or says who is left.
func (t *Tracker) dropBundle(id core.GroupID) {
	g := t.bundles[id]
	if len(g.nodes)+len(g.coming) > 0 {
		t.announceBundlePool(id)
		return
	}
	delete(t.bundles, id)
	t.emit(engine.Event{GroupGone: id})
	t.emit(engine.Event{PoolGone: g.announced.Pool})
}

// presentOn are the images that a node has: those it lists, and those from which
// containers of its DaemonSets started there.
func (t *Tracker) presentOn(n *trackedNode) map[core.Image]bool {
	have := map[core.Image]bool{}
	for _, image := range n.announced.Images {
		have[image] = true
	}
	for id := range n.daemons {
		if p := t.pods[id]; p != nil {
			for _, image := range startedImages(p.object) {
				have[image] = true
			}
		}
	}
	return have
}

// failsOn reports whether a pull of a node's DaemonSets fails there and all that the
// node would pull for itself is of pods that are there: they tell what of it can be
// charged, and the node itself waits for nothing that may never come.
func (t *Tracker) failsOn(n *trackedNode, b ownBundle) bool {
	fails, by := false, map[core.Image]bool{}
	for id := range n.daemons {
		p := t.pods[id]
		if p == nil {
			continue
		}
		fails = fails || t.failing[core.NodeID(n.object.Name)][id]
		for _, pull := range Pulls(&p.object.Spec) {
			by[pull.Image] = true
		}
	}
	return fails && b.within(by)
}

// noteDaemon notes that a pod of a DaemonSet is on a node, or is not any more, and what
// of the node's bundle has arrived with it.
func (t *Tracker) noteDaemon(now time.Time, p *trackedPod, there bool) {
	if p.owner.Kind != daemonKind || p.object.Spec.NodeName == "" {
		return
	}
	n := t.nodes[core.NodeID(p.object.Spec.NodeName)]
	if n == nil {
		return
	}
	id := PodID(p.object)
	if !there {
		delete(n.daemons, id)
		return
	}
	if n.arrival == nil {
		return // nobody waits for it
	}
	if n.daemons == nil {
		n.daemons = map[core.PodID]bool{}
	}
	n.daemons[id] = true
	t.arrive(now, n)
}
