package kube

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// labelHeldValue is the value of LabelHeld; people select by it.
const labelHeldValue = "true"

// kueueManaged is the label by which Kueue marks pods that it holds itself.
const kueueManaged = "kueue.x-k8s.io/managed"

// hostnameTerms is the most node names that one affinity term may list: the
// API server bounds the object, and a longer list says nothing more.
const hostnameTerms = 50

func isOurs(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.Gate }

// Gated reports whether our gate is on the pod.
func Gated(p *corev1.Pod) bool { return slices.ContainsFunc(p.Spec.SchedulingGates, isOurs) }

// foreignGate reports whether another owner's gate is on the pod.
func foreignGate(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return !isOurs(g) })
}

// ForeignGate reports whether another owner's gate is on the pod.
func ForeignGate(p *corev1.Pod) bool { return foreignGate(p) }

// Gate puts a hold on a pod that is being created: the gate, the marks and the
// bound of the hold.
func Gate(p *corev1.Pod, now time.Time, maxHold time.Duration) {
	if !Gated(p) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.Gate})
	}
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Annotations[v1alpha1.AnnotationSeen] = now.UTC().Format(time.RFC3339)
	p.Annotations[v1alpha1.AnnotationHoldUntil] = now.Add(maxHold).UTC().Format(time.RFC3339)
	p.Labels[v1alpha1.LabelHeld] = labelHeldValue
}

// HoldUntil is when the hold of a pod must end; zero: no bound is known, or junk.
func HoldUntil(p *corev1.Pod) time.Time { return timeOf(p.Annotations[v1alpha1.AnnotationHoldUntil]) }

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
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[v1alpha1.AnnotationRelease] = l.Mark.String()
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
	hostnames = slices.Clone(hostnames[:min(len(hostnames), hostnameTerms)])
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
	text := p.Annotations[v1alpha1.AnnotationRelease]
	if text == "" || Gated(p) {
		return time.Time{}
	}
	mark, err := v1alpha1.ParseReleaseMark(text)
	if err != nil {
		return p.CreationTimestamp.Time
	}
	return mark.Time
}

// switchedOff reports whether a namespace's annotation switches Pace off there.
func switchedOff(o metav1.Object) bool {
	return o.GetAnnotations()[v1alpha1.AnnotationPace] == v1alpha1.AnnotationPaceOff
}

// optedIn reports whether a namespace's label opts it in.
func optedIn(o metav1.Object) bool {
	return o.GetLabels()[v1alpha1.LabelPace] == v1alpha1.LabelPaceEnabled
}
