package kube

import (
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// trackedPod is a pod as last announced.
type trackedPod struct {
	object    *corev1.Pod
	owner     Owner
	set       Owner // its ReplicaSet, zero without one
	lane      engine.Lane
	laneKnown bool
	group     core.GroupID
	announced engine.Pod
	// failures are its failed pulls by container, as last seen.
	failures map[string]*trackedFailure
	// leaving says that its release is under way and not in the cache yet.
	leaving bool
	// passed is set for a pod that Shadow let pass and Enforce would have held.
	passed *Passed
	// order is what was announced of a person's order to let it go.
	order order
	// stepGone is when the step of a Rollout was let go that it is of; zero: it is of
	// none that was.
	stepGone time.Time
	// counted says that it counts among the living pods of its ReplicaSet.
	counted bool
	doubts  podDoubts
	// size is what it asks for, taken what it takes of its node.
	size  engine.Size
	taken takenBy
}

// trackedGroup is a group with its pods.
type trackedGroup struct {
	announced engine.Group
	// policy rules its pods; empty: none does.
	policy string
	owner  Owner
	set    Owner
	pods   map[core.PodID]bool
	held   map[core.PodID]bool
	// passed are those that Shadow let pass and that may still need pulls.
	passed map[core.PodID]bool
}

// Pod takes in a pod. now is when it was seen.
func (t *Tracker) Pod(now time.Time, p *corev1.Pod) []engine.Event {
	t.pod(now, p)
	return t.take()
}

func (t *Tracker) pod(now time.Time, p *corev1.Pod) {
	id := PodID(p)
	if finished(p) {
		t.podGone(id)
		return
	}
	known := t.pods[id]
	fresh := known == nil
	if fresh {
		known = &trackedPod{owner: OwnerOf(p), set: setOf(p)}
		t.pods[id] = known
		t.namespace(p.Namespace).pods[id] = true
		known.passed = t.wouldHold(p)
		known.size = sizeOf(p)
	}
	known.object = p
	if fresh && known.owner.Kind == RolloutKind && !t.stands(id) {
		known.stepGone = t.stepGone(known)
	}
	t.countLive(known, p.DeletionTimestamp == nil)
	if !gate.Gated(p) {
		known.leaving = false
	}
	t.decideLane(known)
	t.translate(known)
	t.noteFailures(now, known)
	t.noteOverride(known)
	t.noteTaken(known, true)
	t.noteDaemon(now, known, true)
	if fresh && known.owner.Kind == jobKind {
		t.noteMade(now, known)
	}
	if known.owner.Kind == RolloutKind && !t.stands(id) {
		t.checkSteps(now, known.owner)
	}
}

// setOf names the ReplicaSet of a pod.
func setOf(p *corev1.Pod) Owner {
	if ref := metav1.GetControllerOf(p); ref != nil && ref.Kind == "ReplicaSet" {
		return Owner{Kind: ref.Kind, Namespace: p.Namespace, Name: ref.Name}
	}
	return Owner{}
}

// countLive counts a pod in or out of its ReplicaSet; one that is being deleted
// is replaced already.
func (t *Tracker) countLive(p *trackedPod, live bool) {
	if p.counted == live || p.set == (Owner{}) || t.stands(PodID(p.object)) {
		return
	}
	p.counted = live
	r := t.sets[p.set]
	if r == nil {
		r = &replicaSet{owner: p.owner, name: p.set.Name}
		t.sets[p.set] = r
	}
	if live {
		r.live++
	} else {
		r.live--
	}
	if r.gone && r.live <= 0 {
		delete(t.sets, p.set)
	}
	if w := t.workloads[p.owner]; w != nil && w.sets[r.name] != nil {
		t.refreshGroups(p.owner)
	}
}

// decideLane tells once what a pod is for; later sights of it change nothing.
func (t *Tracker) decideLane(p *trackedPod) {
	if p.laneKnown || p.set == (Owner{}) {
		return
	}
	p.laneKnown = true
	if t.stands(PodID(p.object)) {
		p.lane = t.stepLane(p)
		return
	}
	if podPhase(p.object) == engine.PodPulled {
		return // it may be one of those that served
	}
	if r := t.sets[p.set]; r != nil && (gate.Gated(p.object) || p.passed != nil) {
		p.lane = t.workloads[p.owner].laneOf(r, r.live)
	}
}

// PodGone takes in the end of a pod.
func (t *Tracker) PodGone(id core.PodID) []engine.Event {
	t.podGone(id)
	return t.take()
}

func (t *Tracker) podGone(id core.PodID) {
	p := t.pods[id]
	if p == nil {
		return
	}
	delete(t.pods, id)
	delete(t.namespace(p.object.Namespace).pods, id)
	delete(t.freed, id)
	delete(t.slipped, id)
	t.countLive(p, false)
	t.noteTaken(p, false)
	t.noteDaemon(time.Time{}, p, false)
	t.dropFailures(p)
	t.dropDoubts(p)
	t.emit(engine.Event{PodGone: id})
	t.leaveGroup(p.group, id)
	delete(t.standIns, id)
	delete(t.steps.pods, id)
}

// translate brings the announced group and pod up to date.
func (t *Tracker) translate(p *trackedPod) {
	t.noteDoubts(p)
	id := PodID(p.object)
	t.noteSlipped(p)
	c, target := podConstraints(&p.object.Spec)
	g, named := t.describe(p)
	groupID := core.GroupID(digest(struct {
		Group       engine.Group
		Constraints constraints
	}{named, c}))
	if p.group != groupID {
		t.joinGroup(groupID, g, c, p)
		previous := p.group
		p.group = groupID
		t.announcePod(p, target)
		t.leaveGroup(previous, id)
		return
	}
	t.announcePod(p, target)
}

// describe is the group of a pod without what may change while it lives, and the same
// as it is named.
func (t *Tracker) describe(p *trackedPod) (g, named engine.Group) {
	spec, ns := &p.object.Spec, t.namespace(p.object.Namespace)
	rules := policyFor(t.rules.policies, ns.labels, p.object.Labels)
	g = engine.Group{
		Namespace: p.object.Namespace, Workload: p.owner.String(), Revision: revisionOf(p.object),
		Class: rules.classOf(p.object), Lane: p.lane, Whole: t.whole(p.owner), Size: p.size,
	}
	if rules != nil {
		g.Waves, g.Weight, g.PauseOn = rules.spec.EngineWaves(), rules.spec.WeightOf(p.object.Namespace), rules.spec.EnginePauseOn()
	}
	named = g
	for _, image := range Pulls(spec) {
		list := t.listOf(image.Host, spec, ns.labels)
		use := engine.ImageUse{Image: image.Image, Always: image.Always, Accounts: list.accounts}
		g.Images = append(g.Images, use)
		use.Accounts = list.name
		named.Images = append(named.Images, use)
	}
	return g, named
}

func (t *Tracker) joinGroup(id core.GroupID, g engine.Group, c constraints, p *trackedPod) {
	known := t.groups[id]
	if known == nil {
		g.ID, g.Pool = id, t.usePool(c)
		known = &trackedGroup{owner: p.owner, set: p.set, announced: g, pods: map[core.PodID]bool{},
			held: map[core.PodID]bool{}, passed: map[core.PodID]bool{}}
		t.groups[id] = known
		t.roomsChanged()
		t.own(p.owner, id)
		known.policy = t.policyOf(p)
		known.announced = t.withState(known)
		announced := known.announced
		t.emit(engine.Event{Group: &announced})
		t.noteImages(g)
	}
	known.pods[PodID(p.object)] = true
}

func (t *Tracker) leaveGroup(id core.GroupID, pod core.PodID) {
	g := t.groups[id]
	if g == nil {
		return
	}
	delete(g.pods, pod)
	delete(g.held, pod)
	delete(g.passed, pod)
	if len(g.pods) == 0 {
		delete(t.groups, id)
		t.disown(g.owner, id)
		t.emit(engine.Event{GroupGone: id})
		t.leavePool(g.announced.Pool)
	}
}

// noteImages remembers images that nobody looked at yet.
func (t *Tracker) noteImages(g engine.Group) {
	for _, use := range g.Images {
		if len(use.Accounts) > 0 && !t.images[use.Image] {
			t.images[use.Image] = true
			t.fresh = append(t.fresh, PacedImage{Image: use.Image, Account: use.Accounts[0]})
		}
	}
}

func (t *Tracker) announcePod(p *trackedPod, target core.NodeID) {
	id := PodID(p.object)
	next := engine.Pod{
		ID: id, Group: p.group, Phase: podPhase(p.object), Created: p.object.CreationTimestamp.Time,
		Node:       core.NodeID(p.object.Spec.NodeName),
		ReleasedAt: t.releasedAt(p),
	}
	switch next.Phase {
	case engine.PodGated:
		next.HoldUntil, next.ForeignGate = gate.HoldUntil(p.object), gate.ForeignGate(p.object)
		t.groups[p.group].held[id] = true
	case engine.PodBound:
		next.Started = startedImages(p.object)
	}
	t.noteFreed(p, next.Phase)
	if next.Phase != engine.PodGated {
		delete(t.groups[p.group].held, id)
	}
	if p.passed != nil && next.Phase != engine.PodPulled {
		t.groups[p.group].passed[id] = true
	} else {
		delete(t.groups[p.group].passed, id)
	}
	if next.Node == "" {
		next.Node = target
	}
	if reflect.DeepEqual(p.announced, next) {
		return
	}
	p.announced = next
	t.emit(engine.Event{Pod: &next})
}

// HeldPods are the pods of a group that we hold, oldest first, without those
// whose release is under way.
func (t *Tracker) HeldPods(id core.GroupID) []*corev1.Pod {
	g := t.groups[id]
	if g == nil {
		return nil
	}
	var pods []*corev1.Pod
	for _, podID := range slices.Sorted(maps.Keys(g.held)) {
		if p := t.pods[podID]; !p.leaving {
			pods = append(pods, p.object)
		}
	}
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return pods
}

// FirstExpiry is when the first hold of a group's pods ends by its bound; zero: none
// has a bound.
func (t *Tracker) FirstExpiry(id core.GroupID) time.Time {
	var first time.Time
	g := t.groups[id]
	if g == nil {
		return first
	}
	for pod := range g.held {
		if until := t.pods[pod].announced.HoldUntil; !until.IsZero() && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	return first
}

// Choose picks the pods of a release: those it names, or the oldest that only
// our gate holds.
func (t *Tracker) Choose(r engine.Release) []*corev1.Pod {
	var chosen []*corev1.Pod
	for _, p := range t.HeldPods(r.Group) {
		if len(chosen) == r.Count {
			break
		}
		if gate.ForeignGate(p) || (len(r.Pods) > 0 && !slices.Contains(r.Pods, PodID(p))) {
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen
}

// Leaving notes that the release of a pod is under way, or was given up.
func (t *Tracker) Leaving(id core.PodID, leaving bool) {
	if p := t.pods[id]; p != nil {
		p.leaving = leaving
	}
}

// Group is what was announced of a group.
func (t *Tracker) Group(id core.GroupID) (engine.Group, bool) {
	if g := t.groups[id]; g != nil {
		return g.announced, true
	}
	if g := t.bundles[id]; g != nil {
		return g.announced, true
	}
	return engine.Group{}, false
}

// Known reports whether a pod is there and not finished.
func (t *Tracker) Known(id core.PodID) bool { return t.pods[id] != nil }

// policyOf is the name of the PacePolicy that rules a pod; empty: none does.
func (t *Tracker) policyOf(p *trackedPod) string {
	rules := policyFor(t.rules.policies, t.namespace(p.object.Namespace).labels, p.object.Labels)
	if rules == nil {
		return ""
	}
	return rules.name
}

// HeldByPolicy counts the held pods of each PacePolicy.
func (t *Tracker) HeldByPolicy() map[string]int {
	held := map[string]int{}
	for _, g := range t.groups {
		held[g.policy] += len(g.held)
	}
	return held
}
