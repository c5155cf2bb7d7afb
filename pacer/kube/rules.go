package kube

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
)

// Rules are the PullBudgets and PacePolicies of a cluster, read and put in order.
// They are not changed after NewRules and safe for concurrent use.
type Rules struct {
	budgets  []*budget
	policies []*policy
}

// NewRules reads PullBudgets and PacePolicies. Those that cannot be used are left
// out and named in the error, which joins one *InvalidError for each.
func NewRules(budgets []v1alpha1.PullBudget, policies []v1alpha1.PacePolicy) (*Rules, error) {
	r := &Rules{}
	var errs []error
	for i := range budgets {
		b, err := newBudget(&budgets[i])
		if err != nil {
			errs = append(errs, &InvalidError{Kind: "PullBudget", Name: budgets[i].Name, Err: err})
			continue
		}
		r.budgets = append(r.budgets, b)
	}
	for i := range policies {
		p, err := newPolicy(&policies[i])
		if err != nil {
			errs = append(errs, &InvalidError{Kind: "PacePolicy", Name: policies[i].Name, Err: err})
			continue
		}
		r.policies = append(r.policies, p)
	}
	sortBudgets(r.budgets)
	sortPolicies(r.policies)
	return r, errors.Join(errs...)
}

// choosesAs reports whether both choose the same for every pod and node: they differ in
// what their accounts are told at most, as when a person pauses one.
func (r *Rules) choosesAs(other *Rules) bool {
	same := func(a, b *budget) bool { return reflect.DeepEqual(a.choice(), b.choice()) }
	return slices.EqualFunc(r.budgets, other.budgets, same) && reflect.DeepEqual(r.policies, other.policies)
}

// InvalidError says that an object cannot be used.
type InvalidError struct {
	Kind, Name string
	Err        error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("reading %s %q: %v", e.Kind, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// selector reads a label selector; nil stands for everything.
func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil || (len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0) {
		return nil, nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

func newBudget(b *v1alpha1.PullBudget) (*budget, error) {
	if err := b.Spec.Validate().ToAggregate(); err != nil {
		return nil, err
	}
	out := &budget{
		name: b.Name, created: b.CreationTimestamp.Time, identity: identity(b),
		credentials: b.Spec.Identity == v1alpha1.Credentials, settings: b.Spec.Settings(), breaker: b.Spec.BreakerSettings(),
		paused: b.Annotations[v1alpha1.AnnotationPaused] != "", resumed: resumedAt(b), generation: b.Generation,
	}
	for _, host := range append([]string{b.Spec.Registry}, b.Spec.UpstreamOf...) {
		out.hosts = append(out.hosts, Host(host))
	}
	var err error
	var nodes []metav1.LabelSelector
	if m := b.Spec.Match; m != nil {
		out.pullSecrets, out.serviceAccounts = m.PullSecretNames, m.ServiceAccounts
		if out.namespaces, err = selector(m.NamespaceSelector); err != nil {
			return nil, fmt.Errorf("reading spec.match.namespaceSelector: %w", err)
		}
		if m.NodeSelector != nil {
			nodes = append(nodes, *m.NodeSelector)
		}
	}
	if e := b.Spec.Egress; e != nil {
		out.perNode, out.egressName = e.PerNode, e.Name
		if e.NodeSelector != nil {
			nodes = append(nodes, *e.NodeSelector)
		}
	}
	if out.egressName == "" {
		out.egressName = b.Name
	}
	if out.nodes, err = both(nodes); err != nil {
		return nil, fmt.Errorf("reading the node selectors: %w", err)
	}
	return out, nil
}

// both is the selector that all of the selectors make together; nil: everything.
func both(selectors []metav1.LabelSelector) (labels.Selector, error) {
	var all labels.Selector
	for i := range selectors {
		s, err := selector(&selectors[i])
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		if all == nil {
			all = s
			continue
		}
		requirements, _ := s.Requirements()
		all = all.Add(requirements...)
	}
	return all, nil
}

// identity names what the registry sees, as part of an account's name.
func identity(b *v1alpha1.PullBudget) string {
	switch b.Spec.Identity {
	case v1alpha1.Credentials:
		if b.Spec.Credentials != nil {
			return b.Spec.Credentials.SecretName
		}
		return b.Name
	case v1alpha1.NodeCredentials:
		return "node-credentials"
	}
	return "anonymous"
}

// Case is a pod at admission with what the caches know around it.
type Case struct {
	Pod       *corev1.Pod
	Namespace *corev1.Namespace
	// Deployment is the owner of the pod's ReplicaSet, Job its owner; nil: not known.
	Deployment *appsv1.Deployment
	Job        *batchv1.Job
	// Unguarded says that old pods of its Deployment may be deleted before this one is
	// ready, and that nothing keeps them while it is held.
	Unguarded bool
	// Gated is how many pods of the namespace are held already, those that held Jobs
	// will make among them.
	Gated int
	// Hopeless are the PullBudgets, by name, of which more is asked than they give.
	Hopeless map[string]bool
}

// Verdict is what admission does with a pod.
type Verdict struct {
	// Hold says that the gate goes on, for MaxHold at most. With Reason Shadow it
	// does not, and MaxHold is for how long it would be on.
	Hold    bool
	MaxHold time.Duration
	// Pause says that a rollout of its Deployment is to be paused before its first pod.
	Pause bool
	// Reason says why the pod is not held; empty where it is.
	Reason core.Reason
}

// Judge decides whether a pod is held at admission. In doubt it is not.
func (r *Rules) Judge(c Case) Verdict { return r.judge(c, c.singly()) }

// JudgeJob decides whether the Job of a case is held at admission: all of its pods go
// together then. Its pods are judged by its template; what admission adds to
// them later, as the pull secrets of their service account, is not known yet.
func (r *Rules) JudgeJob(c Case) Verdict {
	c.Pod = standIn(c.Job, 0)
	return r.judge(c, suspendable(c.Job))
}

// JudgeStep decides whether the step of a Rollout whose pods the case's stands for is
// held: all of them go together then.
func (r *Rules) JudgeStep(c Case) Verdict {
	asMade := *c.Pod
	asMade.Spec.SchedulingGates = nil
	c.Pod = &asMade
	return r.judge(c, true)
}

// singly reports whether a pod is of those that are held one by one: those of
// Deployments, those of Jobs that no deadline ends, and those of nobody, which CI
// runners make.
func (c Case) singly() bool {
	switch OwnerOf(c.Pod).Kind {
	case "Deployment", "Pod":
		return true
	case "Job":
		return c.Job != nil && !HasDeadline(c.Job)
	}
	return false
}

// judge decides on a pod of a workload that may be held, or not.
func (r *Rules) judge(c Case, may bool) Verdict {
	if excluded(c.Pod) {
		return Verdict{Reason: core.Excluded}
	}
	if c.Namespace == nil || !optedIn(c.Namespace) || switchedOff(c.Namespace) {
		return Verdict{Reason: core.NotOptedIn}
	}
	rules := policyFor(r.policies, c.Namespace.Labels, c.Pod.Labels)
	switch {
	case rules == nil:
		return Verdict{Reason: core.NotOptedIn}
	case !may:
		return Verdict{Reason: core.Excluded}
	case !r.paces(c.Pod, c.Namespace.Labels):
		return Verdict{Reason: core.NoBudget}
	}
	if reason := rules.deletesFirst(c.Deployment); reason != "" {
		return Verdict{Reason: reason}
	}
	switch {
	case rules.spec.Mode != v1alpha1.Enforce && rules.spec.Mode != v1alpha1.Shadow:
		return Verdict{Reason: core.NotOptedIn}
	case c.Unguarded && rules.spec.Mode == v1alpha1.Enforce, c.Gated >= int(*rules.spec.MaxGatedPerNamespace):
		return Verdict{Reason: core.Excluded}
	case r.hopeless(c):
		return Verdict{Reason: core.Hopeless}
	}
	v := Verdict{Hold: true, MaxHold: rules.spec.HoldFor(rules.classOf(c.Pod))}
	v.Pause = rules.spec.DeleteFirst == v1alpha1.PauseRollout && c.Deployment != nil && DeletesFirst(c.Deployment)
	if rules.spec.Mode == v1alpha1.Shadow {
		v.Hold, v.Pause, v.Reason = false, false, core.Shadow
	}
	return v
}

// neverNamespaces are the namespaces whose pods are never held.
var neverNamespaces = []string{metav1.NamespaceSystem, v1alpha1.Namespace}

// excluded reports whether a pod is of those that are never held.
func excluded(p *corev1.Pod) bool {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	_, kueue := p.Labels[kueueManaged]
	_, queued := p.Labels[kueueQueue]
	return p.Spec.NodeName != "" || mirror || kueue || queued || gate.Gated(p) || systemPriority(&p.Spec) ||
		slices.Contains(neverNamespaces, p.Namespace)
}

// hopeless reports whether waiting brings the pod nothing: all that it pulls draws on
// budgets of which more is asked than they give.
func (r *Rules) hopeless(c Case) bool {
	none := true
	for _, image := range Pulls(&c.Pod.Spec) {
		for _, b := range r.budgets {
			if !b.covers(image.Host, &c.Pod.Spec, c.Namespace.Labels) {
				continue
			}
			if !c.Hopeless[b.name] {
				return false
			}
			none = false
			if b.nodes == nil && !b.perNode {
				break // others are not asked
			}
		}
	}
	return !none
}

// paces reports whether any image of the pod draws on a budget.
func (r *Rules) paces(p *corev1.Pod, namespaceLabels map[string]string) bool {
	for _, image := range Pulls(&p.Spec) {
		for _, b := range r.budgets {
			if b.covers(image.Host, &p.Spec, namespaceLabels) {
				return true
			}
		}
	}
	return false
}
