package kube

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
)

// BenchmarkNodesJoin has 500 nodes join a cluster of 5,000 with 20 DaemonSets, decides,
// and says which are to be held: a turn in which all of them were seen.
func BenchmarkNodesJoin(b *testing.B) {
	rules, err := NewRules([]v1alpha1.PullBudget{makeBudget("hub", "docker.io")},
		[]v1alpha1.PacePolicy{makePolicy("default", func(p *v1alpha1.PacePolicy) { p.Spec.Nodes = &v1alpha1.Nodes{Hold: true} })})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		tr, e := NewTracker(), engine.New(engine.Config{})
		observe := func(events []engine.Event) {
			for _, ev := range events {
				e.Observe(start, ev)
			}
		}
		observe(tr.NodesHoldable(start, true))
		observe(tr.Rules(rules))
		for i := range 20 {
			observe(tr.DaemonSet(start, makeDaemonSet(fmt.Sprint("agent-", i))))
		}
		for i := range 5000 {
			observe(tr.Node(start, makeNode(fmt.Sprint("old-", i), allocatable("4", "8Gi", "110"), func(n *corev1.Node) {
				n.CreationTimestamp = metav1.NewTime(start.Add(-100 * time.Hour))
			})))
		}
		e.Decide(start)
		b.StartTimer()
		for i := range 500 {
			observe(tr.Node(start, makeNode(fmt.Sprint("new-", i), joining, func(n *corev1.Node) { delete(n.Labels, LabelNodePool) })))
		}
		observe(tr.Advance(start))
		hold, _ := tr.Waiting(e.Decide(start))
		if len(hold) != 500 {
			b.Fatalf("%d nodes to be held, want all 500", len(hold))
		}
	}
}
