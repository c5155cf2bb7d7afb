package v1alpha1

import (
	"crypto/x509"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate returns everything that is wrong with the spec and that the API
// server's own schema does not refuse.
func (s *PullBudgetSpec) Validate() field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if s.Match != nil {
		errs = append(errs, validSelector(spec.Child("match", "namespaceSelector"), s.Match.NamespaceSelector)...)
		errs = append(errs, validSelector(spec.Child("match", "nodeSelector"), s.Match.NodeSelector)...)
	}
	if s.Egress != nil {
		errs = append(errs, validSelector(spec.Child("egress", "nodeSelector"), s.Egress.NodeSelector)...)
	}
	if s.Probe != nil && s.Probe.CABundle != "" {
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(s.Probe.CABundle)) {
			errs = append(errs, field.Invalid(spec.Child("probe", "caBundle"), "...", "holds no certificate in PEM"))
		}
	}
	errs = append(errs, s.validateLimit(spec)...)
	return errs
}

func (s *PullBudgetSpec) validateLimit(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if l := s.Limit; l != nil {
		if l.Window != nil && l.Window.Duration <= 0 {
			errs = append(errs, field.Invalid(spec.Child("limit", "window"), l.Window.Duration.String(), "must be positive"))
		}
		if l.Rate != nil && l.Rate.AsApproximateFloat64() <= 0 {
			errs = append(errs, field.Invalid(spec.Child("limit", "rate"), l.Rate.String(), "must be positive"))
		}
	}
	if share := s.Share; share != nil && share.FractionOfRemaining != nil {
		if f := share.FractionOfRemaining.AsApproximateFloat64(); f <= 0 || f > 1 {
			errs = append(errs, field.Invalid(spec.Child("share", "fractionOfRemaining"), share.FractionOfRemaining.String(), "must be above 0 and at most 1"))
		}
	}
	return errs
}

// Validate returns everything that is wrong with the spec and that the API
// server's own schema does not refuse.
func (s *PacePolicySpec) Validate() field.ErrorList {
	spec := field.NewPath("spec")
	errs := validSelector(spec.Child("namespaceSelector"), s.NamespaceSelector)
	return append(errs, validSelector(spec.Child("podSelector"), s.PodSelector)...)
}

func validSelector(path *field.Path, selector *metav1.LabelSelector) field.ErrorList {
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		return field.ErrorList{field.Invalid(path, selector, err.Error())}
	}
	return nil
}
