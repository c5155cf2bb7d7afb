package gate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// labelHeldValue is the value of LabelHeld; people select by it.
const labelHeldValue = "true"

// MaxHostnames is the most node names that one affinity term may list: the
// API server bounds the object, and a longer list says nothing more.
const MaxHostnames = 50

func isOurs(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.Gate }

// Gated reports whether our gate is on the pod.
func Gated(p *corev1.Pod) bool { return slices.ContainsFunc(p.Spec.SchedulingGates, isOurs) }

// ForeignGate reports whether another owner's gate is on the pod.
func ForeignGate(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return !isOurs(g) })
}

// Hold puts a hold on a pod that is being created: the gate, the marks and the
// bound of the hold.
func Hold(p *corev1.Pod, now time.Time, maxHold time.Duration) {
	if !Gated(p) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.Gate})
	}
	MarkHeld(p, now.Add(maxHold))
	p.Annotations[v1alpha1.AnnotationSeen] = stamp(now)
}

// MarkHeld marks an object as held until a time, so that it is found and freed
// also without the controller. What holds it is the caller's to set.
func MarkHeld(o metav1.Object, until time.Time) {
	o.SetLabels(with(o.GetLabels(), v1alpha1.LabelHeld, labelHeldValue))
	o.SetAnnotations(with(o.GetAnnotations(), v1alpha1.AnnotationHoldUntil, stamp(until)))
}

func with(marks map[string]string, key, value string) map[string]string {
	if marks == nil {
		marks = map[string]string{}
	}
	marks[key] = value
	return marks
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// HoldUntil is when the hold of an object must end; zero: no bound is known, or
// junk.
func HoldUntil(o metav1.Object) time.Time {
	at, err := time.Parse(time.RFC3339Nano, o.GetAnnotations()[v1alpha1.AnnotationHoldUntil])
	if err != nil {
		return time.Time{}
	}
	return at
}

// Letting is what a release writes on a pod.
type Letting struct {
	Mark v1alpha1.ReleaseMark
	// Hostnames are the values of the hostname label of the preferred nodes, best
	// first.
	Hostnames []string
	// Wave names the wave; empty: none.
	Wave string
}

// Release takes our hold off a pod: our gate and label go, the mark and one
// preferred affinity term come; everything of others stays. It reports false, and
// changes nothing, when our gate is not on the pod.
func Release(p *corev1.Pod, l Letting) bool {
	if !Gated(p) {
		return false
	}
	p.Spec.SchedulingGates = slices.DeleteFunc(slices.Clone(p.Spec.SchedulingGates), isOurs)
	delete(p.Labels, v1alpha1.LabelHeld)
	p.Annotations = with(p.Annotations, v1alpha1.AnnotationRelease, l.Mark.String())
	if l.Wave != "" {
		p.Annotations[v1alpha1.AnnotationWave] = l.Wave
	}
	prefer(p, l.Hostnames)
	return true
}

// prefer appends one preferred term that names the nodes. The list is atomic for
// the API server, so that what the user wrote must be sent again with it.
func prefer(p *corev1.Pod, hostnames []string) {
	if len(hostnames) == 0 {
		return
	}
	hostnames = slices.Clone(hostnames[:min(len(hostnames), MaxHostnames)])
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	if p.Spec.Affinity.NodeAffinity == nil {
		p.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity := p.Spec.Affinity.NodeAffinity
	affinity.PreferredDuringSchedulingIgnoredDuringExecution = append(
		slices.Clone(affinity.PreferredDuringSchedulingIgnoredDuringExecution),
		corev1.PreferredSchedulingTerm{Weight: 100, Preference: corev1.NodeSelectorTerm{
			MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: hostnames},
			},
		}})
}

// ReleasedAt is when a pod was released by us; zero: it was not, or junk.
func ReleasedAt(p *corev1.Pod) time.Time {
	if Gated(p) {
		return time.Time{}
	}
	return markedAt(p)
}

// markedAt is the time of an object's release mark; where that is junk, when the
// object was created.
func markedAt(o metav1.Object) time.Time {
	text := o.GetAnnotations()[v1alpha1.AnnotationRelease]
	if text == "" {
		return time.Time{}
	}
	mark, err := v1alpha1.ParseReleaseMark(text)
	if err != nil {
		return o.GetCreationTimestamp().Time
	}
	return mark.Time
}
