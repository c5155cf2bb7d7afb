package kube

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
)

// doubts is what does not add up between rules and pods: policies of which another
// rules their pods, and pods that a budget with a login means and that carry none.
// Pods are counted, so that each change of one costs no look at the others.
type doubts struct {
	overlaps  map[overlap]int
	anonymous map[string]map[Owner]int
}

// overlap is a policy and the older one that rules a pod which both select.
type overlap struct{ younger, older string }

// podDoubts is what one pod counts in.
type podDoubts struct {
	overlaps  []overlap
	anonymous []string
}

func newDoubts() doubts {
	return doubts{overlaps: map[overlap]int{}, anonymous: map[string]map[Owner]int{}}
}

// noteDoubts counts a pod in by the rules of now.
func (t *Tracker) noteDoubts(p *trackedPod) {
	t.dropDoubts(p)
	ns := t.namespace(p.object.Namespace)
	if ns.labels == nil {
		return
	}
	if ns.enabled && !ns.off {
		p.doubts.overlaps = overlaps(t.rules.policies, ns.labels, p.object.Labels)
	}
	for _, b := range t.rules.budgets {
		if b.lacksLogin(&p.object.Spec, ns.labels) {
			p.doubts.anonymous = append(p.doubts.anonymous, b.name)
		}
	}
	for _, o := range p.doubts.overlaps {
		t.doubts.overlaps[o]++
	}
	for _, name := range p.doubts.anonymous {
		if t.doubts.anonymous[name] == nil {
			t.doubts.anonymous[name] = map[Owner]int{}
		}
		t.doubts.anonymous[name][p.owner]++
	}
}

// dropDoubts counts a pod out.
func (t *Tracker) dropDoubts(p *trackedPod) {
	for _, o := range p.doubts.overlaps {
		if t.doubts.overlaps[o]--; t.doubts.overlaps[o] <= 0 {
			delete(t.doubts.overlaps, o)
		}
	}
	for _, name := range p.doubts.anonymous {
		owners := t.doubts.anonymous[name]
		if owners[p.owner]--; owners[p.owner] <= 0 {
			delete(owners, p.owner)
		}
	}
	p.doubts = podDoubts{}
}

// overlaps are the policies that select a pod and do not rule it.
func overlaps(policies []*policy, namespaceLabels, podLabels map[string]string) []overlap {
	var out []overlap
	rules := policyFor(policies, namespaceLabels, podLabels)
	for i, p := range policies {
		if p != rules && policyFor(policies[i:i+1], namespaceLabels, podLabels) != nil {
			out = append(out, overlap{younger: p.name, older: rules.name})
		}
	}
	return out
}

// Overlapped are the PacePolicies of which an older one rules pods, with the name of
// that one: pods that are there, or all that could come.
func (t *Tracker) Overlapped() map[string]string {
	out := map[string]string{}
	for i, p := range t.rules.policies {
		for _, older := range t.rules.policies[:i] {
			if t.doubts.overlaps[overlap{p.name, older.name}] > 0 || older.includes(p) {
				out[p.name] = older.name
				break
			}
		}
	}
	return out
}

// includes reports whether a policy selects all that another one selects, as far as
// that shows without a pod.
func (p *policy) includes(other *policy) bool {
	same := func(a, b interface{ String() string }) bool { return a.String() == b.String() }
	namespaces := p.namespaces == nil || other.namespaces != nil && same(p.namespaces, other.namespaces)
	return namespaces && (p.pods == nil || other.pods != nil && same(p.pods, other.pods))
}

// lacksLogin reports whether the budget means the pod, and the pod carries no pull
// secret with which it would be charged to the budget's login. That of its
// ServiceAccount needs no look: admission copies it into the pod.
func (b *budget) lacksLogin(spec *corev1.PodSpec, namespaceLabels map[string]string) bool {
	if !b.credentials || (b.namespaces == nil && len(b.serviceAccounts) == 0) || !b.means(spec, namespaceLabels) {
		return false
	}
	if len(b.pullSecrets) == 0 {
		return len(spec.ImagePullSecrets) == 0 && b.pulledBy(spec)
	}
	return !b.carriesSecret(spec) && b.pulledBy(spec)
}

// pulledBy reports whether the pod runs an image of one of the budget's hosts.
func (b *budget) pulledBy(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(Pulls(spec), func(i Pull) bool { return slices.Contains(b.hosts, i.Host) })
}

// Anonymous are the workloads that a PullBudget with a login means and whose pods
// carry no pull secret for it, sorted.
func (t *Tracker) Anonymous(budget string) []Owner {
	return slices.SortedFunc(maps.Keys(t.doubts.anonymous[budget]), compareOwners)
}

// Drawing are the workloads whose pods draw on an account first, sorted.
func (t *Tracker) Drawing(id core.AccountID) []Owner {
	owners := map[Owner]bool{}
	for _, g := range t.groups {
		for _, use := range g.announced.Images {
			if len(use.Accounts) > 0 && use.Accounts[0] == id {
				owners[g.owner] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(owners), compareOwners)
}

func compareOwners(a, b Owner) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}
