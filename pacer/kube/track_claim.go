package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// trackedClaim is a NodeClaim of which the node is not there yet.
type trackedClaim struct {
	object   *unstructured.Unstructured
	template NodeTemplate
	// provider names the machine as the node will; empty: it is not known yet.
	provider string
	room     room
	// sets are the DaemonSets that will run there.
	sets []Owner
	// facts are those of the node to come; nil while nothing is announced of it.
	facts *corev1.Node
	group core.GroupID
}

// claimNode names the node to come of a NodeClaim. No node has a name like it.
func claimNode(claim string) core.NodeID { return core.NodeID("claim/" + claim) }

// claimName is the NodeClaim of a node to come; empty: it is none.
func claimName(id core.NodeID) string {
	name, ok := strings.CutPrefix(string(id), "claim/")
	if !ok {
		return ""
	}
	return name
}

func claimPod(claim string) core.PodID { return core.PodID("/claim/" + claim) }

// NodeClaim takes in a NodeClaim: demand to come, until its node is there.
func (t *Tracker) NodeClaim(now time.Time, u *unstructured.Unstructured) []engine.Event {
	t.at = now
	name := u.GetName()
	template, err := NodeClaimTemplate(u)
	if err != nil || u.GetDeletionTimestamp() != nil {
		t.leaveClaim(name)
		return t.take()
	}
	if known := t.claims[name]; known != nil && known.object.GetUID() != u.GetUID() {
		t.leaveClaim(name)
	}
	if t.claims[name] == nil {
		t.claims[name] = &trackedClaim{}
	}
	c := t.claims[name]
	c.object, c.template, c.room = u, template, claimRoom(u)
	c.provider, _, _ = unstructured.NestedString(u.Object, "status", "providerID") // what is no text is as none
	t.claim(name)
	return t.take()
}

// NodeClaimGone takes in the end of a NodeClaim.
func (t *Tracker) NodeClaimGone(name string) []engine.Event {
	t.leaveClaim(name)
	return t.take()
}

// claim brings what the engine knows of a node to come up to date. Its pulls are demand
// from now on, whether it will be held or not: whoever let the pods go for which it comes
// paid for them, so that it is let go as it arrives, and need not be held to be fed.
func (t *Tracker) claim(name string) {
	c := t.claims[name]
	if t.hasNode(c) {
		t.leaveClaim(name)
		return
	}
	id := claimNode(name)
	facts := c.template.ready()
	facts.Name = string(id)
	if c.facts == nil {
		c.facts = facts
		coming := t.comingNode(name)
		t.emit(engine.Event{Node: &coming})
	}
	t.refit(id, facts)
	t.roomsChanged()
	bundle := t.bundleOf(c.template)
	bundle.pool = poolName(c.template.Labels)
	c.sets = bundle.sets
	group := core.GroupID("")
	if bundle.paced() {
		group = t.bundleGroup(bundle).ID
	}
	if group == c.group {
		return
	}
	t.leaveClaimGroup(name, c)
	if group == "" {
		return
	}
	t.useBundle(t.bundleGroup(bundle)).coming[name] = true
	c.group = group
	t.announceBundlePool(group)
	pod := t.claimPod(name)
	t.emit(engine.Event{Pod: &pod})
}

// comingNode is a node to come as the engine knows it.
func (t *Tracker) comingNode(name string) engine.Node {
	facts := t.claims[name].facts
	return engine.Node{ID: claimNode(name), Coming: true, Zone: facts.Labels[corev1.LabelTopologyZone], Egress: nodeEgress(t.rules.budgets, facts)}
}

// claimPod is what pulls for a node to come.
func (t *Tracker) claimPod(name string) engine.Pod {
	c := t.claims[name]
	return engine.Pod{ID: claimPod(name), Group: c.group, Phase: engine.PodBound, Node: claimNode(name), Created: c.object.GetCreationTimestamp().Time}
}

// hasNode reports whether the node of a claim is there.
func (t *Tracker) hasNode(c *trackedClaim) bool {
	if c.template.Name != "" && t.nodes[core.NodeID(c.template.Name)] != nil {
		return true
	}
	for _, n := range t.nodes {
		if c.provider != "" && n.object.Spec.ProviderID == c.provider {
			return true
		}
	}
	return false
}

// meetClaim hands what was set aside for a node to come on to the node.
func (t *Tracker) meetClaim(n *corev1.Node) {
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		if c := t.claims[name]; c.template.Name == n.Name || c.provider != "" && c.provider == n.Spec.ProviderID {
			t.leaveClaim(name)
		}
	}
}

// claimAll looks at every claim again.
func (t *Tracker) claimAll() {
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		t.claim(name)
	}
}

// leaveClaim forgets a node to come.
func (t *Tracker) leaveClaim(name string) {
	c := t.claims[name]
	if c == nil {
		return
	}
	t.leaveClaimGroup(name, c)
	delete(t.claims, name)
	if c.facts != nil {
		t.refit(claimNode(name), nil)
		t.emit(engine.Event{NodeGone: claimNode(name)})
		t.roomsChanged()
	}
}

func (t *Tracker) leaveClaimGroup(name string, c *trackedClaim) {
	if c.group == "" {
		return
	}
	t.emit(engine.Event{PodGone: claimPod(name)})
	if g := t.bundles[c.group]; g != nil {
		delete(g.coming, name)
		t.dropBundle(c.group)
	}
	c.group = ""
}
