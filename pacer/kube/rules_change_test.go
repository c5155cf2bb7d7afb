package kube

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
)

// TestChangedRulesTellTheSame changes rules over pods and nodes that are known already:
// what is known afterwards is what would be with the new rules from the start. What is for
// accounts alone announces accounts alone.
func TestChangedRulesTellTheSame(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		budget func(*v1alpha1.PullBudget)
		policy func(*v1alpha1.PacePolicy)
		// accounts says that nothing but accounts is announced.
		accounts bool
	}{
		"nothing":        {accounts: true},
		"paused":         {budget: func(b *v1alpha1.PullBudget) { b.Annotations = map[string]string{v1alpha1.AnnotationPaused: "kim"} }, accounts: true},
		"generation":     {budget: func(b *v1alpha1.PullBudget) { b.Generation++ }, accounts: true},
		"reserve":        {budget: func(b *v1alpha1.PullBudget) { b.Spec.Reserve = &v1alpha1.Reserve{Percent: new(int32(7))} }, accounts: true},
		"another host":   {budget: func(b *v1alpha1.PullBudget) { b.Spec.Registry = "ghcr.io" }},
		"one host more":  {budget: func(b *v1alpha1.PullBudget) { b.Spec.UpstreamOf = []string{"mirror.test"} }},
		"egress by node": {budget: func(b *v1alpha1.PullBudget) { b.Spec.Egress = &v1alpha1.Egress{PerNode: true} }},
		"of some nodes": {budget: func(b *v1alpha1.PullBudget) {
			b.Spec.Egress = &v1alpha1.Egress{Name: "nat", NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}}
		}},
		"of some namespaces": {budget: func(b *v1alpha1.PullBudget) {
			b.Spec.Match = &v1alpha1.BudgetMatch{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}}
		}},
		"of some accounts": {budget: func(b *v1alpha1.PullBudget) { b.Spec.Match = &v1alpha1.BudgetMatch{ServiceAccounts: []string{"ci"}} }},
		"another mode":     {policy: func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow }},
		"waves":            {policy: func(p *v1alpha1.PacePolicy) { p.Spec.Waves = &v1alpha1.Waves{Size: 7} }},
		"of other pods": {policy: func(p *v1alpha1.PacePolicy) {
			p.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "none"}}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default"))
			var edits []func(*v1alpha1.PullBudget)
			if tc.budget != nil {
				edits = append(edits, tc.budget)
			}
			policy := makePolicy("default")
			if tc.policy != nil {
				tc.policy(&policy)
			}
			after := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io", edits...)}, policy)
			cluster := func(rules *Rules) *Tracker {
				tr := NewTracker()
				tr.Namespace(makeNamespace("shop"))
				tr.Rules(rules)
				for _, zone := range []string{"a", "b"} {
					tr.Node(start, makeNode(zone, func(n *corev1.Node) { n.Labels["zone"] = zone }))
				}
				tr.Pod(start, makePod("v1", 1))
				return tr
			}
			tr := cluster(before)
			events := tr.Rules(after)
			if diff := cmp.Diff(cluster(after).World(), tr.World()); diff != "" {
				t.Errorf("(-these rules from the start +changed):\n%s", diff)
			}
			if tc.accounts && slices.ContainsFunc(events, func(ev engine.Event) bool { return ev.Account == nil }) {
				t.Errorf("announced %+v, want accounts alone", events)
			}
			if got, want := after.choosesAs(before), tc.accounts; got != want {
				t.Errorf("choose the same: %v, want %v", got, want)
			}
		})
	}
}
