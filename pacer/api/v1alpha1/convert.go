package v1alpha1

import (
	"math"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Settings are the rules that the spec gives to the books of its accounts.
func (s *PullBudgetSpec) Settings() quota.Settings {
	spec := s.DeepCopy()
	spec.Default()
	out := quota.Settings{
		Fixed:           spec.Limit.fixed(),
		ReservePercent:  int(*spec.Reserve.Percent),
		RollbackReserve: spec.Reserve.Rollback == RollbackAuto,
		Mirrored:        len(spec.Mirrors) > 0,
	}
	if spec.Probe != nil && spec.Probe.Interval != nil {
		out.ProbeInterval = spec.Probe.Interval.Duration
	}
	if share := spec.Share; share != nil {
		out.Guard = core.Units(share.Guard)
		out.MaxPerWindow = core.Units(share.MaxPerWindow)
		if share.FractionOfRemaining != nil {
			out.Fraction = share.FractionOfRemaining.AsApproximateFloat64()
		}
	}
	return out
}

// fixed is a declared limit; nil: it is observed.
func (l *Limit) fixed() *quota.Fixed {
	if l == nil || l.Source != Fixed {
		return nil
	}
	f := &quota.Fixed{Pulls: core.Units(l.Pulls), Burst: core.Units(l.Burst)}
	if l.Window != nil {
		f.Window = l.Window.Duration
	}
	if l.Rate != nil {
		f.Rate = l.Rate.AsApproximateFloat64()
	}
	return f
}

// BreakerSettings are the constants of the breakers of the budget's accounts.
func (s *PullBudgetSpec) BreakerSettings() feedback.Settings {
	out := feedback.Settings{FailurePercent: int(DefaultFailurePercent), Base: DefaultBreakerBase, Max: DefaultBreakerMax}
	if b := s.Breaker; b != nil {
		if b.FailurePercent != nil {
			out.FailurePercent = int(*b.FailurePercent)
		}
		if b.Base != nil {
			out.Base = b.Base.Duration
		}
		if b.Max != nil {
			out.Max = b.Max.Duration
		}
	}
	return out
}

// EnginePauseOn says when failing pulls pause a revision. A rate of 0 % means any
// failure in a sample.
func (s *PacePolicySpec) EnginePauseOn() feedback.Threshold {
	spec := s.DeepCopy()
	spec.Default()
	p := spec.PauseOn
	failure, _ := percent(p.FailureRate, DefaultFailurePercent)
	resume, _ := percent(p.ResumeBelow, DefaultResumePercent)
	return feedback.Threshold{FailurePercent: max(failure, 1), MinPods: int(*p.MinPods), Window: p.Window.Duration, ResumeBelow: resume}
}

// EngineWaves are the waves that the spec gives to groups.
func (s *PacePolicySpec) EngineWaves() engine.Waves {
	spec := s.DeepCopy()
	spec.Default()
	return engine.Waves{By: string(spec.Waves.By), Size: int(spec.Waves.Size), Canary: int(spec.Waves.Canary)}
}

// EngineNodeWaves are the waves that the spec gives to groups of new nodes: a canary
// among pods is one among nodes too.
func (s *PacePolicySpec) EngineNodeWaves() engine.Waves {
	spec := s.DeepCopy()
	spec.Default()
	return engine.Waves{By: "Node", Size: int(spec.Nodes.Size), Canary: int(spec.Waves.Canary)}
}

// HoldsNodes reports whether new nodes are held, and for how long at most.
func (s *PacePolicySpec) HoldsNodes() (maxHold time.Duration, holds bool) {
	spec := s.DeepCopy()
	spec.Default()
	return spec.Nodes.MaxHold.Duration, spec.Mode == Enforce && spec.Nodes.Hold
}

// ClassOf is the class that the spec gives to a PriorityClass.
func (s *PacePolicySpec) ClassOf(priorityClass string) core.Class {
	for _, m := range s.Classes {
		if m.PriorityClass == priorityClass {
			return m.Class.core()
		}
	}
	return s.DefaultClass.core()
}

// Maps reports whether the spec gives a class to a PriorityClass.
func (s *PacePolicySpec) Maps(priorityClass string) bool {
	return slices.ContainsFunc(s.Classes, func(m ClassMapping) bool { return m.PriorityClass == priorityClass })
}

// core is the class of the decision code; what is not known is a rollout.
func (c Class) core() core.Class {
	parsed, err := core.ParseClass(string(c))
	if err != nil {
		return core.ClassRollout
	}
	return parsed
}

// HoldFor is how long a pod of a class may be held.
func (s *PacePolicySpec) HoldFor(class core.Class) time.Duration {
	most := DefaultMaxHold
	if s.MaxHold != nil {
		most = s.MaxHold.Duration
	}
	if class == core.ClassCI {
		return min(most, DefaultMaxHoldCI)
	}
	return most
}

// WeightOf is the weight of a namespace.
func (s *PacePolicySpec) WeightOf(namespace string) int {
	for _, w := range s.Weights {
		if w.Namespace == namespace {
			return int(w.Weight)
		}
	}
	return 1
}

// AccountStatusOf shows an account's books, and what must survive a restart.
func AccountStatusOf(v engine.View, state engine.AccountState) AccountStatus {
	s := AccountStatus{
		Account: string(v.Account), Grade: string(v.Grade), Doubt: string(v.Doubt),
		Limit: int64(v.Limit), Window: metav1.Duration{Duration: v.Window},
		Remaining: int64(v.Remaining), Source: v.Source, Sources: v.Sources, SentAt: microTime(v.SentAt),
		Reserved: int64(v.Reserved), UngatedDemand: int64(v.Ungated), Open: int64(state.Open),
		ForeignPerHour: formatFloat(v.ForeignPerHour), ForeignMargin: int64(v.Foreign), ForeignTaken: int64(state.ForeignTaken),
		Held: int32(min(v.Held, math.MaxInt32)), Demand: int64(v.Demand), Unlimited: v.Unlimited,
		Breaker: breakerOf(v, state.Breaker), Opened: v.Opened, Flow: flowOf(v.Flow),
	}
	for i, units := range v.Available {
		s.Available = append(s.Available, ClassUnits{Class: core.Class(i).String(), Units: int64(units)})
	}
	for _, b := range state.Spent {
		s.Spent = append(s.Spent, SpentBucket{End: metav1.NewMicroTime(b.End), Units: int64(b.Units)})
	}
	for _, u := range state.Use {
		s.UsedBy = append(s.UsedBy, UseStatus{Workload: u.Workload, Units: int64(u.Units), Last: metav1.NewMicroTime(u.Last)})
	}
	for _, c := range state.Charges {
		s.ChargePerPull = append(s.ChargePerPull, ChargePerPull{
			Host: c.Host, Manifests: int32(c.Manifests), Mean: formatFloat(c.Mean), Samples: int32(c.Samples),
			Batches: int32(c.Batches), Most: int64(c.Most),
		})
	}
	if !v.HeadsCharged.IsZero() {
		s.ProbesChargedSince = new(metav1.NewTime(v.HeadsCharged))
	}
	if !v.Forecast.IsZero() {
		s.Forecast = &Forecast{From: metav1.NewTime(v.Forecast.From), To: metav1.NewTime(v.Forecast.To)}
	}
	return s
}

// flowOf is nil where nothing is known yet.
func flowOf(f quota.Flow) *FlowStatus {
	if f == (quota.Flow{}) {
		return nil
	}
	s := &FlowStatus{Over: metav1.Duration{Duration: f.Over.Round(time.Second)}}
	if f.Over > 0 {
		s.AskedPerHour, s.GivenPerHour = formatFloat(f.AskedPerHour), formatFloat(f.GivenPerHour)
	}
	if !f.Hopeless.IsZero() {
		s.HopelessSince = new(metav1.NewTime(f.Hopeless))
	}
	return s
}

// States are what the engine takes back of the accounts of the budget. What was found
// out about probes is not, where the spec has changed since: they are another way of
// asking. A declared limit asks nobody.
func (b *PullBudget) States() []engine.AccountState {
	var out []engine.AccountState
	for _, a := range b.Status.Accounts {
		s := a.State()
		if b.Status.ObservedGeneration != b.Generation && b.Spec.Limit.fixed() == nil {
			s.HeadsCharged = time.Time{}
		}
		out = append(out, s)
	}
	return out
}

// ProbesCharged reports whether the registry is known to charge for a HEAD.
func (b *PullBudget) ProbesCharged() bool {
	return slices.ContainsFunc(b.Status.Accounts, func(a AccountStatus) bool { return a.ProbesChargedSince != nil })
}

// State is what the engine takes back after a restart. A status that somebody
// else wrote can make it more careful, but grants nothing: what was spent is never
// negative.
func (a AccountStatus) State() engine.AccountState {
	out := engine.AccountState{Account: core.AccountID(a.Account)}
	out.Open = core.Units(max(a.Open, 0))
	out.ForeignPerHour, out.ForeignTaken = parseFloat(a.ForeignPerHour), core.Units(max(a.ForeignTaken, 0))
	if a.ProbesChargedSince != nil {
		out.HeadsCharged = a.ProbesChargedSince.Time
	}
	if a.Flow != nil && a.Flow.HopelessSince != nil {
		out.Hopeless = a.Flow.HopelessSince.Time
	}
	if a.SentAt != nil && a.Limit > 0 {
		out.Last = &quota.Observation{SentAt: a.SentAt.Time, Status: 200, Header: quota.Header{
			Limit: core.Units(a.Limit), HasLimit: true, Remaining: core.Units(a.Remaining), HasRemaining: true,
			Window: a.Window.Duration, Source: a.Source,
		}}
	}
	if a.Breaker != nil {
		out.Breaker = a.Breaker.Kept.kept()
	}
	for _, b := range a.Spent {
		out.Spent = append(out.Spent, quota.Spent{End: b.End.Time, Units: core.Units(max(b.Units, 0))})
	}
	for _, u := range a.UsedBy {
		out.Use = append(out.Use, quota.Use{Workload: u.Workload, Units: core.Units(max(u.Units, 0)), Last: u.Last.Time})
	}
	for _, c := range a.ChargePerPull {
		out.Charges = append(out.Charges, quota.Charge{Host: c.Host, Manifests: int(c.Manifests), Mean: parseFloat(c.Mean), Samples: int(max(c.Samples, 0)),
			Batches: int(max(c.Batches, 0)), Most: core.Units(max(c.Most, 0))})
	}
	return out
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewMicroTime(t))
}

// formatFloat writes a number for a status, whose fields hold no floats.
func formatFloat(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return ""
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// parseFloat reads a number that somebody may have written there. No pace and no
// price is above the largest limit.
func parseFloat(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxUnits {
		return 0
	}
	return f
}

// MeteredByAddress reports whether the registry tells accounts of the budget apart by
// the address that it is asked from, so that readings must come from there.
func (s *PullBudgetSpec) MeteredByAddress() bool {
	anonymous := s.Identity == "" || s.Identity == Anonymous
	return anonymous && (s.Limit == nil || s.Limit.Source != Fixed)
}
