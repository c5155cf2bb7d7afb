package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/core/feedback"
)

// Default is one line of the table of defaults, for people.
//
// +kubebuilder:object:generate=false
type Default struct {
	Field string
	Value string
}

// Defaults is the table of defaults that the reference page and
// `simulate --explain` print.
func Defaults() []Default {
	return []Default{
		{"mode", "Shadow when made by install; Enforce when written by hand or in a scenario"},
		{"maxHold", "24h (class ci: 2m)"},
		{"maxGatedPerNamespace", "500"},
		{"deleteFirst", "SurgeOnly (or Pause, Never)"},
		{"waves", "by Egress, size 0 (the budget decides), canary 0"},
		{"nodes", "hold false, size 0, maxHold 10m"},
		{"pauseOn", "failureRate 20 %, minPods 5, window 2m, resumeBelow 5 %"},
		{"limit.source", "Observed"},
		{"probe.interval", "20s while work waits, or a sixtieth of the window where that is less, and at each predicted refill; 5m idle, floor 1s, jitter 10 %"},
		{"lag", "5s, or a twelfth of the window where that is less"},
		{"foreign-use quantile", "1e-4"},
		{"reserve", "percent 5 of the limit, rounded down; rollback Auto; dropped for the last window of a finite demand"},
		{"classes and their reserve", "node-critical 0, rollback 0, serving (rollback's own), rollout + 5 %, batch and pre-pull + 15 %, ci + 15 %; mapped from PriorityClass by administrators only; default class rollout"},
		{"share", "fractionOfRemaining 1, guard 0"},
		{"breaker", "20 % or one budget 429; 30s·2^k up to 30m, full jitter, Retry-After first; ok after 3"},
		{"weights over namespaces", "1"},
		{"API client", "300 QPS, burst 500, 8 patches in flight"},
	}
}

// The values of the table that code needs.
const (
	DefaultMaxHold         = 24 * time.Hour
	DefaultMaxHoldCI       = 2 * time.Minute
	DefaultMaxGated  int32 = 500
	DefaultNodeHold        = 10 * time.Minute

	DefaultReservePercent int32 = 5

	DefaultFailurePercent int32 = feedback.DefaultFailurePercent
	DefaultResumePercent  int32 = feedback.DefaultResumeBelow
	DefaultMinPods        int32 = feedback.DefaultMinPods
	DefaultPauseWindow          = feedback.DefaultWindow

	DefaultBreakerBase = feedback.DefaultBase
	DefaultBreakerMax  = feedback.DefaultMax
)

// Default fills in what is not set.
func (s *PacePolicySpec) Default() {
	orElse(&s.Mode, Enforce)
	orElse(&s.DeleteFirst, SurgeOnly)
	orElse(&s.DefaultClass, "rollout")
	if s.MaxGatedPerNamespace == nil {
		s.MaxGatedPerNamespace = new(DefaultMaxGated)
	}
	if s.Waves == nil {
		s.Waves = &Waves{}
	}
	orElse(&s.Waves.By, "Egress")
	if s.Nodes == nil {
		s.Nodes = &Nodes{}
	}
	if s.Nodes.MaxHold == nil {
		s.Nodes.MaxHold = &metav1.Duration{Duration: DefaultNodeHold}
	}
	if s.PauseOn == nil {
		s.PauseOn = &PauseOn{}
	}
	s.PauseOn.Default()
}

// Default fills in what is not set.
func (p *PauseOn) Default() {
	if p.FailureRate == nil {
		p.FailureRate = new(intstr.FromString("20%"))
	}
	if p.ResumeBelow == nil {
		p.ResumeBelow = new(intstr.FromString("5%"))
	}
	if p.MinPods == nil {
		p.MinPods = new(DefaultMinPods)
	}
	if p.Window == nil {
		p.Window = &metav1.Duration{Duration: DefaultPauseWindow}
	}
}

// Default fills in what is not set.
func (s *PullBudgetSpec) Default() {
	orElse(&s.Identity, Anonymous)
	if s.Limit == nil {
		s.Limit = &Limit{}
	}
	orElse(&s.Limit.Source, Observed)
	if s.Reserve == nil {
		s.Reserve = &Reserve{}
	}
	if s.Reserve.Percent == nil {
		s.Reserve.Percent = new(DefaultReservePercent)
	}
	orElse(&s.Reserve.Rollback, RollbackAuto)
}

// orElse sets a zero value.
func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
