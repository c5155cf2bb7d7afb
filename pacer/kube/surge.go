package kube

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// JudgeRollout decides whether pods of a Deployment as its user wants it would be
// held, and so whether it must keep its old pods meanwhile. In doubt not.
func (r *Rules) JudgeRollout(d *appsv1.Deployment, namespace *corev1.Namespace) Verdict {
	pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: d.Spec.Template.Spec}
	pod.Namespace = d.Namespace
	// As the controllers will make it: of a ReplicaSet named after the Deployment.
	const hash = "0"
	pod.Labels = maps.Clone(pod.Labels)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: d.Name + "-" + hash, Controller: new(true)}}
	return r.Judge(Case{Pod: pod, Namespace: namespace, Deployment: d})
}

// SameTemplate reports whether a ReplicaSet runs a Deployment's template, but for
// the hash that the Deployment controller adds.
func SameTemplate(d *appsv1.Deployment, template *corev1.PodTemplateSpec) bool {
	want, got := d.Spec.Template, *template // their labels alone are made anew
	want.Labels, got.Labels = withoutHash(want.Labels), withoutHash(got.Labels)
	return apiequality.Semantic.DeepEqual(&want, &got)
}

// withoutHash are labels without the hash of the template.
func withoutHash(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	delete(out, appsv1.DefaultDeploymentUniqueLabelKey)
	return out
}

// Unguarded reports whether a rollout of a Deployment to one of its ReplicaSets deletes
// pods before their successors are ready, and nothing was done about it: admission
// was away when it began, or it goes back. In doubt not: a Deployment as it was
// before the write that made the ReplicaSet tells nothing.
func Unguarded(d *appsv1.Deployment, newest string, sets []appsv1.ReplicaSet) bool {
	if !DeletesFirst(d) || altered(d) {
		return false
	}
	known, old := false, false
	for i := range sets {
		rs := &sets[i]
		switch owner := metav1.GetControllerOf(rs); {
		case owner == nil || owner.UID != d.UID:
		case rs.Name == newest:
			known = SameTemplate(d, &rs.Spec.Template)
		case rs.Spec.Replicas == nil || *rs.Spec.Replicas > 0:
			old = true
		}
	}
	return known && old
}

// Altered is a Deployment that has fields which were changed while its pods are
// held, and what decides how long.
type Altered struct {
	Deployment *appsv1.Deployment
	// Sets are its ReplicaSets that have a copy of what is remembered.
	Sets []*appsv1.ReplicaSet
	// May says that its pods may be held.
	May bool
	// Seen says that its newest template was taken up: until then nothing is known of
	// its pods.
	Seen bool
	// Held says that a pod of it is held, Coming that pods of the newest template are
	// still to be made, NoRoom that one cannot be made or fits nowhere. While one is held,
	// which thousands of turns may see, nothing else of it is looked at.
	Held, Coming, NoRoom bool
	// Payable says that the first pods of a rollout that is paused could start now.
	Payable bool
	// Released is when a pod of it was let go last; zero: none was, or it is gone.
	Released time.Time
}

// patience is how long nothing of a Deployment must be held, and nothing of it
// progress, before its fields go back in the middle of a rollout: pods that are about
// to be made may be held, and must not make the fields go back and forth.
const patience = 5 * time.Second

// Next says what is to be put back of the fields by now, and which deadline is
// imposed.
func (a Altered) Next(now time.Time) (gate.Over, *int32) {
	was, _ := gate.SavedOf(a.Deployment)
	switch {
	case !a.May:
		return gate.OverAll, nil
	case a.Paused():
		if a.Payable || !now.Before(gate.HoldUntil(a.Deployment)) {
			return gate.OverPause, nil
		}
		return "", nil
	case a.Held:
		return "", nil
	case complete(a.Deployment):
		return gate.OverAll, nil
	case !a.Seen:
		return "", was.Deadline
	}
	// Nothing is held, and the rollout goes on.
	if !a.quiet(now, was.ProgressDeadlineSeconds) {
		return "", was.Deadline
	}
	deadline := a.deadline(was.ProgressDeadlineSeconds)
	exact := was.ProgressDeadlineSeconds == nil || *deadline == *was.ProgressDeadlineSeconds
	switch giveBack := !a.Coming || a.NoRoom; {
	case giveBack && exact || failed(a.Deployment):
		return gate.OverAll, nil
	case giveBack && was.Strategy():
		return gate.OverStrategy, deadline
	}
	return "", deadline
}

// failed reports whether the Deployment controller gave a rollout up.
func failed(d *appsv1.Deployment) bool {
	return slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
	})
}

// Paused reports whether we keep the rollout from starting.
func (a Altered) Paused() bool {
	was, _ := gate.SavedOf(a.Deployment)
	return was.Paused != nil && a.Deployment.Spec.Paused
}

// First is how many pods a rollout makes and deletes at once, as its user wants it.
func (a Altered) First() int {
	wished := a.Deployment.DeepCopy()
	gate.Restore(wished)
	r, replicas := wished.Spec.Strategy.RollingUpdate, 1
	if wished.Spec.Replicas != nil {
		replicas = int(*wished.Spec.Replicas)
	}
	if r == nil {
		return replicas
	}
	// What cannot be read was refused when it was written.
	surge, _ := intstr.GetScaledValueFromIntOrPercent(cmp.Or(r.MaxSurge, new(intstr.FromInt32(0))), replicas, true)
	unavailable, _ := intstr.GetScaledValueFromIntOrPercent(cmp.Or(r.MaxUnavailable, new(intstr.FromInt32(0))), replicas, false)
	return min(max(1, surge+unavailable), max(1, replicas))
}

// quiet reports whether nothing was let go and nothing progressed for long enough.
func (a Altered) quiet(now time.Time, deadline *int32) bool {
	last := progressed(a.Deployment)
	if a.Released.After(last) {
		last = a.Released
	}
	enough := patience
	if deadline != nil {
		enough = min(enough, time.Duration(*deadline)*time.Second/2)
	}
	return now.Sub(last) >= enough
}

// deadline is the user's, lengthened by as long as nothing could progress before
// the last pod was let go: the Deployment controller counts from the last progress.
func (a Altered) deadline(user *int32) *int32 {
	if user == nil {
		return nil
	}
	held := a.Released.Sub(progressed(a.Deployment))
	if a.Released.IsZero() || held <= 0 {
		return user
	}
	seconds := int64(*user) + int64(math.Ceil(held.Seconds()))
	return new(int32(min(seconds, int64(gate.Lifted))))
}

// progressed is when the Deployment controller saw progress last.
func progressed(d *appsv1.Deployment) time.Time {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			return c.LastUpdateTime.Time
		}
	}
	return time.Time{}
}

// complete reports whether all pods of a Deployment, and no others, run its newest
// template. The condition alone does not tell: it is of the rollout before when one
// goes back to a template that was there already.
func complete(d *appsv1.Deployment) bool {
	s, replicas := d.Status, int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == replicas && s.Replicas == replicas &&
		(s.AvailableReplicas == replicas || settled(d))
}

// altered reports whether a Deployment has the marks of fields that were changed.
func altered(d *appsv1.Deployment) bool {
	_, saved := d.Annotations[v1alpha1.AnnotationSaved]
	return saved || d.Labels[v1alpha1.LabelHeld] != ""
}

// Altered are the Deployments with fields that were changed, sorted.
func (t *Tracker) Altered() []Altered {
	var out []Altered
	for _, owner := range sortedOwners(t.altered) {
		w := t.workloads[owner]
		a := Altered{Deployment: w.object, May: t.mayHold(w.object)}
		for _, id := range sortedOwners(t.copies) {
			if r := t.sets[id]; r != nil && r.owner == owner {
				a.Sets = append(a.Sets, t.copies[id])
			}
		}
		t.lookAtPods(owner, &a)
		if !a.Held { // else nothing else counts
			if r := w.newest(); r != nil {
				a.Seen, a.Coming, a.NoRoom = true, r.live < int(w.replicas), a.NoRoom || r.live < int(r.replicas)
			}
		}
		out = append(out, a)
	}
	return out
}

// lookAtPods notes what the pods of a Deployment say.
func (t *Tracker) lookAtPods(owner Owner, a *Altered) {
	for id := range t.byOwner[owner] {
		g := t.groups[id]
		if a.Held = a.Held || len(g.held) > 0; a.Held {
			return
		}
		for pod := range g.pods {
			p := t.pods[pod].announced
			a.NoRoom = a.NoRoom || p.Phase == engine.PodUnschedulable
			if p.ReleasedAt.After(a.Released) {
				a.Released = p.ReleasedAt
			}
		}
	}
}

// newest is the ReplicaSet of a Deployment's newest template; nil while it is not
// known to be.
func (w *workload) newest() *replicaSet {
	d := w.object
	if d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	for _, r := range w.sets {
		if strconv.Itoa(r.revision) == d.Annotations[revisionAnnotation] && w.current(r) && r.template != nil && SameTemplate(d, r.template) {
			return r
		}
	}
	return nil
}

// mayHold reports whether pods of the Deployment may be held still.
func (t *Tracker) mayHold(d *appsv1.Deployment) bool {
	ns := t.namespaces[d.Namespace]
	if ns == nil || ns.labels == nil {
		return true // not seen yet, which proves nothing
	}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: d.Namespace, Labels: ns.labels}}
	if ns.off {
		object.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
	}
	wished := d.DeepCopy()
	gate.Restore(wished)
	return t.rules.JudgeRollout(wished, object).Hold
}

// Copies are ReplicaSets with a copy of what is remembered on no Deployment any more,
// sorted: `kubectl rollout undo` would copy it back.
func (t *Tracker) Copies() []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, id := range sortedOwners(t.copies) {
		if r := t.sets[id]; r == nil || !t.altered[r.owner] {
			out = append(out, t.copies[id])
		}
	}
	return out
}

func sortedOwners[V any](of map[Owner]V) []Owner {
	return slices.SortedFunc(maps.Keys(of), func(a, b Owner) int {
		return slices.Compare([]string{a.Namespace, a.Name, a.Kind}, []string{b.Namespace, b.Name, b.Kind})
	})
}
