package gate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func foreign() []corev1.PodSchedulingGate {
	return []corev1.PodSchedulingGate{{Name: "other.dev/gate"}}
}

// held is a pod that Pace holds for an hour.
func held(edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	Hold(p, start, time.Hour)
	for _, e := range edit {
		e(p)
	}
	return p
}

func TestAHoldHasABoundAndIsFoundByItsLabel(t *testing.T) {
	t.Parallel()
	p := held()
	if !Gated(p) || ForeignGate(p) || p.Labels[v1alpha1.LabelHeld] != "true" || p.Annotations[v1alpha1.AnnotationSeen] == "" {
		t.Errorf("gates %v, labels %v, annotations %v", p.Spec.SchedulingGates, p.Labels, p.Annotations)
	}
	if got, want := HoldUntil(p), start.Add(time.Hour); !got.Equal(want) {
		t.Errorf("held until %v, want %v", got, want)
	}
	Hold(p, start, time.Hour)
	if n := len(p.Spec.SchedulingGates); n != 1 {
		t.Errorf("%d gates after a second hold, want 1", n)
	}
	p.Annotations[v1alpha1.AnnotationHoldUntil] = "tomorrow"
	if got := HoldUntil(p); !got.IsZero() {
		t.Errorf("junk bounds a hold at %v", got)
	}
}

func TestReleaseKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	theirs := corev1.PreferredSchedulingTerm{Weight: 7, Preference: corev1.NodeSelectorTerm{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}
	p := held(func(p *corev1.Pod) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, foreign()...)
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{theirs}}}
	})
	mark := v1alpha1.ReleaseMark{Decision: "d1", Time: start, Reason: "Budget"}
	if !Release(p, Letting{Mark: mark, Hostnames: []string{"h1", "h2"}, Wave: "2"}) {
		t.Fatal("nothing was released")
	}
	if diff := cmp.Diff(foreign(), p.Spec.SchedulingGates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	want := []corev1.PreferredSchedulingTerm{theirs, {Weight: 100, Preference: corev1.NodeSelectorTerm{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"h1", "h2"}}}}}}
	if diff := cmp.Diff(want, p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution); diff != "" {
		t.Errorf("affinity (-want +got):\n%s", diff)
	}
	if _, held := p.Labels[v1alpha1.LabelHeld]; held || p.Annotations[v1alpha1.AnnotationWave] != "2" {
		t.Errorf("labels %v, annotations %v: want no held label and wave 2", p.Labels, p.Annotations)
	}
	if got := ReleasedAt(p); !got.Equal(start) {
		t.Errorf("released at %v, want %v", got, start)
	}
	if Release(p, Letting{Mark: mark}) {
		t.Error("a pod that is not held was released again")
	}
}

func TestAnAffinityTermNamesFiftyNodesAtMost(t *testing.T) {
	t.Parallel()
	p := held()
	Release(p, Letting{Hostnames: make([]string, 80)})
	terms := p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if n := len(terms[0].Preference.MatchExpressions[0].Values); n != MaxHostnames {
		t.Errorf("%d names, want %d", n, MaxHostnames)
	}
}
