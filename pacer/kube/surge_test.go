package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// imposedOn is a Deployment of 4 with fields imposed whose newest template is that of
// revision 2, which progressed last when every test begins.
func imposedOn(edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	return makeDeployment(4, false, append([]func(*appsv1.Deployment){func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxUnavailable: new(intstr.FromString("25%")), MaxSurge: new(intstr.FromString("25%"))}}
		d.Spec.ProgressDeadlineSeconds = new(int32(600))
		d.Spec.Template.Spec.Containers = makePod("b", 0).Spec.Containers
		d.Annotations = map[string]string{revisionAnnotation: "2"}
		d.Status.Conditions[0].LastUpdateTime = metav1.NewTime(start)
		gate.Impose(d, true, nil)
	}}, edit...)...)
}

// asked is what the leader asked for before.
func asked(over gate.Over, deadline int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		gate.Ask(d, over, &deadline)
		gate.Follow(d)
	}
}

// pausedUntil is a Deployment whose rollout we keep from starting.
func pausedUntil(after time.Duration) *appsv1.Deployment {
	return imposedOn(func(d *appsv1.Deployment) {
		gate.Restore(d)
		gate.Impose(d, false, nil)
		gate.Pause(d, start.Add(after))
	})
}

func status(updated, total, available int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Status.UpdatedReplicas, d.Status.Replicas, d.Status.AvailableReplicas = updated, total, available
	}
}

func TestWhatOfAHoldIsOver(t *testing.T) {
	t.Parallel()
	const s = time.Second
	at := func(d time.Duration) time.Time { return start.Add(d) }
	cases := map[string]struct {
		altered Altered
		at      time.Duration
		want    string
	}{
		"not taken up yet":                           {altered: Altered{Deployment: imposedOn(), May: true}, at: time.Hour, want: "keep lifted"},
		"a pod is held":                              {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Held: true}, at: time.Hour, want: "keep lifted"},
		"a pod is held again":                        {altered: Altered{Deployment: imposedOn(asked("", 600)), May: true, Seen: true, Held: true}, at: time.Hour, want: "keep lifted"},
		"held, bounds given back":                    {altered: Altered{Deployment: imposedOn(asked(gate.OverStrategy, 700)), May: true, Seen: true, Held: true}, at: time.Hour, want: "keep lifted"},
		"may not be held":                            {altered: Altered{Deployment: imposedOn(), Held: true}, want: "All lifted"},
		"complete":                                   {altered: Altered{Deployment: imposedOn(status(4, 4, 4)), May: true, Seen: true}, want: "All lifted"},
		"complete but for old pods":                  {altered: Altered{Deployment: imposedOn(status(4, 5, 5)), May: true, Seen: true, Coming: true}, at: s, want: "keep lifted"},
		"let go a moment ago":                        {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, Released: at(59 * s)}, at: 60 * s, want: "keep lifted"},
		"let go a moment ago, none to come":          {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Released: at(59 * s)}, at: 60 * s, want: "keep lifted"},
		"quiet: counts from the release, rounded up": {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, Released: at(60*s + 1)}, at: 66 * s, want: "keep 661"},
		"quiet, none to come":                        {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Released: at(60 * s)}, at: 66 * s, want: "Strategy 660"},
		"quiet, bounds given back":                   {altered: Altered{Deployment: imposedOn(asked(gate.OverStrategy, 660)), May: true, Seen: true, Released: at(60 * s)}, at: 66 * s, want: "keep 660"},
		"progressed after the release":               {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, Released: at(-60 * s)}, at: 6 * s, want: "keep 600"},
		"progressed, none to come":                   {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Released: at(-60 * s)}, at: 6 * s, want: "All lifted"},
		"never held":                                 {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true}, at: 6 * s, want: "keep 600"},
		"no room for a pod":                          {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, NoRoom: true, Released: at(60 * s)}, at: 66 * s, want: "Strategy 660"},
		"given up":                                   {altered: Altered{Deployment: imposedOn(asked("", 660), func(d *appsv1.Deployment) { d.Status.Conditions[0].Status = corev1.ConditionFalse }), May: true, Seen: true, Coming: true, Released: at(60 * s)}, at: 66 * s, want: "All lifted"},
		"no room, but it may come":                   {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, NoRoom: true, Released: at(60 * s)}, at: 62 * s, want: "keep lifted"},
		"a short deadline is waited for half of it": {altered: Altered{May: true, Seen: true, Coming: true, Deployment: imposedOn(func(d *appsv1.Deployment) {
			gate.Restore(d)
			d.Spec.ProgressDeadlineSeconds = new(int32(4))
			gate.Impose(d, true, nil)
		})}, at: 2 * s, want: "keep 4"},
		"paused, not payable": {altered: Altered{Deployment: pausedUntil(time.Hour), May: true}, at: 59 * time.Minute, want: "keep lifted"},
		"paused, payable":     {altered: Altered{Deployment: pausedUntil(time.Hour), May: true, Payable: true}, want: "Pause lifted"},
		"paused for too long": {altered: Altered{Deployment: pausedUntil(time.Hour), May: true}, at: time.Hour, want: "Pause lifted"},
		"paused, may not be":  {altered: Altered{Deployment: pausedUntil(time.Hour)}, want: "All lifted"},
		"held for years":      {altered: Altered{Deployment: imposedOn(), May: true, Seen: true, Coming: true, Released: at(1 << 62)}, at: 1<<62 + 6*s, want: "keep 2147483646"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over, deadline := tc.altered.Next(start.Add(tc.at))
			got := "keep"
			if over != "" {
				got = string(over)
			}
			if deadline == nil {
				got += " lifted"
			} else {
				got += fmt.Sprintf(" %d", *deadline)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatIsKnownOfAnAlteredDeployment(t *testing.T) {
	t.Parallel()
	set := func(hash string, revision, replicas int, edit ...func(*appsv1.ReplicaSet)) *appsv1.ReplicaSet {
		rs := makeSet(hash, revision, replicas, 0, 0)
		rs.Spec.Template.Spec.Containers = makePod(hash, 0).Spec.Containers
		rs.Spec.Template.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash}
		for _, e := range edit {
			e(rs)
		}
		return rs
	}
	copied := func(rs *appsv1.ReplicaSet) { rs.Annotations[v1alpha1.AnnotationSaved] = `{"maxUnavailable":1}` }
	type known struct {
		May, Seen, Held, Coming, NoRoom bool
		Released                        time.Duration
		Sets, Copies                    int
	}
	freed := func(at time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			gate.Release(p, gate.Letting{Mark: v1alpha1.ReleaseMark{Time: start.Add(at)}})
		}
	}
	unschedulable := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	}
	cases := map[string]struct {
		deployment *appsv1.Deployment
		sets       []*appsv1.ReplicaSet
		pods       []*corev1.Pod
		namespace  func(*corev1.Namespace)
		want       known
	}{
		"its set is not known yet": {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("a", 1, 4)}, want: known{May: true}},
		"not observed yet":         {deployment: imposedOn(func(d *appsv1.Deployment) { d.Generation = 7 }), sets: []*appsv1.ReplicaSet{set("a", 1, 4), set("b", 2, 1)}, want: known{May: true}},
		"its set is of a template before": {deployment: imposedOn(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers = makePod("c", 0).Spec.Containers }),
			sets: []*appsv1.ReplicaSet{set("a", 1, 4), set("b", 2, 1)}, want: known{May: true}},
		"pods are not made yet":     {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("a", 1, 4), set("b", 2, 1)}, want: known{May: true, Seen: true, Coming: true, NoRoom: true}},
		"a pod is held":             {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("b", 2, 1)}, pods: []*corev1.Pod{makePod("b", 1)}, want: known{May: true, Held: true}},
		"let go, more to come":      {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("b", 2, 2)}, pods: []*corev1.Pod{makePod("b", 1, freed(7)), makePod("b", 2, freed(5))}, want: known{May: true, Seen: true, Coming: true, Released: 7}},
		"let go, fits nowhere":      {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("b", 2, 1)}, pods: []*corev1.Pod{makePod("b", 1, freed(7), unschedulable)}, want: known{May: true, Seen: true, Coming: true, NoRoom: true, Released: 7}},
		"copies belong to it":       {deployment: imposedOn(), sets: []*appsv1.ReplicaSet{set("a", 1, 0, copied), set("b", 2, 0, copied)}, want: known{May: true, Seen: true, Coming: true, Sets: 2}},
		"copies of nothing":         {deployment: makeDeployment(4, true), sets: []*appsv1.ReplicaSet{set("a", 1, 0, copied), set("b", 2, 0)}, want: known{Copies: 1}},
		"namespace is switched off": {deployment: imposedOn(), namespace: func(n *corev1.Namespace) { n.Annotations = map[string]string{v1alpha1.AnnotationPace: "off"} }, want: known{}},
		"namespace is opted out":    {deployment: imposedOn(), namespace: func(n *corev1.Namespace) { n.Labels = nil }, want: known{}},
		"image of no budget":        {deployment: imposedOn(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "ghcr.io/a/b" }), want: known{}},
		"recreated by now":          {deployment: imposedOn(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }), want: known{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			if tc.namespace != nil {
				tr.Namespace(makeNamespace("shop", tc.namespace))
			}
			tr.Deployment(tc.deployment)
			for _, rs := range tc.sets {
				tr.ReplicaSet(rs)
			}
			for _, p := range tc.pods {
				tr.Pod(start, p)
			}
			got := known{Copies: len(tr.Copies())}
			for _, a := range tr.Altered() {
				got.May, got.Seen, got.Held, got.Coming, got.NoRoom, got.Sets = a.May, a.Seen, a.Held, a.Coming, a.NoRoom, len(a.Sets)
				if !a.Released.IsZero() {
					got.Released = a.Released.Sub(start)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			tr.DeploymentGone("shop", "web")
			if left := tr.Altered(); len(left) > 0 {
				t.Errorf("a Deployment that is gone is altered still: %+v", left)
			}
		})
	}
}

func TestHowManyPodsARolloutBeginsWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		unavailable, surge string
		want               int
	}{
		"defaults":  {"25%", "25%", 2},
		"one":       {"1", "0", 1},
		"all":       {"100%", "100%", 4},
		"less than": {"0", "1%", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := imposedOn(func(d *appsv1.Deployment) {
				gate.Restore(d)
				r := d.Spec.Strategy.RollingUpdate
				r.MaxUnavailable, r.MaxSurge = new(intstr.Parse(tc.unavailable)), new(intstr.Parse(tc.surge))
				gate.Impose(d, true, nil)
			})
			if got := (Altered{Deployment: d}).First(); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestARolloutWithoutAGuard(t *testing.T) {
	t.Parallel()
	set := func(hash string, replicas int, edit ...func(*appsv1.ReplicaSet)) appsv1.ReplicaSet {
		rs := makeSet(hash, 1, replicas, 0, 0)
		rs.OwnerReferences[0].UID = "web"
		rs.Spec.Template.Spec.Containers = makePod(hash, 0).Spec.Containers
		for _, e := range edit {
			e(rs)
		}
		return *rs
	}
	bare := imposedOn(func(d *appsv1.Deployment) { gate.Clean(d) })
	keeps := imposedOn(func(d *appsv1.Deployment) {
		gate.Clean(d)
		d.Spec.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(0))
	})
	cases := map[string]struct {
		deployment *appsv1.Deployment
		sets       []appsv1.ReplicaSet
		want       bool
	}{
		"old pods serve":                   {bare, []appsv1.ReplicaSet{set("a", 4), set("b", 1)}, true},
		"no old pods":                      {bare, []appsv1.ReplicaSet{set("a", 0), set("b", 1)}, false},
		"scaled at rest":                   {bare, []appsv1.ReplicaSet{set("b", 4)}, false},
		"guarded":                          {imposedOn(), []appsv1.ReplicaSet{set("a", 4), set("b", 1)}, false},
		"keeps its pods anyway":            {keeps, []appsv1.ReplicaSet{set("a", 4), set("b", 1)}, false},
		"its write is not seen yet":        {bare, []appsv1.ReplicaSet{set("a", 4), set("c", 1, func(rs *appsv1.ReplicaSet) { rs.Name = "web-b" })}, false},
		"its set is not seen yet":          {bare, []appsv1.ReplicaSet{set("a", 4)}, false},
		"a set of somebody of that name":   {bare, []appsv1.ReplicaSet{set("a", 4, func(rs *appsv1.ReplicaSet) { rs.OwnerReferences[0].UID = "other" }), set("b", 1)}, false},
		"a set that belongs to nobody":     {bare, []appsv1.ReplicaSet{set("a", 4, func(rs *appsv1.ReplicaSet) { rs.OwnerReferences = nil }), set("b", 1)}, false},
		"an old set with default replicas": {bare, []appsv1.ReplicaSet{set("a", 4, func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = nil }), set("b", 1)}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tc.deployment.DeepCopy()
			d.UID = "web"
			if got := Unguarded(d, "web-b", tc.sets); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
