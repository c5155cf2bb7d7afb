package gate

import (
	"cmp"
	"math"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Lifted is progressDeadlineSeconds while pods are held: 68 years. One second more
// would stand for no deadline at all, and take the condition Progressing off the
// Deployment, by which people and tools see that a rollout is under way.
const Lifted int32 = math.MaxInt32 - 1

// What the API server fills in where it is told nothing.
const (
	defaultBound          = "25%"
	defaultDeadline int32 = 600
)

// Impose makes a Deployment keep its pods until their successors are ready, and
// wait for those for as long as pods are held; what was there is remembered on it.
// The Deployment must be as its user wants it. Strategy says that maxUnavailable
// and maxSurge are imposed, deadline which progressDeadlineSeconds is; nil: Lifted.
func Impose(d *appsv1.Deployment, strategy bool, deadline *int32) {
	var was Saved
	if r := d.Spec.Strategy.RollingUpdate; strategy && r != nil {
		was.MaxUnavailable = cmp.Or(r.MaxUnavailable, new(intstr.FromString(defaultBound)))
		was.MaxSurge = cmp.Or(r.MaxSurge, new(intstr.FromString(defaultBound)))
	}
	if p := d.Spec.ProgressDeadlineSeconds; p != nil && *p < Lifted {
		was.ProgressDeadlineSeconds, was.Deadline = p, deadline
	}
	was.impose(d)
	was.remember(d)
}

// Pause stops a Deployment before its first pod, until a time at the latest; what
// is remembered stays.
func Pause(d *appsv1.Deployment, until time.Time) {
	was, _ := SavedOf(d)
	was.Paused = new(false)
	was.impose(d)
	was.remember(d)
	MarkHeld(d, until)
}

// impose changes the fields that are remembered.
func (s Saved) impose(d *appsv1.Deployment) {
	if s.Paused != nil {
		d.Spec.Paused = true
	}
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		if s.MaxUnavailable != nil {
			r.MaxUnavailable = new(intstr.FromInt32(0))
		}
		if s.MaxSurge != nil {
			r.MaxSurge = s.imposedSurge()
		}
	}
	if s.ProgressDeadlineSeconds != nil {
		d.Spec.ProgressDeadlineSeconds = new(s.imposedDeadline())
	}
}

// restore puts the fields that are remembered back.
func (s Saved) restore(d *appsv1.Deployment) {
	if s.ProgressDeadlineSeconds != nil {
		d.Spec.ProgressDeadlineSeconds = s.ProgressDeadlineSeconds
	}
	if s.Paused != nil {
		d.Spec.Paused = *s.Paused
	}
	s.restoreStrategy(d)
}

func (s Saved) restoreStrategy(d *appsv1.Deployment) {
	if !s.Strategy() || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return // Recreate, which came later, allows no bounds
	}
	if d.Spec.Strategy.RollingUpdate == nil {
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	r := d.Spec.Strategy.RollingUpdate
	r.MaxUnavailable, r.MaxSurge = cmp.Or(s.MaxUnavailable, r.MaxUnavailable), cmp.Or(s.MaxSurge, r.MaxSurge)
}

// learn takes a field that has another value than was imposed for a newer wish: the
// webhook was away when somebody wrote it.
func (s *Saved) learn(d *appsv1.Deployment) {
	if !d.Spec.Paused {
		s.Paused = nil
	}
	if p := d.Spec.ProgressDeadlineSeconds; s.ProgressDeadlineSeconds != nil && p != nil && *p != Lifted && *p != s.imposedDeadline() {
		s.ProgressDeadlineSeconds = p
	}
	r := d.Spec.Strategy.RollingUpdate
	if r == nil {
		return
	}
	if s.MaxSurge != nil && r.MaxSurge != nil && *r.MaxSurge != *s.imposedSurge() {
		s.MaxSurge = r.MaxSurge
	}
	if s.MaxUnavailable != nil && r.MaxUnavailable != nil && !IsZero(r.MaxUnavailable) {
		s.MaxUnavailable = r.MaxUnavailable
	}
}

// imposedSurge is what maxSurge was changed to: at least one pod.
func (s Saved) imposedSurge() *intstr.IntOrString {
	if IsZero(s.MaxSurge) {
		return new(intstr.FromInt32(1))
	}
	return s.MaxSurge
}

// imposedDeadline is what progressDeadlineSeconds was changed to.
func (s Saved) imposedDeadline() int32 {
	if s.Deadline != nil {
		return *s.Deadline
	}
	return Lifted
}

// Strategy reports whether maxUnavailable and maxSurge are imposed.
func (s Saved) Strategy() bool { return s.MaxUnavailable != nil || s.MaxSurge != nil }

// remember writes down what was changed, or takes our marks off where nothing is.
func (s Saved) remember(d *appsv1.Deployment) {
	if s == (Saved{}) {
		unmark(d)
		return
	}
	d.Annotations = with(d.Annotations, v1alpha1.AnnotationSaved, s.String())
	d.Labels = with(d.Labels, v1alpha1.LabelHeld, labelHeldValue)
}

func unmark(d *appsv1.Deployment) {
	delete(d.Annotations, v1alpha1.AnnotationSaved)
	delete(d.Annotations, v1alpha1.AnnotationHoldUntil)
	delete(d.Labels, v1alpha1.LabelHeld)
}

// IsZero reports whether a bound is 0 or 0%.
func IsZero(bound *intstr.IntOrString) bool {
	return bound != nil && strings.Trim(bound.String(), "0%") == ""
}

// AsWished makes next, which somebody wrote over old, what that person wants: a
// field with the value that was imposed on old says nothing and becomes what is
// remembered on old; any other value is a new wish. Our marks go: what next has of
// them is a copy, such as `kubectl rollout undo` makes from a ReplicaSet. Without an
// old one next may come out of a backup that was taken while fields were imposed.
func AsWished(old, next *appsv1.Deployment) {
	if old == nil {
		Restore(next)
		unmark(next)
		return
	}
	was, ok := SavedOf(old)
	unmark(next)
	if !ok {
		return
	}
	was.learn(old)
	said, imposed := next.Spec.Strategy.RollingUpdate, old.Spec.Strategy.RollingUpdate
	if said != nil && imposed != nil {
		said.MaxUnavailable = unless(said.MaxUnavailable, imposed.MaxUnavailable, was.MaxUnavailable)
		said.MaxSurge = unless(said.MaxSurge, imposed.MaxSurge, was.MaxSurge)
	}
	if was.Paused != nil && next.Spec.Paused {
		next.Spec.Paused = *was.Paused
	}
	next.Spec.ProgressDeadlineSeconds = unless(next.Spec.ProgressDeadlineSeconds, old.Spec.ProgressDeadlineSeconds, was.ProgressDeadlineSeconds)
}

// unless is what was said, or what is remembered where only what was imposed is said.
func unless[T any](said, imposed, before *T) *T {
	if before != nil && apiequality.Semantic.DeepEqual(said, imposed) {
		return before
	}
	return said
}

// Possible reports whether the API server would take the bounds and the deadline of
// a Deployment. Others are not imposed on, so that whoever writes them is told.
func Possible(d *appsv1.Deployment) bool {
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		if !readable(r.MaxUnavailable, 100) || !readable(r.MaxSurge, math.MaxInt32) || IsZero(r.MaxUnavailable) && IsZero(r.MaxSurge) {
			return false
		}
	}
	p := d.Spec.ProgressDeadlineSeconds
	return p == nil || *p > d.Spec.MinReadySeconds
}

// readable reports whether a bound is a number of pods or a percentage up to most;
// nil is the default.
func readable(b *intstr.IntOrString, most int) bool {
	if b == nil {
		return true
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(b, 100, true)
	return err == nil && n >= 0 && (b.Type == intstr.Int || n <= most)
}

// Over says which of the imposed fields are to be put back.
type Over string

// What is over.
const (
	OverPause    Over = "Pause"
	OverStrategy Over = "Strategy"
	OverAll      Over = "All"
)

// Ask says on a Deployment which of the imposed fields are to be put back, and which
// deadline is imposed from now on. Follow does what it says.
func Ask(d *appsv1.Deployment, over Over, deadline *int32) {
	was, ok := SavedOf(d)
	if !ok {
		return
	}
	was.learn(d)
	was.Over, was.Deadline = over, deadline
	was.remember(d)
}

// Follow makes the fields of a Deployment what its marks say. It reports whether
// anything was not.
func Follow(d *appsv1.Deployment) bool {
	was, ok := SavedOf(d)
	if !ok {
		return false
	}
	before := d.DeepCopy()
	switch was.Over {
	case OverAll:
		was.restore(d)
		was = Saved{}
	case OverPause:
		d.Spec.Paused = was.Paused != nil && *was.Paused
		was.Paused = nil
		delete(d.Annotations, v1alpha1.AnnotationHoldUntil)
	case OverStrategy:
		was.restoreStrategy(d)
		was.MaxUnavailable, was.MaxSurge = nil, nil
	}
	was.Over = ""
	was.impose(d)
	was.remember(d)
	return !apiequality.Semantic.DeepEqual(before, d)
}

// Heal helps a Deployment whose remembered fields are lost or junk: it takes them
// from a ReplicaSet that has a copy, else gives it the default deadline, and takes
// our marks off. It reports whether there was something to heal.
func Heal(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) bool {
	_, marked := d.Annotations[v1alpha1.AnnotationSaved]
	if _, ok := SavedOf(d); ok || !marked && d.Labels[v1alpha1.LabelHeld] == "" {
		return false
	}
	for _, rs := range sets {
		if was, ok := SavedOf(rs); ok {
			was.learn(d)
			was.restore(d)
			break
		}
	}
	healDeadline(d)
	unmark(d)
	return true
}

// healDeadline replaces a deadline that only we can have set.
func healDeadline(d *appsv1.Deployment) {
	if p := d.Spec.ProgressDeadlineSeconds; p != nil && *p == Lifted {
		d.Spec.ProgressDeadlineSeconds = new(max(defaultDeadline, d.Spec.MinReadySeconds+1))
	}
}
