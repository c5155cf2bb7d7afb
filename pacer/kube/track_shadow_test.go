package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// passed is a pod that admission saw and did not hold.
func passed(p *corev1.Pod) {
	ungated(p)
	p.Annotations = map[string]string{v1alpha1.AnnotationSeen: "2026-03-01T12:00:00Z"}
}

func shadowPolicy(edit ...func(*v1alpha1.PacePolicy)) v1alpha1.PacePolicy {
	return makePolicy("watching", append(edit, func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow })...)
}

func TestPassed(t *testing.T) {
	t.Parallel()
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "n1" }
	tests := map[string]struct {
		pod    func(*corev1.Pod)
		before func(*Tracker)
		after  func(*testing.T, *Tracker)
		want   bool
	}{
		"held but for the mode":    {want: true},
		"bound before it was seen": {pod: onNode, want: true},
		"made for a node":          {pod: onNode, before: func(tr *Tracker) { tr.ReplicaSet(boundSet()) }},
		"not seen by admission":    {pod: func(p *corev1.Pod) { delete(p.Annotations, v1alpha1.AnnotationSeen) }},
		"held in truth":            {pod: func(p *corev1.Pod) { gate.Hold(p, start, time.Hour) }},
		"of a Job": {
			pod: func(p *corev1.Pod) {
				p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "Job", "nightly"
			},
			before: func(tr *Tracker) {
				tr.Job(start, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly"}})
			},
			want: true,
		},
		"of a Job with a deadline": {
			pod: func(p *corev1.Pod) { p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "Job", "seed" },
			before: func(tr *Tracker) {
				tr.Job(start, makeJob(func(j *batchv1.Job) { j.Namespace, j.Name = "shop", "seed" }))
			},
			want: true,
		},
		"of a Job that somebody else starts": {
			pod: func(p *corev1.Pod) { p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "Job", "seed" },
			before: func(tr *Tracker) {
				tr.Job(start, makeJob(func(j *batchv1.Job) {
					j.Namespace, j.Name, j.Labels = "shop", "seed", map[string]string{kueueQueue: "team"}
				}))
			},
		},
		"of a workload that is no rule": {pod: func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }},
		"recreated": {before: func(tr *Tracker) {
			tr.Deployment(makeDeployment(1, true, func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }))
		}},
		"as many as may be held":  {before: func(tr *Tracker) { tr.InShadow(map[string]int{"shop": int(v1alpha1.DefaultMaxGated)}) }},
		"policy enforces by then": {after: func(t *testing.T, tr *Tracker) { tr.Rules(mustRules(t, nil, makePolicy("watching"))) }},
		"switched off by then": {after: func(_ *testing.T, tr *Tracker) {
			tr.Namespace(makeNamespace("shop", func(n *corev1.Namespace) {
				n.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
			}))
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, shadowPolicy()))
			if tc.before != nil {
				tc.before(tr)
			}
			pod := makePod("v1", 1, passed)
			if tc.pod != nil {
				tc.pod(pod)
			}
			tr.Pod(start, pod)
			if tc.after != nil {
				tc.after(t, tr)
			}
			got, ok := tr.Passed(PodID(pod))
			if ok != tc.want {
				t.Fatalf("passed %v, want %v", ok, tc.want)
			}
			want := Passed{Policy: "watching", HoldUntil: pod.CreationTimestamp.Add(v1alpha1.DefaultMaxHold)}
			if diff := cmp.Diff(want, got); ok && diff != "" {
				t.Errorf("passed (-want +got):\n%s", diff)
			}
		})
	}
}

// boundSet is a ReplicaSet whose template names a node.
func boundSet() *appsv1.ReplicaSet {
	set := makeSet("v1", 1, 1, 0, 0)
	set.Spec.Template.Spec.NodeName = "n1"
	return set
}

// TestGroupsAreTheSameInShadow compares the groups of held pods with those of pods
// that pass, in every lane.
func TestGroupsAreTheSameInShadow(t *testing.T) {
	t.Parallel()
	sets := map[string][]*appsv1.ReplicaSet{
		"normal":   {makeSet("v1", 1, 3, 0, 0)},
		"repair":   {makeSet("v1", 1, 3, 3, 0)},
		"rollback": {makeSet("v2", 2, 3, 3, time.Minute), makeSet("v1", 3, 3, 0, 0)},
	}
	for name, sets := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			groups := func(policy v1alpha1.PacePolicy, edit ...func(*corev1.Pod)) []engine.Group {
				tr := makeTracker(t)
				tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, policy))
				tr.Deployment(makeDeployment(3, false))
				for _, set := range sets {
					tr.ReplicaSet(set)
				}
				return groupsOf(tr.Pod(start, makePod("v1", 1, edit...)))
			}
			want, got := groups(makePolicy("holding")), groups(shadowPolicy(), passed)
			if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
				t.Errorf("groups (-Enforce +Shadow):\n%s", diff)
			}
			if name != "normal" && want[0].Lane == engine.LaneNormal {
				t.Errorf("lane %q of case %q", want[0].Lane, name)
			}
		})
	}
}

func TestWorldIsWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Pod(start, makePod("v1", 1))
	w := tr.World()
	kinds := map[string]int{}
	for _, ev := range w.Events {
		switch {
		case ev.Account != nil:
			kinds["account"]++
		case ev.Node != nil:
			kinds["node"]++
		case ev.Pool != nil:
			kinds["pool"]++
		case ev.Group != nil:
			kinds["group"]++
		case ev.Pod != nil:
			kinds["pod"]++
		}
	}
	if diff := cmp.Diff(map[string]int{"account": 1, "node": 3, "pool": 1, "group": 1, "pod": 1}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
