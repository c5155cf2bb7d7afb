package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// maxOverrides is how many orders a PullBudget's status keeps.
const maxOverrides = 10

// orderAge is how old an order may be that nobody recorded: a leader that begins
// finds the orders of years on objects, and those of the moment between two leaders.
const orderAge = 10 * time.Minute

// orders records what people ordered: in an Event on the object, and in the status
// of the PullBudgets that it draws on. Only the turn uses it.
type orders struct {
	events recorder.EventRecorder
	// budgets names the PullBudgets that pods of a namespace draw on.
	budgets func(namespace string, spec *corev1.PodSpec) []string
	// seen is the last order of each kind on an object.
	seen map[orderKey]string
	// overrides are the records of each PullBudget, the newest last; recorded are
	// those of the last while.
	overrides map[string][]v1alpha1.OverrideRecord
	recorded  map[v1alpha1.OverrideRecord]bool
}

// orderKey names a kind of order on an object.
type orderKey struct{ kind, namespace, name, annotation string }

func newOrders(events recorder.EventRecorder, budgets func(string, *corev1.PodSpec) []string) *orders {
	return &orders{events: events, budgets: budgets, seen: map[orderKey]string{},
		overrides: map[string][]v1alpha1.OverrideRecord{}, recorded: map[v1alpha1.OverrideRecord]bool{}}
}

// restore takes in what was recorded before.
func (o *orders) restore(budgets []v1alpha1.PullBudget) {
	for i := range budgets {
		o.overrides[budgets[i].Name] = slices.Clone(budgets[i].Status.Overrides)
		for _, r := range budgets[i].Status.Overrides {
			o.recorded[essential(r)] = true
		}
	}
}

// essential is a record as it can be compared: times are stored in whole seconds.
func essential(r v1alpha1.OverrideRecord) v1alpha1.OverrideRecord {
	r.At = metav1.NewTime(r.At.UTC().Truncate(time.Second))
	return r
}

// kinds of orders, by the annotation that gives them.
func orderKinds() map[string]struct{ action, event string } {
	return map[string]struct{ action, event string }{
		v1alpha1.AnnotationOverride: {"released", "Override"},
		v1alpha1.AnnotationPaused:   {"paused", "Paused"},
		v1alpha1.AnnotationResumed:  {"resumed", "Resumed"},
	}
}

// ordersDiffer reports whether a state of an object carries an order that the next does
// not.
func ordersDiffer(before, next client.Object) bool {
	for annotation := range orderKinds() {
		if text := before.GetAnnotations()[annotation]; text != "" && text != next.GetAnnotations()[annotation] {
			return true
		}
	}
	return false
}

// observe takes in changes of objects.
func (o *orders) observe(now time.Time, changes []change) {
	for _, c := range changes {
		kind, spec := ordered(c.object)
		if kind == "" {
			continue
		}
		if kind == "budget" && c.gone {
			delete(o.overrides, c.object.GetName())
		}
		for annotation, of := range orderKinds() {
			key := orderKey{kind, c.object.GetNamespace(), c.object.GetName(), annotation}
			text := c.object.GetAnnotations()[annotation]
			if c.gone || text == "" {
				delete(o.seen, key)
				continue
			}
			if o.seen[key] == text {
				continue
			}
			o.seen[key] = text
			o.record(now, c.object, key, of.action, of.event, spec)
		}
	}
}

// ordered names the kind of an object that orders are given on, with the pods that
// it makes; nil: none.
func ordered(object client.Object) (string, *corev1.PodSpec) {
	switch x := object.(type) {
	case *appsv1.Deployment:
		return "deploy", &x.Spec.Template.Spec
	case *batchv1.Job:
		return "job", &x.Spec.Template.Spec
	case *corev1.Pod:
		return "pod", &x.Spec
	case *corev1.Node:
		return "node", nil
	case *v1alpha1.PullBudget:
		return "budget", nil
	case *unstructured.Unstructured:
		if x.GetKind() == kube.RolloutKind {
			return "rollout", podsOf(x)
		}
	}
	return "", nil
}

// podsOf are the pods of a Rollout that carries an order: all that change are looked at,
// and few do. They are empty where a Deployment describes them.
func podsOf(u *unstructured.Unstructured) *corev1.PodSpec {
	if notes := u.GetAnnotations(); cmp.Or(notes[v1alpha1.AnnotationOverride], notes[v1alpha1.AnnotationPaused], notes[v1alpha1.AnnotationResumed]) == "" {
		return nil
	}
	r, err := kube.ReadRollout(u)
	if err != nil {
		return nil
	}
	return &r.Template.Spec
}

// record notes an order unless it was noted already.
func (o *orders) record(now time.Time, object client.Object, key orderKey, action, event string, spec *corev1.PodSpec) {
	order := orderOf(object.GetAnnotations()[key.annotation])
	record := v1alpha1.OverrideRecord{At: metav1.NewTime(order.At), By: order.By, Action: action, Object: key.kind + "/" + key.name, Reason: order.Reason}
	if key.namespace != "" {
		record.Object += " -n " + key.namespace
	}
	if o.recorded[essential(record)] || now.Sub(order.At) > orderAge {
		return
	}
	for old := range o.recorded {
		if now.Sub(old.At.Time) > orderAge {
			delete(o.recorded, old)
		}
	}
	o.recorded[essential(record)] = true
	o.events.Eventf(object, nil, corev1.EventTypeNormal, event, "Order", "%s", cut(fmt.Sprintf("%s by %s: %s", action, order.By, order.Reason), maxNote))
	for _, name := range o.concerns(object, spec) {
		list := append(o.overrides[name], record)
		o.overrides[name] = list[max(0, len(list)-maxOverrides):]
	}
}

// orderOf reads an order; what is none was given by somebody for some reason.
func orderOf(text string) v1alpha1.Order {
	order, err := v1alpha1.ParseOrder(text)
	if err != nil {
		order = v1alpha1.Order{}
	}
	order.By, order.Reason = cmp.Or(order.By, "somebody"), cmp.Or(strings.TrimSpace(order.Reason), "no reason given")
	return order
}

// concerns are the PullBudgets that an order is about.
func (o *orders) concerns(object client.Object, spec *corev1.PodSpec) []string {
	switch {
	case spec != nil:
		return o.budgets(object.GetNamespace(), spec)
	case object.GetNamespace() == "":
		if b, ok := object.(*v1alpha1.PullBudget); ok {
			return []string{b.Name}
		}
	}
	return nil
}

// of is what the status of a PullBudget should say; last is what it says.
func (o *orders) of(name string, last []v1alpha1.OverrideRecord) []v1alpha1.OverrideRecord {
	if list := o.overrides[name]; len(list) > 0 {
		return list
	}
	return last
}

// who says by whose order a pod or Job goes; empty where it goes by nobody's.
func (o *orders) who(object client.Object, reason core.Reason) string {
	if reason != core.Override {
		return ""
	}
	text := object.GetAnnotations()[v1alpha1.AnnotationOverride]
	if pod, ok := object.(*corev1.Pod); ok && text == "" {
		owner := kube.OwnerOf(pod)
		text = o.seen[orderKey{ownerKinds()[owner.Kind], owner.Namespace, owner.Name, v1alpha1.AnnotationOverride}]
	}
	if text == "" {
		return ""
	}
	order := orderOf(text)
	return fmt.Sprintf(" (%s: %s)", order.By, order.Reason)
}

// ownerKinds are the kinds of workloads that orders are given on.
func ownerKinds() map[string]string { return map[string]string{"Deployment": "deploy", "Job": "job"} }
