package v1alpha1_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// busy is the books of an account about which everything is known.
func busy() (engine.View, engine.AccountState) {
	at := time.Date(2026, 9, 1, 12, 0, 0, 123_456_000, time.UTC)
	last := &quota.Observation{SentAt: at, Status: 200, Header: quota.Header{
		Limit: 100, HasLimit: true, Remaining: -3, HasRemaining: true, Window: time.Hour, Source: "203.0.113.42",
	}}
	since := at.Truncate(time.Second)
	state := quota.State{Last: last, Open: 7, ForeignPerHour: 9.25, ForeignTaken: 11, HeadsCharged: since,
		Charges: []quota.Charge{{Host: "docker.io", Manifests: 2, Mean: 1.5, Samples: 131, Batches: 12, Most: 2}}}
	for i := range 64 {
		state.Spent = append(state.Spent, quota.Spent{End: at.Add(time.Duration(i) * time.Minute), Units: core.Units(i)})
	}
	view := engine.View{Account: "docker.io/anonymous@nat-a", Held: 20, Demand: 40, Breaker: feedback.View{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.Throttled}}, Books: quota.Books{
		Grade: quota.GradeOK, Limit: 100, Window: time.Hour, Remaining: -3, Source: "203.0.113.42", SentAt: at,
		Reserved: 5, Ungated: 2, Foreign: 4, ForeignPerHour: 9.25, Available: []core.Units{9, 8, 7, 6, 5, 4},
		Forecast: quota.Range{From: at.Add(time.Minute), To: at.Add(time.Hour)}, HeadsCharged: since,
	}}
	kept := &feedback.Kept{State: feedback.Paused, Cause: feedback.Cause{Class: feedback.Throttled, Kind: feedback.KindPull, Failed: 3, Pods: 9, Head: true},
		Since: at, Until: at.Add(30*time.Second + time.Microsecond), Opened: 4, Failed: 2, Passed: 1}
	return view, engine.AccountState{Account: view.Account, State: state, Breaker: kept}
}

func TestBooksSurviveTheStatus(t *testing.T) {
	t.Parallel()
	view, want := busy()
	text, err := json.Marshal(v1alpha1.AccountStatusOf(view, want))
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.AccountStatus
	if err := yaml.UnmarshalStrict(text, &stored); err != nil {
		t.Fatal(err)
	}
	got := stored.State()
	if got.Account != view.Account {
		t.Errorf("account %q, want %q", got.Account, view.Account)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state after a restart (-want +got):\n%s", diff)
	}
}

// What was found out about probes is for the spec that they were sent by; a declared
// limit sends none.
func TestOtherProbesAreFoundOutAnew(t *testing.T) {
	t.Parallel()
	fixed := &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: 8, Window: &metav1.Duration{Duration: time.Minute}}
	tests := map[string]struct {
		generation int64
		limit      *v1alpha1.Limit
		want       bool
	}{
		"the same spec":           {3, nil, true},
		"another spec":            {4, nil, false},
		"a limit was declared":    {4, fixed, true},
		"a declared limit before": {3, fixed, true},
	}
	for name, tc := range tests {
		budget := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Generation: tc.generation}, Spec: v1alpha1.PullBudgetSpec{Limit: tc.limit}}
		budget.Status.ObservedGeneration = 3
		budget.Status.Accounts = []v1alpha1.AccountStatus{{Account: "a/b", ProbesChargedSince: new(metav1.NewTime(time.Unix(1, 0)))}}
		if got := !budget.States()[0].HeadsCharged.IsZero(); got != tc.want {
			t.Errorf("%s: known that they cost: %t, want %t", name, got, tc.want)
		}
	}
}

// Releases wait until their books are written: a status that the API server
// refuses would hold everything.
func TestEveryStatusIsAccepted(t *testing.T) {
	t.Parallel()
	view, state := busy()
	odd := view
	odd.ForeignPerHour, odd.Remaining, odd.Held = math.NaN(), math.MinInt64, math.MaxInt
	tests := map[string]v1alpha1.AccountStatus{
		"nothing known":    v1alpha1.AccountStatusOf(engine.View{Account: "ghcr.io/anonymous"}, engine.AccountState{}),
		"everything known": v1alpha1.AccountStatusOf(view, state),
		"numbers that are none": v1alpha1.AccountStatusOf(odd, engine.AccountState{State: quota.State{ForeignPerHour: math.Inf(1), Charges: []quota.Charge{{Manifests: 1, Mean: math.NaN()}}},
			Breaker: &feedback.Kept{State: feedback.Trying, Opened: math.MaxInt, Failed: math.MinInt}}),
		"the longest window": v1alpha1.AccountStatusOf(engine.View{Account: "a/b", Books: quota.Books{Window: math.MaxInt64}}, engine.AccountState{}),
	}
	kinds := compile(t)
	for name, status := range tests {
		b := v1alpha1.PullBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "PullBudget"},
			ObjectMeta: metav1.ObjectMeta{Name: "hub"},
			Spec:       v1alpha1.PullBudgetSpec{Registry: "docker.io"},
			Status:     v1alpha1.PullBudgetStatus{Accounts: []v1alpha1.AccountStatus{status}},
		}
		text, err := yaml.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if errs := kinds["PullBudget"].check(t, string(text)); len(errs) > 0 {
			t.Errorf("%s: refused: %v", name, errs)
		}
	}
}

func TestHostileStatusGrantsNothing(t *testing.T) {
	t.Parallel()
	got := v1alpha1.AccountStatus{
		Account: "docker.io/anonymous", Open: -50, ForeignPerHour: "-1e300", Limit: -1, SentAt: new(metav1.NowMicro()),
		Spent:         []v1alpha1.SpentBucket{{Units: -1000}},
		ChargePerPull: []v1alpha1.ChargePerPull{{Manifests: 2, Mean: "NaN", Samples: -4, Batches: -1, Most: -9}, {Manifests: 1, Mean: "1e308", Samples: 1}},
	}.State()
	want := engine.AccountState{Account: "docker.io/anonymous", State: quota.State{
		Spent: []quota.Spent{{}}, Charges: []quota.Charge{{Manifests: 2}, {Manifests: 1, Samples: 1}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state of a hostile status (-want +got):\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec v1alpha1.PullBudgetSpec
		want quota.Settings
	}{
		"the defaults": {v1alpha1.PullBudgetSpec{Registry: "docker.io"}, quota.Settings{ReservePercent: 5, RollbackReserve: true}},
		"a declared window": {
			v1alpha1.PullBudgetSpec{Limit: &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: 24, Window: &metav1.Duration{Duration: time.Minute}}},
			quota.Settings{ReservePercent: 5, RollbackReserve: true, Fixed: &quota.Fixed{Pulls: 24, Window: time.Minute}},
		},
		"a declared bucket": {
			v1alpha1.PullBudgetSpec{Limit: &v1alpha1.Limit{Source: v1alpha1.Fixed, Rate: new(resource.MustParse("0.5")), Burst: 3}},
			quota.Settings{ReservePercent: 5, RollbackReserve: true, Fixed: &quota.Fixed{Rate: 0.5, Burst: 3}},
		},
		"a mirror": {
			v1alpha1.PullBudgetSpec{Registry: "docker.io", Mirrors: []string{"mirror.corp"}},
			quota.Settings{ReservePercent: 5, RollbackReserve: true, Mirrored: true},
		},
		"nothing in reserve and a share": {
			v1alpha1.PullBudgetSpec{
				Reserve: &v1alpha1.Reserve{Percent: new(int32(0)), Rollback: v1alpha1.RollbackNone},
				Share:   &v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("0.1")), Guard: 4, MaxPerWindow: 50},
				Probe:   &v1alpha1.Probe{Interval: &metav1.Duration{Duration: 2 * time.Second}},
			},
			quota.Settings{Fraction: 0.1, Guard: 4, MaxPerWindow: 50, ProbeInterval: 2 * time.Second},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.spec.Settings()); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPolicyAnswers(t *testing.T) {
	t.Parallel()
	spec := v1alpha1.PacePolicySpec{
		Classes: []v1alpha1.ClassMapping{{PriorityClass: "web", Class: "serving"}, {PriorityClass: "warmer", Class: "pre-pull"}},
		Weights: []v1alpha1.NamespaceWeight{{Namespace: "shop", Weight: 3}},
	}
	for priority, want := range map[string]core.Class{"web": core.ClassServing, "warmer": core.ClassBatch, "": core.ClassRollout, "other": core.ClassRollout} {
		if got := spec.ClassOf(priority); got != want {
			t.Errorf("class of PriorityClass %q is %s, want %s", priority, got, want)
		}
	}
	if a, b := spec.WeightOf("shop"), spec.WeightOf("other"); a != 3 || b != 1 {
		t.Errorf("weights %d and %d, want 3 and 1", a, b)
	}
	if a, b := spec.HoldFor(core.ClassRollout), spec.HoldFor(core.ClassCI); a != 24*time.Hour || b != 2*time.Minute {
		t.Errorf("holds of %s and %s, want 24h and 2m", a, b)
	}
	spec.MaxHold = &metav1.Duration{Duration: time.Minute}
	if a, b := spec.HoldFor(core.ClassRollout), spec.HoldFor(core.ClassCI); a != time.Minute || b != time.Minute {
		t.Errorf("holds of %s and %s, want 1m for both", a, b)
	}
	if diff := cmp.Diff(engine.Waves{By: "Egress"}, spec.EngineWaves()); diff != "" {
		t.Errorf("waves (-want +got):\n%s", diff)
	}
}

// The table for people says what the code does.
func TestTableOfDefaultsIsTrue(t *testing.T) {
	t.Parallel()
	var policy v1alpha1.PacePolicySpec
	policy.Default()
	var budget v1alpha1.PullBudgetSpec
	budget.Default()
	said := map[string][]string{
		"mode":                    {string(policy.Mode) + " when written by hand"},
		"maxHold":                 {short(policy.HoldFor(core.ClassRollout)), "ci: " + short(policy.HoldFor(core.ClassCI))},
		"maxGatedPerNamespace":    {resource.NewQuantity(int64(*policy.MaxGatedPerNamespace), resource.DecimalSI).String()},
		"deleteFirst":             {string(policy.DeleteFirst) + " (or"},
		"waves":                   {"by " + string(policy.Waves.By) + ", size 0", "canary 0"},
		"nodes":                   {"hold false, size 0, maxHold " + short(policy.Nodes.MaxHold.Duration)},
		"pauseOn":                 {strings.Replace(policy.PauseOn.FailureRate.StrVal, "%", " %", 1), "minPods 5", "window " + short(policy.PauseOn.Window.Duration), "resumeBelow 5 %"},
		"limit.source":            {string(budget.Limit.Source)},
		"reserve":                 {"percent 5 of", "rollback " + string(budget.Reserve.Rollback)},
		"breaker":                 {"20 %", short(v1alpha1.DefaultBreakerBase), short(v1alpha1.DefaultBreakerMax)},
		"weights over namespaces": {"1"},
	}
	rows := map[string]string{}
	for _, d := range v1alpha1.Defaults() {
		rows[d.Field] = d.Value
	}
	for field, parts := range said {
		for _, part := range parts {
			if !strings.Contains(rows[field], part) {
				t.Errorf("%s: the table says %q, the code does %q", field, rows[field], part)
			}
		}
	}
}

// short writes a duration without the units that are zero.
func short(d time.Duration) string {
	s, whole := strings.CutSuffix(d.String(), "m0s")
	if !whole {
		return s
	}
	if hours, even := strings.CutSuffix(s, "h0"); even {
		return hours + "h"
	}
	return s + "m"
}
