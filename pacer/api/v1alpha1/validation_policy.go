package v1alpha1

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pullpace/pace/pacer/core"
)

// The bounds of holds, of the sample that failures are counted in, and of the
// weight of a namespace.
const (
	minHold     = 10 * time.Second
	maxHold     = 168 * time.Hour
	maxNodeHold = 24 * time.Hour
	maxSample   = 24 * time.Hour
	maxWeight   = 1000
)

// Validate returns everything that is wrong with the spec, whether or not it went
// through an API server. What is not set is not wrong.
func (s *PacePolicySpec) Validate() field.ErrorList {
	spec := field.NewPath("spec")
	errs := validSelector(spec.Child("namespaceSelector"), s.NamespaceSelector)
	errs = append(errs, validSelector(spec.Child("podSelector"), s.PodSelector)...)
	errs = append(errs, oneOf(spec.Child("mode"), s.Mode, Shadow, Enforce, Off)...)
	errs = append(errs, oneOf(spec.Child("deleteFirst"), s.DeleteFirst, SurgeOnly, PauseRollout, NeverHold)...)
	errs = append(errs, between(spec.Child("maxHold"), s.MaxHold, minHold, maxHold)...)
	if n := s.MaxGatedPerNamespace; n != nil && *n < 1 {
		errs = append(errs, field.Invalid(spec.Child("maxGatedPerNamespace"), *n, "must be 1 at least"))
	}
	errs = append(errs, s.Waves.validate(spec.Child("waves"))...)
	errs = append(errs, s.Nodes.validate(spec.Child("nodes"))...)
	errs = append(errs, s.PauseOn.validate(spec.Child("pauseOn"))...)
	errs = append(errs, s.DefaultClass.validate(spec.Child("defaultClass"))...)
	errs = append(errs, s.validateClasses(spec.Child("classes"))...)
	return append(errs, s.validateWeights(spec.Child("weights"))...)
}

func (s *PacePolicySpec) validateClasses(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, m := range s.Classes {
		at := path.Index(i)
		if m.PriorityClass == "" {
			errs = append(errs, field.Required(at.Child("priorityClass"), "must not be empty"))
		}
		if seen[m.PriorityClass] {
			errs = append(errs, field.Duplicate(at.Child("priorityClass"), m.PriorityClass))
		}
		seen[m.PriorityClass] = true
		if m.Class == "" {
			errs = append(errs, field.Required(at.Child("class"), "must not be empty"))
		}
		errs = append(errs, m.Class.validate(at.Child("class"))...)
	}
	return errs
}

func (s *PacePolicySpec) validateWeights(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, w := range s.Weights {
		at := path.Index(i)
		if w.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), "must not be empty"))
		}
		if seen[w.Namespace] {
			errs = append(errs, field.Duplicate(at.Child("namespace"), w.Namespace))
		}
		seen[w.Namespace] = true
		if w.Weight < 1 || w.Weight > maxWeight {
			errs = append(errs, field.Invalid(at.Child("weight"), w.Weight, "must be from 1 to 1000"))
		}
	}
	return errs
}

func (c Class) validate(path *field.Path) field.ErrorList {
	if c == "" {
		return nil
	}
	if _, err := core.ParseClass(string(c)); err != nil {
		return field.ErrorList{field.Invalid(path, c, err.Error())}
	}
	return nil
}

func (w *Waves) validate(path *field.Path) field.ErrorList {
	if w == nil {
		return nil
	}
	errs := oneOf(path.Child("by"), w.By, "Node", "Zone", "Egress")
	errs = append(errs, notNegative(path.Child("size"), w.Size)...)
	return append(errs, notNegative(path.Child("canary"), w.Canary)...)
}

func (n *Nodes) validate(path *field.Path) field.ErrorList {
	if n == nil {
		return nil
	}
	errs := notNegative(path.Child("size"), n.Size)
	return append(errs, between(path.Child("maxHold"), n.MaxHold, time.Nanosecond, maxNodeHold)...)
}

func (p *PauseOn) validate(path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := between(path.Child("window"), p.Window, time.Nanosecond, maxSample)
	if p.MinPods != nil && *p.MinPods < 1 {
		errs = append(errs, field.Invalid(path.Child("minPods"), *p.MinPods, "must be 1 at least"))
	}
	failure, ok := percent(p.FailureRate, DefaultFailurePercent)
	if !ok {
		errs = append(errs, field.Invalid(path.Child("failureRate"), p.FailureRate.String(), "must be a percentage such as 20%"))
	}
	resume, resumeOK := percent(p.ResumeBelow, DefaultResumePercent)
	if !resumeOK {
		errs = append(errs, field.Invalid(path.Child("resumeBelow"), p.ResumeBelow.String(), "must be a percentage such as 5%"))
	}
	if ok && resumeOK && resume > failure {
		errs = append(errs, field.Invalid(path.Child("resumeBelow"), resume, "must not be above failureRate, which is "+strconv.Itoa(failure)+"%"))
	}
	return errs
}

// percent reads "20%" or 20.
func percent(v *intstr.IntOrString, otherwise int32) (int, bool) {
	if v == nil {
		return int(otherwise), true
	}
	n := int(v.IntVal)
	if v.Type == intstr.String {
		digits, isPercent := strings.CutSuffix(v.StrVal, "%")
		parsed, err := strconv.Atoi(digits)
		if !isPercent || err != nil || strconv.Itoa(parsed) != digits {
			return 0, false
		}
		n = parsed
	}
	return n, n >= 0 && n <= 100
}

func between(path *field.Path, d *metav1.Duration, least, most time.Duration) field.ErrorList {
	if d != nil && (d.Duration < least || d.Duration > most) {
		return field.ErrorList{field.Invalid(path, d.Duration.String(), "must be from "+least.String()+" to "+most.String())}
	}
	return nil
}

func notNegative(path *field.Path, n int32) field.ErrorList {
	if n < 0 {
		return field.ErrorList{field.Invalid(path, n, "must not be negative")}
	}
	return nil
}
