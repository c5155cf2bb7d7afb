package kube

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// BenchmarkRules takes in rules that changed in a cluster of 5,000 nodes with 50,000 pods
// of 500 workloads.
func BenchmarkRules(b *testing.B) {
	hub, policy := makeBudget("hub", "docker.io"), makePolicy("default")
	rules := func(hub v1alpha1.PullBudget, policy v1alpha1.PacePolicy) *Rules {
		r, err := NewRules([]v1alpha1.PullBudget{hub}, []v1alpha1.PacePolicy{policy})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	paused := hub.DeepCopy()
	paused.Annotations = map[string]string{v1alpha1.AnnotationPaused: "kim"}
	slower := policy.DeepCopy()
	slower.Spec.Waves = &v1alpha1.Waves{Size: 7}
	cases := map[string][2]*Rules{
		"paused": {rules(hub, policy), rules(*paused, policy)},
		"policy": {rules(hub, policy), rules(hub, *slower)},
	}
	for name, tc := range cases {
		b.Run(name, func(b *testing.B) {
			tr := NewTracker()
			tr.Namespace(makeNamespace("shop"))
			tr.Rules(tc[1])
			for i := range 5000 {
				tr.Node(start, makeNode(fmt.Sprint("n-", i)))
			}
			for i := range 50_000 {
				tr.Pod(start, makePod(fmt.Sprint("v", i/100), i, func(p *corev1.Pod) { p.Spec.NodeName = fmt.Sprint("n-", i%5000) }))
			}
			for i := 0; b.Loop(); i++ {
				tr.Rules(tc[i%2])
			}
		})
	}
}
