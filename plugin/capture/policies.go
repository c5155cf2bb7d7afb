package capture

import (
	"maps"
	"slices"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// writePolicies writes the cluster as it is, and paced by its own policy and
// budgets.
func (s *capture) writePolicies(p *page) {
	p.linef("  policies:")
	p.linef("  - {name: none, unpaced: {}}")
	p.linef("  - name: pace")
	var spec v1alpha1.PacePolicySpec
	if len(s.Policies) > 0 {
		p.linef("    # The oldest PacePolicy, without what it selects by labels; it holds here whatever its mode is.")
		spec = s.policy(s.Policies[0].Spec)
	}
	p.linef("    pace:\n      policy: %s", inJSON(spec))
	p.linef("      budgets:%s", map[bool]string{true: " {}"}[len(s.Budgets) == 0])
	for _, host := range s.hosts() {
		if budgets := s.budgetsOf(host); len(budgets) > 0 {
			p.linef("        %s: %s", quote(s.names.host(host)), inJSON(s.budget(budgets[0].Spec)))
		}
	}
	p.linef("  goals:")
	p.linef(`  - {policy: pace, metric: throttled, op: "==", value: 0}`)
}

// policy is a policy as a scenario can follow it: nothing there has labels or
// PriorityClasses, and the workloads have their classes already.
func (s *capture) policy(from v1alpha1.PacePolicySpec) v1alpha1.PacePolicySpec {
	spec := *from.DeepCopy()
	spec.Mode, spec.NamespaceSelector, spec.PodSelector, spec.Classes = "", nil, nil, nil
	if spec.DeleteFirst == v1alpha1.PauseRollout {
		spec.DeleteFirst = ""
	}
	for i := range spec.Weights {
		spec.Weights[i].Namespace = s.names.of("namespace", spec.Weights[i].Namespace)
	}
	slices.SortFunc(spec.Weights, func(a, b v1alpha1.NamespaceWeight) int {
		if a.Namespace < b.Namespace {
			return -1
		}
		return 1
	})
	return spec
}

// budget is a budget as a scenario can follow it: what selects pods and nodes is in
// the file's own words, and where a probe goes is the simulated registry's.
func (s *capture) budget(from v1alpha1.PullBudgetSpec) v1alpha1.PullBudgetSpec {
	spec := *from.DeepCopy()
	spec.Registry = s.names.host(kube.Host(spec.Registry))
	spec.Match, spec.Egress = nil, nil
	spec.Mirrors, spec.UpstreamOf = s.hostNames(spec.Mirrors), s.hostNames(spec.UpstreamOf)
	if spec.Probe != nil {
		spec.Probe = &v1alpha1.Probe{Interval: spec.Probe.Interval}
	}
	if spec.Credentials != nil && s.names.hidden() {
		spec.Credentials.SecretName = "login"
	}
	return spec
}

func (s *capture) hostNames(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		out = append(out, s.names.host(kube.Host(h)))
	}
	slices.Sort(out)
	return out
}

func sortedWords(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
