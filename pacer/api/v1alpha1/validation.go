package v1alpha1

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The bounds that the markers of the types repeat, since the API server must
// refuse by itself what could not even be decoded here.
const (
	minProbeInterval  = time.Second
	maxReservePercent = 30
	maxUnits          = 1_000_000_000
	maxEgressName     = 63
)

// hostPattern is a registry host as in image references.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`)

// Validate returns everything that is wrong with the spec, whether or not it went
// through an API server. What is not set is not wrong.
func (s *PullBudgetSpec) Validate() field.ErrorList {
	spec := field.NewPath("spec")
	errs := validHost(spec.Child("registry"), s.Registry)
	errs = append(errs, validHosts(spec.Child("upstreamOf"), s.UpstreamOf)...)
	errs = append(errs, validHosts(spec.Child("mirrors"), s.Mirrors)...)
	errs = append(errs, s.Match.validate(spec.Child("match"))...)
	errs = append(errs, s.validateIdentity(spec)...)
	errs = append(errs, s.Egress.validate(spec.Child("egress"))...)
	errs = append(errs, s.Limit.validate(spec.Child("limit"))...)
	errs = append(errs, s.Probe.validate(spec.Child("probe"))...)
	errs = append(errs, s.Reserve.validate(spec.Child("reserve"))...)
	errs = append(errs, s.Share.validate(spec.Child("share"))...)
	return append(errs, s.Breaker.validate(spec.Child("breaker"))...)
}

func (s *PullBudgetSpec) validateIdentity(spec *field.Path) field.ErrorList {
	errs := oneOf(spec.Child("identity"), s.Identity, Anonymous, Credentials, NodeCredentials)
	path := spec.Child("credentials")
	fixed := s.Limit != nil && s.Limit.Source == Fixed
	if s.Identity == Credentials && s.Credentials == nil && !fixed {
		errs = append(errs, field.Required(path.Child("secretName"),
			"identity Credentials needs a Secret in "+Namespace+" that the limit is read with; or declare limit.source Fixed"))
	}
	if s.Credentials == nil {
		return errs
	}
	if problems := validation.IsDNS1123Subdomain(s.Credentials.SecretName); len(problems) > 0 {
		errs = append(errs, field.Invalid(path.Child("secretName"), s.Credentials.SecretName, strings.Join(problems, "; ")))
	}
	if s.Identity != Credentials {
		errs = append(errs, field.Forbidden(path, "is only for identity Credentials"))
	}
	if s.Probe != nil && s.Probe.Endpoint != "" {
		errs = append(errs, field.Forbidden(path, "an endpoint override carries no credentials: remove probe.endpoint or credentials"))
	}
	return errs
}

func (m *BudgetMatch) validate(path *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := validSelector(path.Child("namespaceSelector"), m.NamespaceSelector)
	errs = append(errs, validSelector(path.Child("nodeSelector"), m.NodeSelector)...)
	errs = append(errs, noneEmpty(path.Child("pullSecretNames"), m.PullSecretNames)...)
	return append(errs, noneEmpty(path.Child("serviceAccounts"), m.ServiceAccounts)...)
}

func (e *Egress) validate(path *field.Path) field.ErrorList {
	if e == nil {
		return nil
	}
	errs := validSelector(path.Child("nodeSelector"), e.NodeSelector)
	if e.Name == "" {
		return errs
	}
	if e.PerNode {
		errs = append(errs, field.Forbidden(path.Child("name"), "perNode makes a group of each node; a name is for a group of several"))
	}
	if problems := validation.IsDNS1123Subdomain(e.Name); len(problems) > 0 || len(e.Name) > maxEgressName {
		errs = append(errs, field.Invalid(path.Child("name"), e.Name, "must be 63 lower case letters, digits, '-' or '.' at most"))
	}
	return errs
}

func (l *Limit) validate(path *field.Path) field.ErrorList {
	if l == nil {
		return nil
	}
	errs := oneOf(path.Child("source"), l.Source, Observed, Fixed)
	errs = append(errs, positive(path.Child("window"), l.Window)...)
	if l.Rate != nil && !within(l.Rate, maxUnits) {
		errs = append(errs, field.Invalid(path.Child("rate"), l.Rate.String(), "must be above 0 and at most 1000000000"))
	}
	errs = append(errs, validUnits(path.Child("pulls"), l.Pulls)...)
	errs = append(errs, validUnits(path.Child("burst"), l.Burst)...)
	if l.Source == Fixed && !l.complete() {
		errs = append(errs, field.Required(path, "source Fixed needs either pulls and window, or rate and burst"))
	}
	if declared := l.Pulls != 0 || l.Window != nil || l.Rate != nil || l.Burst != 0; declared && l.Source != Fixed {
		errs = append(errs, field.Forbidden(path, "pulls, window, rate and burst are only for source Fixed: an observed limit is read from the registry"))
	}
	return errs
}

// complete reports whether a declared limit is a window or a bucket, and not
// something of both.
func (l *Limit) complete() bool {
	pulls, window, rate, burst := l.Pulls != 0, l.Window != nil, l.Rate != nil, l.Burst != 0
	return pulls && window && !rate && !burst || rate && burst && !pulls && !window
}

// validUnits checks a number of units; zero stands for not set.
func validUnits(path *field.Path, units int64) field.ErrorList {
	if units < 0 || units > maxUnits {
		return field.ErrorList{field.Invalid(path, units, "must be from 1 to 1000000000")}
	}
	return nil
}

func (p *Probe) validate(path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := validHosts(path.Child("tokenRealmHosts"), p.TokenRealmHosts)
	if p.Interval != nil && p.Interval.Duration < minProbeInterval {
		errs = append(errs, field.Invalid(path.Child("interval"), p.Interval.Duration.String(), "must be 1s at least"))
	}
	if p.CABundle != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(p.CABundle)) {
		errs = append(errs, field.Invalid(path.Child("caBundle"), "...", "holds no certificate in PEM"))
	}
	if p.Endpoint == "" {
		return errs
	}
	// What is wrong with it is not repeated: it may contain a password.
	u, err := url.Parse(p.Endpoint)
	if err != nil || u.Scheme != "https" || p.Endpoint != "https://"+u.Host || !hostPattern.MatchString(u.Host) {
		errs = append(errs, field.Invalid(path.Child("endpoint"), "...", "must be of the form https://host or https://host:port"))
	}
	return errs
}

func (r *Reserve) validate(path *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := oneOf(path.Child("rollback"), r.Rollback, RollbackAuto, RollbackNone)
	if p := r.Percent; p != nil && (*p < 0 || *p > maxReservePercent) {
		errs = append(errs, field.Invalid(path.Child("percent"), *p, "must be from 0 to 30"))
	}
	return errs
}

func (s *Share) validate(path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	if f := s.FractionOfRemaining; f != nil && !within(f, 1) {
		errs = append(errs, field.Invalid(path.Child("fractionOfRemaining"), f.String(), "must be above 0 and at most 1"))
	}
	if s.Guard < 0 {
		errs = append(errs, field.Invalid(path.Child("guard"), s.Guard, "must not be negative"))
	}
	if s.MaxPerWindow < 0 {
		errs = append(errs, field.Invalid(path.Child("maxPerWindow"), s.MaxPerWindow, "must not be negative"))
	}
	return errs
}

func (b *Breaker) validate(path *field.Path) field.ErrorList {
	if b == nil {
		return nil
	}
	errs := positive(path.Child("base"), b.Base)
	errs = append(errs, positive(path.Child("max"), b.Max)...)
	if p := b.FailurePercent; p != nil && (*p < 1 || *p > 100) {
		errs = append(errs, field.Invalid(path.Child("failurePercent"), *p, "must be from 1 to 100"))
	}
	base, most := DefaultBreakerBase, DefaultBreakerMax
	if b.Base != nil {
		base = b.Base.Duration
	}
	if b.Max != nil {
		most = b.Max.Duration
	}
	if base > most {
		errs = append(errs, field.Invalid(path.Child("base"), base.String(), "must not be above max, which is "+most.String()))
	}
	return errs
}

// oneOf refuses a word outside a closed list; empty stands for the default.
func oneOf[T ~string](path *field.Path, got T, known ...T) field.ErrorList {
	if got == "" {
		return nil
	}
	for _, k := range known {
		if got == k {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, got, known)}
}

func validHost(path *field.Path, host string) field.ErrorList {
	if len(host) > validation.DNS1123SubdomainMaxLength || !hostPattern.MatchString(host) {
		return field.ErrorList{field.Invalid(path, host, "must be a registry host such as docker.io or registry.example.com:5000, in lower case")}
	}
	return nil
}

func validHosts(path *field.Path, hosts []string) field.ErrorList {
	var errs field.ErrorList
	for i, host := range hosts {
		errs = append(errs, validHost(path.Index(i), host)...)
	}
	return errs
}

func noneEmpty(path *field.Path, names []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range names {
		if name == "" {
			errs = append(errs, field.Required(path.Index(i), "must not be empty"))
		}
	}
	return errs
}

func positive(path *field.Path, d *metav1.Duration) field.ErrorList {
	if d != nil && d.Duration <= 0 {
		return field.ErrorList{field.Invalid(path, d.Duration.String(), "must be above zero")}
	}
	return nil
}

// within reports whether 0 < q <= most.
func within(q *resource.Quantity, most int64) bool {
	return q.Sign() > 0 && q.Cmp(*resource.NewQuantity(most, resource.DecimalSI)) <= 0
}

func validSelector(path *field.Path, selector *metav1.LabelSelector) field.ErrorList {
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		return field.ErrorList{field.Invalid(path, selector, err.Error())}
	}
	return nil
}
