package kube

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
)

// TestNodesThatAreAccountsComeAndGo has nodes join, leave and be relabelled in any order,
// of which some are accounts of their own by one budget or by two, while pods are there:
// once time advances, all is known that would be if the nodes had been there at first.
func TestNodesThatAreAccountsComeAndGo(t *testing.T) {
	t.Parallel()
	own := func(label string) func(*v1alpha1.PullBudget) {
		return func(b *v1alpha1.PullBudget) {
			b.Spec.Egress = &v1alpha1.Egress{PerNode: true, NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label: "yes"}}}
		}
	}
	rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io"), makeBudget("own", "docker.io", own("own")), makeBudget("public", "docker.io", own("public"))}, makePolicy("default"))
	rapid.Check(t, func(t *rapid.T) {
		begin := func() *Tracker {
			tr := NewTracker()
			tr.Namespace(makeNamespace("shop"))
			tr.Rules(rules)
			return tr
		}
		pods := func(tr *Tracker) {
			for i := range 3 {
				tr.Pod(start, makePod("v1", i))
			}
		}
		tr, nodes := begin(), map[string]*corev1.Node{}
		pods(tr)
		told := map[string]bool{}
		note := func(events []engine.Event) {
			for _, ev := range events {
				if ev.Account != nil {
					told[string(ev.Account.ID)] = true
				}
				delete(told, string(ev.AccountGone))
			}
		}
		note(tr.World().Events)
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			name := fmt.Sprint("n", rapid.IntRange(0, 3).Draw(t, "node"))
			if nodes[name] != nil && rapid.Bool().Draw(t, "leaves") {
				delete(nodes, name)
				note(tr.NodeGone(name))
				continue
			}
			nodes[name] = makeNode(name, func(n *corev1.Node) {
				for _, label := range []string{"own", "public"} {
					if rapid.Bool().Draw(t, label) {
						n.Labels[label] = "yes"
					}
				}
			})
			note(tr.Node(start, nodes[name]))
		}
		note(tr.Advance(start))
		fresh := begin()
		for _, name := range slices.Sorted(maps.Keys(nodes)) {
			fresh.Node(start, nodes[name])
		}
		pods(fresh)
		fresh.Advance(start)
		if diff := cmp.Diff(fresh.World(), tr.World()); diff != "" {
			t.Fatalf("(-nodes at first +nodes that came and went):\n%s", diff)
		}
		if len(told) != len(tr.accounts) {
			t.Fatalf("%d accounts were announced, want %d", len(told), len(tr.accounts))
		}
	})
}
