package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

func TestChooseTakesTheOldestThatOnlyWeHold(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	var group core.GroupID
	for _, i := range []int{3, 1, 2, 4} {
		edit := func(*corev1.Pod) {}
		if i == 1 {
			edit = func(p *corev1.Pod) { p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, foreign()...) }
		}
		group = podsOf(tr.Pod(start, makePod("v1", i, edit)))[0].Group
	}
	names := func(r engine.Release) []string {
		var out []string
		for _, p := range tr.Choose(r) {
			out = append(out, p.Name)
		}
		return out
	}
	if diff := cmp.Diff([]string{"web-v1-2", "web-v1-3"}, names(engine.Release{Group: group, Count: 2})); diff != "" {
		t.Errorf("oldest two (-want +got):\n%s", diff)
	}
	tr.Leaving(PodID(makePod("v1", 2)), true)
	if diff := cmp.Diff([]string{"web-v1-3"}, names(engine.Release{Group: group, Count: 1})); diff != "" {
		t.Errorf("after one left (-want +got):\n%s", diff)
	}
	named := engine.Release{Group: group, Count: 1, Pods: []core.PodID{PodID(makePod("v1", 4))}}
	if diff := cmp.Diff([]string{"web-v1-4"}, names(named)); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
}

func TestFreedWhenTheGroundForHoldingIsGone(t *testing.T) {
	t.Parallel()
	off := func(n *corev1.Namespace) {
		n.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
	}
	budgets := []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}
	cases := map[string]struct {
		change func(t *testing.T, tr *Tracker)
		want   core.Reason
	}{
		"nothing":      {func(*testing.T, *Tracker) {}, ""},
		"switched off": {func(_ *testing.T, tr *Tracker) { tr.Namespace(makeNamespace("shop", off)) }, core.NotOptedIn},
		"label gone": {func(_ *testing.T, tr *Tracker) {
			tr.Namespace(makeNamespace("shop", func(n *corev1.Namespace) { n.Labels = nil }))
		}, core.NotOptedIn},
		"policy gone": {func(t *testing.T, tr *Tracker) { tr.Rules(mustRules(t, budgets)) }, core.NotOptedIn},
		"policy only shadow": {func(t *testing.T, tr *Tracker) {
			tr.Rules(mustRules(t, budgets, makePolicy("p", func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow })))
		}, core.Shadow},
		"turns out to be recreated": {func(_ *testing.T, tr *Tracker) { tr.Deployment(makeDeployment(1, false, recreated)) }, core.Recreate},
		"recreated of late": {func(_ *testing.T, tr *Tracker) {
			tr.Deployment(makeDeployment(1, false))
			tr.Deployment(makeDeployment(1, false, recreated))
		}, core.Recreate},
		"recreated no more": {func(_ *testing.T, tr *Tracker) {
			tr.Deployment(makeDeployment(1, false, recreated))
			tr.Deployment(makeDeployment(1, false))
		}, ""},
		"turns out to delete first": {func(t *testing.T, tr *Tracker) {
			tr.Rules(mustRules(t, budgets, makePolicy("p", func(p *v1alpha1.PacePolicy) { p.Spec.DeleteFirst = v1alpha1.NeverHold })))
			tr.Deployment(makeDeployment(1, false, func(d *appsv1.Deployment) {
				d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(1))}
			}))
		}, core.Excluded},
		"turns out to surge": {func(_ *testing.T, tr *Tracker) { tr.Deployment(makeDeployment(1, false)) }, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.Pod(start, makePod("v1", 1))
			tc.change(t, tr)
			got := tr.Freed()
			if tc.want == "" {
				if len(got) != 0 {
					t.Errorf("freed %v, want none", got)
				}
				return
			}
			if len(got) != 1 || got[0].Reason != tc.want {
				t.Errorf("freed %v, want one by %s", got, tc.want)
			}
		})
	}
}

// recreated has a Deployment delete all its pods before it makes the new ones.
func recreated(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }

func TestPodsOfAnUnseenNamespaceStayHeld(t *testing.T) {
	t.Parallel()
	tr := NewTracker()
	tr.Pod(start, makePod("v1", 1))
	if got := tr.Freed(); len(got) != 0 {
		t.Errorf("freed %v before the namespace was seen, want none", got)
	}
}

func TestOrdersOfPeople(t *testing.T) {
	t.Parallel()
	overrides := func(events []engine.Event) []core.PodID {
		var out []core.PodID
		for _, ev := range events {
			if ev.Override != nil {
				out = append(out, ev.Override.Pod)
			}
		}
		return out
	}
	order := func(at time.Duration) map[string]string {
		return map[string]string{v1alpha1.AnnotationOverride: v1alpha1.Order{By: "a", Reason: "b", At: start.Add(at)}.String()}
	}
	annotated := func(a map[string]string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Annotations = a }
	}
	tr := makeTracker(t)
	tr.Pod(start, makePod("v1", 1))
	tr.Pod(start, makePod("v1", 9))
	got := overrides(tr.Deployment(makeDeployment(3, false, annotated(order(5*time.Second)))))
	if diff := cmp.Diff([]core.PodID{PodID(makePod("v1", 1))}, got); diff != "" {
		t.Errorf("order on the workload (-want +got):\n%s", diff)
	}
	if got := overrides(tr.Deployment(makeDeployment(3, false, annotated(order(5*time.Second))))); len(got) != 0 {
		t.Errorf("the same order again let go %v, want none", got)
	}
	if got := overrides(tr.Pod(start, makePod("v1", 2))); len(got) != 1 {
		t.Errorf("a pod older than the order, seen late, let go %v, want it", got)
	}
	own := makePod("v1", 8, func(p *corev1.Pod) { p.Annotations[v1alpha1.AnnotationOverride] = "please" })
	if got := overrides(tr.Pod(start, own)); len(got) != 1 {
		t.Errorf("order on the pod let go %v, want it", got)
	}
	for _, now := range []bool{false, true} {
		tr := makeTracker(t)
		tr.Pod(start, makePod("v1", 1))
		tr.Deployment(makeDeployment(3, false, annotated(order(5*time.Second))))
		again := v1alpha1.Order{By: "a", Reason: "in haste", At: start.Add(6 * time.Second), Now: now}
		got := tr.Deployment(makeDeployment(3, false, annotated(map[string]string{v1alpha1.AnnotationOverride: again.String()})))
		if hasty := slices.ContainsFunc(got, func(ev engine.Event) bool { return ev.Override != nil && ev.Override.Now }); hasty != now {
			t.Errorf("a second order, now %v: at once %v", now, hasty)
		}
	}
	paused := makeDeployment(3, false, annotated(map[string]string{v1alpha1.AnnotationPaused: "now"}))
	if g := groupsOf(tr.Deployment(paused)); len(g) != 1 || !g[0].Paused {
		t.Errorf("paused workload announced %+v, want its group paused", g)
	}
}

func TestMoreCountsPodsStillToCome(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Deployment(makeDeployment(10, false))
	tr.ReplicaSet(makeSet("v1", 1, 3, 0, 0))
	g := groupsOf(tr.Pod(start, makePod("v1", 1)))
	if len(g) == 0 || g[len(g)-1].More != 9 {
		t.Errorf("groups %+v, want 9 more to come", g)
	}
	g = groupsOf(tr.Pod(start, makePod("v1", 2)))
	if len(g) != 1 || g[0].More != 8 {
		t.Errorf("groups %+v, want 8 more to come", g)
	}
}

func TestBackIsWhatARollbackOfALiveRolloutWouldRun(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Deployment(makeDeployment(2, false))
	old := makeSet("v1", 1, 2, 2, 0)
	old.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:0"}, {Name: "side", Image: "elsewhere.example/side:1"}}
	tr.ReplicaSet(old)
	tr.ReplicaSet(makeSet("v2", 2, 1, 0, time.Hour))
	g := groupsOf(tr.Pod(start, makePod("v2", 1)))
	if len(g) == 0 || len(g[len(g)-1].Back) != 1 || g[len(g)-1].Back[0].Image != "docker.io/acme/web:0" {
		t.Fatalf("groups %+v, want the paced image of the revision before", g)
	}
	if g = groupsOf(tr.Deployment(makeDeployment(2, true))); len(g) != 1 || len(g[0].Back) != 0 {
		t.Errorf("groups %+v of a complete rollout, want nothing to go back to", g)
	}
}
