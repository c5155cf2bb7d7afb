package controller

import (
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

// world is what a turn knows of the cluster's objects besides the tracker.
type world struct {
	tracker  *kube.Tracker
	budgets  map[string]*v1alpha1.PullBudget
	policies map[string]*v1alpha1.PacePolicy
	// invalid are the objects that cannot be used, by kind and name.
	invalid []*kube.InvalidError
	// nodePools are Karpenter's.
	nodePools map[string]*unstructured.Unstructured
	// rules are those that can be used; self is the pod that this program runs in, own
	// what it runs, as far as it was seen, and ownLabels are those of its namespace.
	rules     *kube.Rules
	self      client.ObjectKey
	own       *corev1.PodSpec
	ownLabels map[string]string
}

func newWorld() *world {
	return &world{tracker: kube.NewTracker(), budgets: map[string]*v1alpha1.PullBudget{}, policies: map[string]*v1alpha1.PacePolicy{}, nodePools: map[string]*unstructured.Unstructured{}}
}

// observe takes in changes and returns what became known by them.
func (w *world) observe(now time.Time, changes []change) []engine.Event {
	var events []engine.Event
	dirty := false
	for i, c := range changes {
		if w.isRule(c) {
			dirty = w.observeRule(c) || dirty
			if next := i + 1; dirty && (next == len(changes) || !w.isRule(changes[next])) {
				events = append(events, w.readRules()...)
				dirty = false
			}
			continue
		}
		events = append(events, w.observeObject(now, c)...)
	}
	return events
}

func (w *world) isRule(c change) bool {
	switch c.object.(type) {
	case *v1alpha1.PacePolicy, *v1alpha1.PullBudget:
		return true
	}
	return false
}

// observeRule takes in a PullBudget or PacePolicy and reports whether what it
// rules changed; a change of its status does not.
func (w *world) observeRule(c change) bool {
	switch o := c.object.(type) {
	case *v1alpha1.PullBudget:
		before := w.budgets[o.Name]
		if c.gone {
			delete(w.budgets, o.Name)
			return before != nil
		}
		w.budgets[o.Name] = o
		return before == nil || before.UID != o.UID || before.Generation != o.Generation ||
			before.Annotations[v1alpha1.AnnotationPaused] != o.Annotations[v1alpha1.AnnotationPaused] ||
			before.Annotations[v1alpha1.AnnotationResumed] != o.Annotations[v1alpha1.AnnotationResumed]
	case *v1alpha1.PacePolicy:
		before := w.policies[o.Name]
		if c.gone {
			delete(w.policies, o.Name)
			return before != nil
		}
		w.policies[o.Name] = o
		return before == nil || before.UID != o.UID || before.Generation != o.Generation
	}
	return false
}

// readRules reads all PullBudgets and PacePolicies again.
func (w *world) readRules() []engine.Event {
	var budgets []v1alpha1.PullBudget
	for _, b := range w.budgets {
		budgets = append(budgets, *b)
	}
	var policies []v1alpha1.PacePolicy
	for _, p := range w.policies {
		policies = append(policies, *p)
	}
	rules, err := kube.NewRules(budgets, policies)
	w.invalid, w.rules = invalidOf(err), rules
	return w.tracker.Rules(rules)
}

// invalidOf unpacks the error of kube.NewRules.
func invalidOf(err error) []*kube.InvalidError {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var out []*kube.InvalidError
	for _, e := range joined.Unwrap() {
		if invalid, ok := errors.AsType[*kube.InvalidError](e); ok {
			out = append(out, invalid)
		}
	}
	return out
}

// observeSelf notes what this program itself is made of.
func (w *world) observeSelf(object client.Object) {
	switch o := object.(type) {
	case *corev1.Pod:
		if client.ObjectKeyFromObject(o) == w.self {
			w.own = &o.Spec
		}
	case *corev1.Namespace:
		if o.Name == w.self.Namespace {
			w.ownLabels = o.Labels
		}
	}
}

// pacesOwnImage is the image of this program that a PullBudget paces; empty: none.
func (w *world) pacesOwnImage(budget string) core.Image {
	if w.own == nil || w.rules == nil {
		return ""
	}
	for _, image := range w.rules.Budgeted(w.own, w.ownLabels) {
		if image.Budget == budget {
			return image.Image
		}
	}
	return ""
}

func (w *world) observeObject(now time.Time, c change) []engine.Event {
	t := w.tracker
	w.observeSelf(c.object)
	switch o := c.object.(type) {
	case *corev1.Namespace:
		if c.gone {
			return t.NamespaceGone(o.Name)
		}
		return t.Namespace(o)
	case *corev1.Node:
		if c.gone {
			return t.NodeGone(o.Name)
		}
		return t.Node(now, o)
	case *appsv1.DaemonSet:
		if c.gone {
			return t.DaemonSetGone(now, o.Namespace, o.Name)
		}
		return t.DaemonSet(now, o)
	case *unstructured.Unstructured:
		if o.GroupVersionKind().Group == kube.ArgoGroupVersion().Group {
			return observeArgo(now, t, o, c.gone)
		}
		return w.observeKarpenter(now, o, c.gone)
	case *appsv1.Deployment:
		if c.gone {
			return t.DeploymentGone(o.Namespace, o.Name)
		}
		return t.Deployment(o)
	case *appsv1.ReplicaSet:
		if c.gone {
			return t.ReplicaSetGone(o.Namespace, o.Name)
		}
		return t.ReplicaSet(o)
	case *batchv1.Job:
		if c.gone {
			return t.JobGone(o.Namespace, o.Name)
		}
		return t.Job(now, o)
	case *corev1.Pod:
		if c.gone {
			return t.PodGone(kube.PodID(o))
		}
		return t.Pod(now, o)
	}
	return nil
}

// observeKarpenter takes in what Karpenter says of nodes.
func (w *world) observeKarpenter(now time.Time, o *unstructured.Unstructured, gone bool) []engine.Event {
	switch kind := o.GetKind(); {
	case kind == kube.NodePoolKind().Kind && gone:
		delete(w.nodePools, o.GetName())
		return w.tracker.NodePoolGone(now, o.GetName())
	case kind == kube.NodePoolKind().Kind:
		w.nodePools[o.GetName()] = o
		return w.tracker.NodePool(now, o)
	case gone:
		return w.tracker.NodeClaimGone(o.GetName())
	}
	return w.tracker.NodeClaim(now, o)
}
