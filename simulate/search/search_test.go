package search

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/report"
)

func TestValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a,b , c":              "a b c",
		"50":                   "50",
		"6h,12h":               "6h 12h",
		"0..100 lin 5":         "0 25 50 75 100",
		"1..1000 log 4":        "1 10 100 1000",
		"1..10 lin 10":         "1 2 3 4 5 6 7 8 9 10",
		"1..4 log 9":           "1 2 3 4", // equal ratios fall on the same whole numbers
		"0.5..2 log 3":         "0.5 1 2",
		"1/s..100/s log 3":     "1/s 10/s 100/s",
		"1..100/s log 3":       "1/s 10/s 100/s",
		"10m..20m lin 3":       "10m 15m 20m",
		"7..7 lin 3":           "7",
		"50..5000 log 1":       "50",
		"5..6 lin 1":           "5",
		"1000..3000000 log 2":  "1000 3000000",
		"2500..2500000 lin 2 ": "2500 2500000",
	} {
		got, err := Values(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
	for _, wrong := range []string{"", "a,,b", "1..", "..5", "5..1 lin 3", "0..5 log 3", "1..5", "1..5 log 0", "1..5 log 1001", "1..5 cubic 3", "1s..5m lin 2", "1e999..2 lin 2", "-1..5 lin 3", "NaN..5 lin 2", strings.Repeat("1,", 1001) + "1"} {
		if got, err := Values(wrong); err == nil {
			t.Errorf("%q was taken for %q", wrong, got)
		}
	}
	if got, err := Values("50..5000 log 20"); err != nil || len(got) != 20 || got[0] != "50" || got[19] != "5000" {
		t.Errorf("50..5000 log 20 is %q, %v: want 20 values with both ends", got, err)
	}
}

func TestGrid(t *testing.T) {
	t.Parallel()
	got, err := Grid([][]string{{"1", "2"}, {"a", "b", "c"}})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"1", "a"}, {"1", "b"}, {"1", "c"}, {"2", "a"}, {"2", "b"}, {"2", "c"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	long := slices.Repeat([]string{"x"}, 101)
	if _, err := Grid([][]string{long, long}); err == nil {
		t.Error("10,201 points were taken")
	}
}

func TestGoal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]report.Goal{
		"podReadySeconds.p95 <= 20m": {Metric: "podReadySeconds.p95", Op: "<=", Value: 1200},
		"makespanSeconds<90":         {Metric: "makespanSeconds", Op: "<", Value: 90},
		"throttled == 0":             {Metric: "throttled", Op: "==", Value: 0},
		"ratioToBound <= 1.05":       {Metric: "ratioToBound", Op: "<=", Value: 1.05},
	} {
		got, err := Goal(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
	for _, wrong := range []string{"", "throttled", "throttled = 0", "own429 == 0", "throttled == 5m", "throttled == x", "pulls == NaN", "makespanSeconds <= 20 m"} {
		if got, err := Goal(wrong); err == nil {
			t.Errorf("%q was taken for %+v", wrong, got)
		}
	}
}

// when answers a try with whether a condition on the number holds, and counts.
func when(tries *int, met func(float64) bool) func(context.Context, string) (Try, error) {
	return func(_ context.Context, value string) (Try, error) {
		*tries++
		number, err := strconv.ParseFloat(strings.TrimSuffix(value, "/s"), 64)
		return Try{Actual: &number, Met: met(number)}, err
	}
}

func TestSolveFindsTheSmallest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		within string
		least  float64
		want   string
	}{
		"in the middle":  {"1..100000", 2500, "2500"},
		"the first":      {"1..100000", 0, "1"},
		"the last":       {"1..100", 100, "100"},
		"none":           {"1..100", 101, ""},
		"of one value":   {"7..7", 3, "7"},
		"a rate":         {"0.1/s..50/s", 2.0, "2.00/s"},
		"a finer rate":   {"0.1/s..50/s", 1.994, "2.00/s"},
		"from zero":      {"0..10", 0, "0"},
		"from zero up":   {"0..10", 1, "1"},
		"a power of two": {"1..4096", 1024, "1024"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space, err := NewSpace(tc.within, 0)
			if err != nil {
				t.Fatal(err)
			}
			tries := 0
			got, err := Solve(t.Context(), space, when(&tries, func(v float64) bool { return v >= tc.least }))
			if err != nil {
				t.Fatal(err)
			}
			if got.Answer != tc.want || !got.Monotone || got.Odd != nil {
				t.Errorf("answer %q, monotone %v %q, want %q and monotone", got.Answer, got.Monotone, got.Odd, tc.want)
			}
			if tries != len(got.Tried) || tries > 45 {
				t.Errorf("%d tries for %d values, want each once and some tens at most", tries, len(got.Tried))
			}
		})
	}
}

// TestSolveSaysWhenItIsNotMonotone: a goal that is met at 64 to 100, missed above
// and met again from 2000 on has no smallest value from which on it is met below
// 2000; what was found is above that, and the sign of it is named.
func TestSolveSaysWhenItIsNotMonotone(t *testing.T) {
	t.Parallel()
	space, err := NewSpace("1..4000", 0)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	got, err := Solve(t.Context(), space, when(&tries, func(v float64) bool { return v >= 64 && v <= 100 || v >= 2000 }))
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.Atoi(got.Answer)
	if err != nil || at < 2000 || got.Monotone || len(got.Odd) != 2 {
		t.Errorf("answer %q, monotone %v, odd %q: want 2000 or more, and two values that show it", got.Answer, got.Monotone, got.Odd)
	}
}

// TestSolveLooksAboveItsAnswer: what meets the goal at once, as one node at a time
// may, is tried at its doubles too.
func TestSolveLooksAboveItsAnswer(t *testing.T) {
	t.Parallel()
	space, err := NewSpace("1..100", 0)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	got, err := Solve(t.Context(), space, when(&tries, func(v float64) bool { return v < 4 || v > 50 }))
	if err != nil {
		t.Fatal(err)
	}
	if got.Monotone || got.Answer != "51" {
		t.Errorf("answer %q, monotone %v, want 51 from which on it is met, and that smaller ones did too", got.Answer, got.Monotone)
	}
}

func TestSolveStopsAtAnError(t *testing.T) {
	t.Parallel()
	space, err := NewSpace("1..10", 0)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	_, err = Solve(t.Context(), space, func(context.Context, string) (Try, error) { return Try{}, broken })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "trying 1") {
		t.Errorf("got %v, want what was tried and why it failed", err)
	}
}

func TestSpaces(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"", "1", "5..1", "1..5 log 3", "0..1e18"} {
		if _, err := NewSpace(wrong, 0); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	if _, err := NewSpace("1.2..1.8", 1); err == nil {
		t.Error("a space without a whole number was taken")
	}
	for now, want := range map[string]Space{
		"100":  {from: 1, to: 100_000, step: 1},
		"10/s": {from: 1, to: 1_000_000, step: 0.01, unit: "/s"},
		"0":    {from: 1, to: 1000, step: 1},
	} {
		got, err := Around(now, 0)
		if err != nil || got != want {
			t.Errorf("around %q is %+v, %v, want %+v", now, got, err, want)
		}
	}
	for _, now := range []string{"RollingLog", ""} {
		if _, err := Around(now, 0); err == nil {
			t.Errorf("around %q", now)
		}
	}
}
