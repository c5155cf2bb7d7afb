package kube

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// slipMargin is how long after a namespace was opted in, or after its rules were
// made, a pod may have been created without the webhook: times are whole seconds,
// and the API server takes a moment to know of a label.
const slipMargin = 2 * time.Second

// newestSlipped is how many pods that slipped by are named.
const newestSlipped = 5

// slip is a living pod that should have been held and that the webhook never saw.
type slip struct {
	policy  string
	name    string // namespace/name
	created time.Time
}

// noteSlipped keeps the list of pods that slipped by. It costs nothing for a pod
// that was seen.
func (t *Tracker) noteSlipped(p *trackedPod) {
	id := PodID(p.object)
	policy := t.slippedBy(p)
	if policy == "" {
		delete(t.slipped, id)
		return
	}
	t.slipped[id] = slip{policy: policy, name: p.object.Namespace + "/" + p.object.Name, created: p.object.CreationTimestamp.Time}
}

// slippedBy is the PacePolicy that would have held a pod which the webhook never
// saw; empty: it was seen, or nobody would have held it.
func (t *Tracker) slippedBy(p *trackedPod) string {
	a := p.object.Annotations
	if _, standIn := t.standIns[PodID(p.object)]; standIn {
		return ""
	}
	if a[v1alpha1.AnnotationSeen] != "" || a[v1alpha1.AnnotationRelease] != "" || p.object.DeletionTimestamp != nil {
		return ""
	}
	ns := t.namespace(p.object.Namespace)
	created := p.object.CreationTimestamp.Time
	if !ns.enabled || ns.since.IsZero() || !created.After(ns.since.Add(slipMargin)) {
		return ""
	}
	if own := t.namespace(v1alpha1.Namespace).object; own != nil && !created.After(own.CreationTimestamp.Add(slipMargin)) {
		return "" // Pace was not there, or was there before and took its marks with it
	}
	c, known := t.caseOf(p, ns)
	if !known {
		return ""
	}
	// As it was when it was created, before the scheduler chose a node.
	asCreated := *p.object
	asCreated.Spec.NodeName = ""
	c.Pod = &asCreated
	return t.rules.slippedBy(c, created)
}

// caseOf is what is known around a pod. It reports false for a pod of which only its
// creator knows whether the scheduler chose its node: the webhook is not shown pods
// that come with one, and no template tells of a pod that nobody owns.
func (t *Tracker) caseOf(p *trackedPod, ns *namespace) (Case, bool) {
	c := Case{Namespace: ns.object}
	if w := t.workloads[p.owner]; w != nil {
		c.Deployment = w.object
	}
	switch p.owner.Kind {
	case "Deployment":
		set := t.sets[p.set]
		return c, set == nil || set.template == nil || set.template.Spec.NodeName == ""
	case jobKind:
		job := t.jobs[p.owner]
		if job == nil {
			return c, false
		}
		c.Job = job.object
		return c, job.object.Spec.Template.Spec.NodeName == ""
	}
	return c, false
}

// slippedBy is the PacePolicy that would have held a pod of that time; empty: none.
func (r *Rules) slippedBy(c Case, created time.Time) string {
	if !r.Judge(c).Hold {
		return ""
	}
	policy := policyFor(r.policies, c.Namespace.Labels, c.Pod.Labels)
	if policy == nil || !created.After(policy.created.Add(slipMargin)) {
		return ""
	}
	for _, image := range Pulls(&c.Pod.Spec) {
		for _, b := range r.budgets {
			if b.covers(image.Host, &c.Pod.Spec, c.Namespace.Labels) && created.After(b.created.Add(slipMargin)) {
				return policy.name
			}
		}
	}
	return ""
}

// Policies names the PacePolicies, the oldest first.
func (t *Tracker) Policies() []string {
	var names []string
	for _, p := range t.rules.policies {
		names = append(names, p.name)
	}
	return names
}

// SlippedPods is how many living pods slipped by.
func (t *Tracker) SlippedPods() int { return len(t.slipped) }

// Slipped counts the living pods of each PacePolicy that slipped by.
func (t *Tracker) Slipped() map[string]int {
	n := map[string]int{}
	for _, s := range t.slipped {
		n[s.policy]++
	}
	return n
}

// NewestSlipped names the newest few pods of a PacePolicy that slipped by, as
// namespace/name.
func (t *Tracker) NewestSlipped(policy string) []string {
	var all []slip
	for _, id := range slices.Sorted(maps.Keys(t.slipped)) {
		if s := t.slipped[id]; s.policy == policy {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b slip) int { return cmp.Or(b.created.Compare(a.created), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, s := range all[:min(len(all), newestSlipped)] {
		names = append(names, s.name)
	}
	return names
}

// optedInAt is since when a namespace carries the label that opts it in, as its
// managed fields tell; zero: they do not.
func optedInAt(n *corev1.Namespace) time.Time {
	var at time.Time
	for _, entry := range n.ManagedFields {
		// Of several owners all wrote the value that is there; the first did it.
		if entry.Time != nil && ownsOptIn(entry.FieldsV1) && (at.IsZero() || entry.Time.Time.Before(at)) {
			at = entry.Time.Time
		}
	}
	return at
}

// ownsOptIn reports whether fields hold the label that opts a namespace in.
func ownsOptIn(f *metav1.FieldsV1) bool {
	var fields struct {
		Metadata struct {
			Labels map[string]json.RawMessage `json:"f:labels"`
		} `json:"f:metadata"`
	}
	if f == nil || json.Unmarshal(f.GetRawBytes(), &fields) != nil {
		return false
	}
	_, owns := fields.Metadata.Labels["f:"+v1alpha1.LabelPace]
	return owns
}

// TrimNamespace is what an informer is to keep of a namespace: of its managed fields
// only those that tell since when it is opted in. Other objects stay as they are.
func TrimNamespace(object any) (any, error) {
	if n, ok := object.(*corev1.Namespace); ok {
		n.ManagedFields = slices.DeleteFunc(n.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return !ownsOptIn(e.FieldsV1) })
	}
	return object, nil
}
