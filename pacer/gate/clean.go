package gate

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Taken counts what was taken off an object.
type Taken struct {
	// Gates and Taints held it, Restored is whether remembered fields were put back,
	// Marks counts annotations, labels and conditions.
	Gates, Taints, Restored, Marks int
}

// Total is how much was taken in all.
func (t Taken) Total() int { return t.Gates + t.Taints + t.Restored + t.Marks }

// Clean takes everything of Pace off an object and returns what it took. What was
// remembered on the object is put back.
func Clean(obj client.Object) Taken {
	var took Taken
	switch o := obj.(type) {
	case *corev1.Pod:
		took.Gates = ungate(o)
	case *corev1.Node:
		took.Taints = untaint(o)
	}
	if Restore(obj) {
		took.Restored++
	} else if d, ok := obj.(*appsv1.Deployment); ok {
		healDeadline(d)
	}
	took.Marks = strip(obj.GetAnnotations()) + strip(obj.GetLabels())
	switch o := obj.(type) {
	case *corev1.Pod:
		took.Marks += Forget(o)
	case *corev1.Node:
		took.Marks += ForgetNode(o)
	}
	return took
}

// Lift takes the hold off an object and says so in its release mark: our gate, our
// taint, fields that were changed and remembered, and the marks by which held
// objects are found. It reports false, and changes nothing, when nothing of it is
// there. What was remembered and cannot be read stays, for a person to read.
func Lift(obj client.Object, mark v1alpha1.ReleaseMark) bool {
	lifted := false
	switch o := obj.(type) {
	case *corev1.Pod:
		if Release(o, Letting{Mark: mark}) {
			return true
		}
	case *batchv1.Job:
		if Resume(o, mark) {
			return true
		}
	case *corev1.Node:
		lifted = untaint(o) > 0
	}
	if Restore(obj) {
		delete(obj.GetAnnotations(), v1alpha1.AnnotationSaved)
		lifted = true
	}
	if lifted {
		for _, key := range []string{v1alpha1.AnnotationHoldUntil, v1alpha1.AnnotationHoldReason} {
			delete(obj.GetAnnotations(), key)
		}
		obj.SetAnnotations(with(obj.GetAnnotations(), v1alpha1.AnnotationRelease, mark.String()))
	}
	if _, marked := obj.GetLabels()[v1alpha1.LabelHeld]; marked {
		delete(obj.GetLabels(), v1alpha1.LabelHeld)
		lifted = true
	}
	return lifted
}

// Forget takes off the condition that explains a hold, and returns how many there
// were.
func Forget(pod *corev1.Pod) int {
	before := len(pod.Status.Conditions)
	pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1alpha1.ConditionHeld })
	return before - len(pod.Status.Conditions)
}

// ForgetNode takes off the condition that says whether Pace has let a node go, and
// returns how many there were.
func ForgetNode(node *corev1.Node) int {
	before := len(node.Status.Conditions)
	node.Status.Conditions = slices.DeleteFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == v1alpha1.ConditionPullBudgetGranted
	})
	return before - len(node.Status.Conditions)
}

func ungate(pod *corev1.Pod) int {
	before := len(pod.Spec.SchedulingGates)
	pod.Spec.SchedulingGates = slices.DeleteFunc(slices.Clone(pod.Spec.SchedulingGates), isOurs)
	return before - len(pod.Spec.SchedulingGates)
}

func untaint(node *corev1.Node) int {
	before := len(node.Spec.Taints)
	node.Spec.Taints = slices.DeleteFunc(slices.Clone(node.Spec.Taints), isHeldTaint)
	return before - len(node.Spec.Taints)
}

// strip deletes the keys under our domain.
func strip(marks map[string]string) int {
	took := 0
	for key := range marks {
		if strings.HasPrefix(key, v1alpha1.Group+"/") {
			delete(marks, key)
			took++
		}
	}
	return took
}
