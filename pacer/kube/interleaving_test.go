package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// A sight is what a watch shows next of one kind.
type sight func(*Tracker)

// stream is all that the watch of one kind shows, in its order.
type stream []sight

// aRollout is a cluster through a rollout, as the watch of each kind shows it: pods of
// the first revision go, those of the second are held, let go and placed, and some of
// them pull.
func aRollout(t *rapid.T, rules *Rules) []stream {
	var nodes, sets, pods stream
	for i := range 3 {
		name := fmt.Sprint("n", i+1)
		nodes = append(nodes, func(tr *Tracker) { tr.Node(start, makeNode(name)) })
	}
	nodes = append(nodes,
		func(tr *Tracker) { tr.Node(start, makeNode("n1", lists("docker.io/acme/web:v1"))) },
		func(tr *Tracker) {
			tr.Node(start, makeNode("n1", lists("docker.io/acme/web:v1", "docker.io/acme/web:v2")))
		})
	if rapid.Bool().Draw(t, "a node goes") {
		nodes = append(nodes, func(tr *Tracker) { tr.NodeGone("n3") })
	}
	set := func(rs *appsv1.ReplicaSet) { sets = append(sets, func(tr *Tracker) { tr.ReplicaSet(rs) }) }
	set(makeSet("v1", 1, 3, 0, 0))
	set(makeSet("v2", 2, 1, 0, time.Hour))
	set(makeSet("v1", 1, 2, 0, 0))
	set(makeSet("v2", 2, 3, 0, time.Hour))
	pod := func(p *corev1.Pod) { pods = append(pods, func(tr *Tracker) { tr.Pod(start, p) }) }
	gone := func(p *corev1.Pod) { pods = append(pods, func(tr *Tracker) { tr.PodGone(PodID(p)) }) }
	for i := range 3 {
		pod(makePod("v1", i, running(fmt.Sprint("n", i+1))))
	}
	refused := waiting("ErrImagePull", "429 Too Many Requests")
	steps := []func(*corev1.Pod){func(*corev1.Pod) {}, ungated, bound("n2"), func(p *corev1.Pod) { bound("n2")(p); refused(p) }, running("n2")}
	for i := 10; i < 14; i++ {
		far := rapid.IntRange(1, len(steps)).Draw(t, "how far a pod comes")
		for _, step := range steps[:far] {
			pod(makePod("v2", i, step))
		}
		if rapid.IntRange(0, 3).Draw(t, "a pod goes") == 0 {
			gone(makePod("v2", i))
		}
	}
	gone(makePod("v1", 0))
	deployment := func(replicas int, complete bool) sight {
		return func(tr *Tracker) { tr.Deployment(makeDeployment(replicas, complete)) }
	}
	return []stream{
		{func(tr *Tracker) { tr.Namespace(makeNamespace("shop")) }},
		{func(tr *Tracker) { tr.Rules(&Rules{}) }, func(tr *Tracker) { tr.Rules(rules) }},
		nodes,
		{deployment(3, true), deployment(3, false), deployment(4, false)},
		sets,
		pods,
	}
}

// Kinds are watched apart: whatever is seen first, what is known in the end is the same.
func TestWhatIsSeenFirstMakesNoDifferenceInTheEnd(t *testing.T) {
	t.Parallel()
	rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default"))
	rapid.Check(t, func(t *rapid.T) {
		streams := aRollout(t, rules)
		want := NewTracker()
		for _, s := range streams {
			for _, sight := range s {
				sight(want)
			}
		}
		got := NewTracker()
		for left := len(streams); left > 0; {
			i := rapid.IntRange(0, len(streams)-1).Draw(t, "the kind that is seen next")
			if len(streams[i]) == 0 {
				left--
				streams = append(streams[:i], streams[i+1:]...)
				continue
			}
			streams[i][0](got)
			streams[i] = streams[i][1:]
		}
		if diff := cmp.Diff(want.World(), got.World()); diff != "" {
			t.Errorf("what is known (-kind by kind +as it was seen):\n%s", diff)
		}
	})
}
