package view

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the reader's clock in every golden.
var now = time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)

// screen is a view with a model.
type screen struct {
	model any
	draw  func(io.Writer, Style) error
}

func drawn[M any](model M, view func(io.Writer, M, Style) error) screen {
	return screen{model: model, draw: func(w io.Writer, st Style) error { return view(w, model, st) }}
}

func screens() map[string]screen {
	return map[string]screen{
		"budget":               drawn(sampleBudgets(), BudgetTable),
		"budget-charged":       drawn(chargedBudgets(), BudgetTable),
		"budget-none":          drawn(Budgets{}, BudgetTable),
		"budget-no-controller": drawn(Budgets{Items: sampleBudgets().Items[:1]}, BudgetTable),
		"budget-spent":         drawn(sampleBudgets(), BudgetSpent),
		"cost-hold":            drawn(sampleCost(), CostPage),
		"cost-recreate":        drawn(recreateCost(), CostPage),
		"cost-allow":           drawn(cheapCost(), CostPage),
		"cost-client":          drawn(clientCost(), CostPage),
		"status":               drawn(sampleStatus(), StatusPage),
		"status-idle":          drawn(idleStatus(), StatusPage),
		"status-none":          drawn(Status{}, StatusPage),
		"status-dead":          drawn(deadStatus(), StatusPage),
		"status-guarded":       drawn(guardedStatus(), StatusPage),
		"shadow":               drawn(sampleShadow(), ShadowPage),
		"shadow-wide":          drawn(sampleShadow(), ShadowPage),
		"shadow-none":          drawn(Shadow{}, ShadowPage),
		"explain-shadow":       drawn(Explanation{Namespace: "shop", Object: "pod/api-1", Answer: "NotHeld", Reason: "Shadow", Workload: "deploy/api", Meaning: "the policy only watches", Message: "37 pods of it would be held now (WaitingForBudget): 37 pods like this", WouldBe: soon(), Remedy: "set mode Enforce"}, ExplanationPage),
		"status-broken":        drawn(brokenStatus(), StatusPage),
		"explain-held":         drawn(sampleExplanation(), ExplanationPage),
		"explain-unguarded":    drawn(unguardedExplanation(), ExplanationPage),
		"explain-paused":       drawn(pausedExplanation(), ExplanationPage),
		"explain-failing":      drawn(failingExplanation(), ExplanationPage),
		"explain-released":     drawn(Explanation{Namespace: "shop", Object: "pod/api-1", Answer: "Released", Reason: "Budget", Decision: "d7", Workload: "deploy/api", Meaning: "the account has the units"}, ExplanationPage),
		"rollout-held":         drawn(sampleRollout(), RolloutScreen),
		"rollout-steps":        drawn(steppedRollout(), RolloutScreen),
		"rollout-step-lines":   drawn(steppedRollout(), RolloutLine),
		"explain-steps":        drawn(steppedExplanation(), ExplanationPage),
		"explain-frozen":       drawn(frozenExplanation(), ExplanationPage),
		"explain-aborted":      drawn(abortedExplanation(), ExplanationPage),
		"rollout-failing":      drawn(failingRollout(), RolloutScreen),
		"rollout-failing-line": drawn(failingRollout(), RolloutLine),
		"status-steps":         drawn(steppedStatus(), StatusPage),
		"rollout-lines":        drawn(sampleRollout(), RolloutLine),
		"rollout-done":         drawn(doneRollout(), RolloutLine),
		"doctor":               drawn(sampleDiagnosis(), DiagnosisPage),
		"doctor-workload":      drawn(narrowDiagnosis(), DiagnosisPage),
		"doctor-healthy":       drawn(quietDiagnosis(), DiagnosisPage),
		"doctor-fix":           drawn(sampleDiagnosis().Fixes[0], FixPage),
		"check":                drawn(sampleCheck(), CheckPage),
		"replay":               drawn(sampleReplay(), ReplayPage),
		"prediction":           drawn(samplePrediction(), PredictionTable),
		"replay-differs":       drawn(differingReplay(), ReplayPage),
		"replay-nothing":       drawn(Replay{File: "t.jsonl", Recorded: "v1", Replayed: "v1", From: now, To: now}, ReplayPage),
		"version":              drawn(Version{Client: "v0.3.0", Controller: "not installed", Cluster: "v1.34.4", Supported: "1.31 - 1.37"}, VersionLine),
		"order":                drawn(sampleOrder(), OrderPage),
		"order-none":           drawn(Order{Verb: "release"}, OrderPage),
		"install":              drawn(sampleInstall(), InstallPage),
		"install-dry":          drawn(shownInstall(), InstallPage),
		"uninstall":            drawn(sampleUninstall(), UninstallPage),
		"uninstall-left":       drawn(leftUninstall(), UninstallPage),
		"simulate":             drawn(sampleSimulation(), SimulationPage),
		"simulate-wide":        drawn(sampleSimulation(), SimulationPage),
		"simulate-free":        drawn(freeSimulation(), SimulationPage),
		"simulate-endless":     drawn(endlessSimulation(), SimulationPage),
		"sweep":                drawn(sampleSweep(), SweepTable),
		"solve":                drawn(sampleSolution(), SolutionPage),
		"solve-none":           drawn(unsolved(), SolutionPage),
		"defaults":             drawn(sampleDefaulted(), DefaultedTable),
		"defaults-any":         drawn(Defaulted{Fields: sampleDefaulted().Fields}, DefaultedTable),
		"stories":              drawn(sampleStories(), StoriesTable),
		"uninstall-blocked":    drawn(blockedUninstall(), UninstallPage),
		"cost-nodes":           drawn(sampleNodeCost(), NodeCostPage),
		"cost-nodes-allow":     drawn(paidNodeCost(), NodeCostPage),
		"cost-nodes-unknown":   drawn(unknownNodeCost(), NodeCostPage),
		"check-nodes":          drawn(sampleNodesCheck(), NodesCheckPage),
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, sc := range screens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := sc.draw(&out, Style{Now: now, Wide: strings.HasSuffix(name, "-wide")}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out.Bytes())
		})
	}
}

// TestJSON keeps the field names: scripts read them.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"budget", "cost-hold", "status", "explain-held", "explain-failing", "explain-steps", "rollout-held", "rollout-steps", "check", "cost-nodes", "check-nodes", "uninstall-blocked", "version", "order", "install", "uninstall", "shadow", "simulate", "sweep", "solve", "defaults", "stories", "replay-differs", "prediction", "doctor", "doctor-fix"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := JSON(&out, screens()[name].model); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", out.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// hostile holds what a terminal would obey: escapes, C1 controls, carriage
// returns, text direction, broken UTF-8.
const hostile = "a\x1b[2J\x1b]0;x\x07\u009b31m\r\u202egnp.exe\u200b\n\xff\x00b"

var colours = regexp.MustCompile("\x1b\\[[0-9]+m")

// TestHostile puts hostile text into every string of every model.
func TestHostile(t *testing.T) {
	t.Parallel()
	for name, sc := range screens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var clean, dirty bytes.Buffer
			if err := sc.draw(&clean, Style{Now: now}); err != nil {
				t.Fatal(err)
			}
			poisoned := reflect.New(reflect.TypeOf(sc.model)).Elem()
			poisoned.Set(reflect.ValueOf(sc.model))
			poison(poisoned)
			if err := redraw(name, poisoned.Interface(), &dirty); err != nil {
				t.Fatal(err)
			}
			text := colours.ReplaceAllString(dirty.String(), "")
			for _, r := range text {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Fatalf("%U reached the terminal in %q", r, text)
				}
			}
			var out bytes.Buffer
			if err := JSON(&out, poisoned.Interface()); err != nil {
				t.Fatal(err)
			}
			for _, r := range out.String() {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Fatalf("%U reached the terminal in JSON", r)
				}
			}
		})
	}
}

// redraw draws a model with the view of the screen's name, in colour.
func redraw(name string, model any, w io.Writer) error {
	st := Style{Now: now, Color: true, Wide: true, Width: 80, Program: "pace"}
	switch m := model.(type) {
	case Budgets:
		if name == "budget-spent" {
			return BudgetSpent(w, m, st)
		}
		return BudgetTable(w, m, st)
	case Cost:
		return CostPage(w, m, st)
	case Status:
		return StatusPage(w, m, st)
	case Shadow:
		return ShadowPage(w, m, st)
	case Explanation:
		return ExplanationPage(w, m, st)
	case Rollout:
		if name == "rollout-held" {
			return RolloutScreen(w, m, st)
		}
		return RolloutLine(w, m, st)
	case Diagnosis:
		return DiagnosisPage(w, m, st)
	case Fix:
		return FixPage(w, m, st)
	case Check:
		return CheckPage(w, m, st)
	case NodeCost:
		return NodeCostPage(w, m, st)
	case NodesCheck:
		return NodesCheckPage(w, m, st)
	case Replay:
		return ReplayPage(w, m, st)
	case Prediction:
		return PredictionTable(w, m, st)
	case Version:
		return VersionLine(w, m, st)
	case Order:
		return OrderPage(w, m, st)
	case Install:
		return InstallPage(w, m, st)
	case Uninstall:
		return UninstallPage(w, m, st)
	case Simulation:
		return SimulationPage(w, m, st)
	case Sweep:
		return SweepTable(w, m, st)
	case Solution:
		return SolutionPage(w, m, st)
	case Defaulted:
		return DefaultedTable(w, m, st)
	case Stories:
		return StoriesTable(w, m, st)
	}
	return os.ErrInvalid
}

// poison replaces every string below v; slices are copied so that the samples of
// other tests stay clean.
func poison(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i))
		}
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range v.Len() {
			poison(v.Index(i))
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"plain":         {"docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"},
		"letters stay":  {"größe 図", "größe 図"},
		"line break":    {"a\nb", "a b"},
		"escape":        {"a\x1b[31mb", "a?[31mb"},
		"c1 control":    {"a\u009b31m", "a?31m"},
		"direction":     {"a\u202eb", "a?b"},
		"broken UTF-8":  {"a\xffb", "a?b"},
		"long is cut":   {strings.Repeat("x", maxText+1), strings.Repeat("x", maxText) + "..."},
		"cut in a rune": {strings.Repeat("x", maxText-1) + "ö", strings.Repeat("x", maxText-1) + "..."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Clean(tc.in)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   time.Duration
		want string
	}{
		"seconds": {12 * time.Second, "12s"}, "minutes": {3*time.Minute + 20*time.Second, "3m20s"},
		"whole": {time.Hour, "1h"}, "hours": {4*time.Hour + 5*time.Minute, "4h5m"}, "days": {51 * time.Hour, "2d3h"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := span(tc.in); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestColour(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	if err := StatusPage(&plain, sampleStatus(), Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	if err := StatusPage(&coloured, sampleStatus(), Style{Now: now, Color: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour without Style.Color")
	}
	stripped := colours.ReplaceAllString(coloured.String(), "")
	if stripped == coloured.String() {
		t.Error("no colour with Style.Color")
	}
	if diff := cmp.Diff(plain.String(), stripped); diff != "" {
		t.Errorf("colour moves text (-plain +coloured)\n%s", diff)
	}
}
