package kube

import (
	"maps"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// Deployment takes in a Deployment.
func (t *Tracker) Deployment(d *appsv1.Deployment) []engine.Event {
	owner := Owner{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name}
	w := t.workload(owner)
	replaced := w.object == nil || !reflect.DeepEqual(w.object.Spec.Strategy, d.Spec.Strategy)
	w.object = d
	w.paused, w.settled = d.Annotations[v1alpha1.AnnotationPaused] != "", settled(d)
	w.resumed = resumedAt(d)
	delete(t.altered, owner)
	if altered(d) {
		t.altered[owner] = true
	}
	w.replicas = 1
	if d.Spec.Replicas != nil {
		w.replicas = *d.Spec.Replicas
	}
	override := d.Annotations[v1alpha1.AnnotationOverride]
	ordered := override != "" && override != w.override
	w.override = override
	if replaced {
		t.judgeAgain(owner)
	}
	t.findRollback(owner)
	t.refreshGroups(owner)
	if ordered {
		t.letGo(owner, override)
	}
	return t.take()
}

// judgeAgain looks again at the pods of a Deployment whose strategy became known or
// changed: one may be held that nobody should hold, or count as one that slipped by which
// nobody would have held.
func (t *Tracker) judgeAgain(owner Owner) {
	for id := range t.byOwner[owner] {
		for pod := range t.groups[id].pods {
			p := t.pods[pod]
			t.noteSlipped(p)
			t.noteFreed(p, p.announced.Phase)
		}
	}
}

// DeploymentGone takes in the end of a Deployment.
func (t *Tracker) DeploymentGone(namespace, name string) []engine.Event {
	owner := Owner{Kind: "Deployment", Namespace: namespace, Name: name}
	delete(t.workloads, owner)
	delete(t.altered, owner)
	t.refreshGroups(owner)
	return t.take()
}

func (t *Tracker) workload(owner Owner) *workload {
	w := t.workloads[owner]
	if w == nil {
		w = &workload{sets: map[string]*replicaSet{}, settled: true}
		t.workloads[owner] = w
	}
	return w
}

// ReplicaSet takes in a ReplicaSet.
func (t *Tracker) ReplicaSet(rs *appsv1.ReplicaSet) []engine.Event {
	id := Owner{Kind: "ReplicaSet", Namespace: rs.Namespace, Name: rs.Name}
	r := t.sets[id]
	if r == nil {
		r = &replicaSet{name: rs.Name}
		t.sets[id] = r
	}
	r.owner = id
	if ref := metav1.GetControllerOf(rs); ref != nil {
		r.owner = Owner{Kind: ref.Kind, Namespace: rs.Namespace, Name: ref.Name}
	}
	r.observe(rs)
	delete(t.copies, id)
	if _, copied := rs.Annotations[v1alpha1.AnnotationSaved]; copied {
		t.copies[id] = rs
	}
	t.workload(r.owner).sets[rs.Name] = r
	t.findRollback(r.owner)
	t.refreshGroups(r.owner)
	return t.take()
}

// ReplicaSetGone takes in the end of a ReplicaSet.
func (t *Tracker) ReplicaSetGone(namespace, name string) []engine.Event {
	id := Owner{Kind: "ReplicaSet", Namespace: namespace, Name: name}
	delete(t.copies, id)
	r := t.sets[id]
	if r == nil {
		return nil
	}
	if w := t.workloads[r.owner]; w != nil {
		delete(w.sets, name)
	}
	r.gone = true
	if r.live <= 0 {
		delete(t.sets, id)
	}
	return nil
}

// findRollback puts held pods into the lane of rollbacks that turn out to go back:
// pods, ReplicaSets and Deployments are watched apart, so that a pod may be seen
// before the change of revision that explains it.
func (t *Tracker) findRollback(owner Owner) {
	w := t.workloads[owner]
	for _, id := range slices.Sorted(maps.Keys(t.byOwner[owner])) {
		g := t.groups[id]
		if g == nil || g.announced.Lane != engine.LaneNormal || t.sets[g.set] == nil || !w.isRollback(t.sets[g.set]) {
			continue
		}
		for _, pod := range slices.Sorted(maps.Keys(g.holdable())) {
			p := t.pods[pod]
			p.lane = engine.LaneRollback
			t.translate(p)
		}
	}
}

// refreshGroups announces what changed of the groups of a workload.
func (t *Tracker) refreshGroups(owner Owner) {
	for _, id := range slices.Sorted(maps.Keys(t.byOwner[owner])) {
		g := t.groups[id]
		next := t.withState(g)
		if !reflect.DeepEqual(g.announced, next) {
			g.announced = next
			t.emit(engine.Event{Group: &next})
		}
	}
}

// letGo announces a person's order for the pods of a workload that are held now
// and were created before it; an order without a time is for all of them.
func (t *Tracker) letGo(owner Owner, text string) {
	for _, id := range slices.Sorted(maps.Keys(t.byOwner[owner])) {
		for _, podID := range slices.Sorted(maps.Keys(t.groups[id].held)) {
			o, err := v1alpha1.ParseOrder(text)
			if p := t.pods[podID]; err != nil || o.At.IsZero() || !p.object.CreationTimestamp.After(o.At) {
				t.announceOverride(p, orderOf(o))
			}
		}
	}
}

// withState is a group as announced, with what may change of it while it lives:
// whether a person paused it or ordered it to go on, how many pods are still to come, and which images a
// rollback would run.
func (t *Tracker) withState(g *trackedGroup) engine.Group {
	next := g.announced
	next.Paused, next.Resumed, next.More, next.Back = false, time.Time{}, 0, nil
	w := t.workloads[g.owner]
	if w == nil {
		return next
	}
	next.Paused, next.Resumed = w.paused, w.resumed
	r := t.sets[g.set]
	if r == nil || next.Lane == engine.LaneRepair || !w.current(r) {
		return next
	}
	next.More = max(0, int(w.replicas)-r.live)
	if last := w.before(r); last != nil && next.Lane == engine.LaneNormal {
		next.Back = t.backImages(next, last.template)
	}
	return next
}

// backImages are the images of an earlier template that the group does not run.
func (t *Tracker) backImages(g engine.Group, template *corev1.PodTemplateSpec) []engine.ImageUse {
	var out []engine.ImageUse
	labels := t.namespace(g.Namespace).labels
	for _, image := range Pulls(&template.Spec) {
		if slices.ContainsFunc(g.Images, func(u engine.ImageUse) bool { return u.Image == image.Image }) {
			continue
		}
		accounts := t.listOf(image.Host, &template.Spec, labels).accounts
		if len(accounts) > 0 {
			out = append(out, engine.ImageUse{Image: image.Image, Accounts: accounts, Always: image.Always})
		}
	}
	return out
}

// current reports whether a ReplicaSet is that of the newest revision.
func (w *workload) current(r *replicaSet) bool {
	for _, other := range w.sets {
		if other.revision > r.revision {
			return false
		}
	}
	return true
}

// resumedAt is when a person last ordered an object to go on; zero: nobody did, or not
// in a way that tells when.
func resumedAt(o metav1.Object) time.Time {
	order, err := v1alpha1.ParseOrder(o.GetAnnotations()[v1alpha1.AnnotationResumed])
	if err != nil {
		return time.Time{}
	}
	return order.At
}

// order is how a person wants a pod to be let go.
type order int

// The orders; a later one replaces an earlier one.
const (
	orderNone order = iota
	orderDrip
	orderNow
)

// orderOf is how an order on a workload wants its pods to go. One that cannot be
// read asks for no more than the least.
func orderOf(o v1alpha1.Order) order {
	if o.Now {
		return orderNow
	}
	return orderDrip
}

// noteOverride announces that a person let the pod go, by an order on the pod, which
// goes at once, or by one on its workload that is younger than the pod.
func (t *Tracker) noteOverride(p *trackedPod) {
	if p.object.Annotations[v1alpha1.AnnotationOverride] != "" {
		t.announceOverride(p, orderNow)
		return
	}
	w := t.workloads[p.owner]
	if w == nil || w.override == "" {
		return
	}
	if o, err := v1alpha1.ParseOrder(w.override); err == nil && o.At.After(p.object.CreationTimestamp.Time) {
		t.announceOverride(p, orderOf(o))
	}
}

func (t *Tracker) announceOverride(p *trackedPod, o order) {
	if o <= p.order || !gate.Gated(p.object) {
		return
	}
	p.order = o
	t.emit(engine.Event{Override: &engine.Override{Pod: PodID(p.object), Now: o == orderNow}})
}

// own notes that a group is of a workload.
func (t *Tracker) own(owner Owner, id core.GroupID) {
	if t.byOwner[owner] == nil {
		t.byOwner[owner] = map[core.GroupID]bool{}
	}
	t.byOwner[owner][id] = true
}

func (t *Tracker) disown(owner Owner, id core.GroupID) {
	delete(t.byOwner[owner], id)
	if len(t.byOwner[owner]) == 0 {
		delete(t.byOwner, owner)
	}
}
