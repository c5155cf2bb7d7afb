package suite

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunCountsWhatBecameOfCases(t *testing.T) {
	t.Parallel()
	pass := Case{Name: "pass", Run: func(context.Context, *Report) error { return nil }}
	fail := Case{Name: "fail", Run: func(context.Context, *Report) error { return errors.New("429 seen") }}
	crash := Case{Name: "crash", Run: func(context.Context, *Report) error { panic("no pod") }}
	tests := map[string]struct {
		cases   []Case
		want    string
		wantErr string
	}{
		"all pass":         {cases: []Case{pass}, want: "e2e suite=s passed=1 failed=0 skipped=0 seconds=0"},
		"one fails":        {cases: []Case{pass, fail}, want: "e2e suite=s passed=1 failed=1 skipped=0 seconds=0", wantErr: "1 cases failed: fail"},
		"a panic fails":    {cases: []Case{crash, pass}, want: "e2e suite=s passed=1 failed=1 skipped=0 seconds=0", wantErr: "1 cases failed: crash"},
		"nothing selected": {want: "e2e suite=s passed=0 failed=0 skipped=0 seconds=0", wantErr: "no case was run"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := Run(t.Context(), Options{Name: "s", Patience: time.Minute}, tc.cases)
				if diff := cmp.Diff(tc.want, s.String()); diff != "" {
					t.Errorf("summary (-want +got):\n%s", diff)
				}
				got := ""
				if err := s.Err(); err != nil {
					got = err.Error()
				}
				if diff := cmp.Diff(tc.wantErr, got); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFirstAndAloneCasesRunBeforeAndAfterAllOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var began []string
		make := func(c Case, took time.Duration) Case {
			c.Run = func(context.Context, *Report) error {
				mu.Lock()
				began = append(began, c.Name)
				mu.Unlock()
				time.Sleep(took)
				return nil
			}
			return c
		}
		s := Run(t.Context(), Options{Parallel: 2, Patience: time.Hour}, []Case{
			make(Case{Name: "kill", Alone: true}, time.Second), make(Case{Name: "long"}, 10*time.Second),
			make(Case{Name: "uninstall", Alone: true}, time.Second), make(Case{Name: "short"}, time.Second),
			make(Case{Name: "last"}, time.Second), make(Case{Name: "unused", First: true}, time.Second),
		})
		// The first: 1 s; two side by side: 10 s; then one after the other: 2 s.
		if want := 13 * time.Second; s.Took != want {
			t.Errorf("took %s, want %s", s.Took, want)
		}
		if diff := cmp.Diff([]string{"unused", "last", "kill", "uninstall"}, slices.Concat(began[:1], began[3:])); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// A lane's first case of 2 s takes the only place, and those of 30 s and 1 s that are
// apart none: those that are alone do not wait for them, and the suite waits for all.
func TestLanesRunBesideAllOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		at := map[string]time.Duration{}
		make := func(c Case, took time.Duration) Case {
			c.Run = func(context.Context, *Report) error {
				mu.Lock()
				at[c.Name] = time.Since(began)
				mu.Unlock()
				time.Sleep(took)
				return nil
			}
			return c
		}
		s := Run(t.Context(), Options{Parallel: 1, Patience: time.Hour}, []Case{
			make(Case{Name: "both", Lane: "second"}, 2*time.Second),
			make(Case{Name: "gone", Lane: "second", Apart: true}, 30*time.Second),
			make(Case{Name: "gone again", Lane: "second", Apart: true}, time.Second),
			make(Case{Name: "short"}, time.Second), make(Case{Name: "kill", Alone: true}, time.Second),
		})
		want := map[string]time.Duration{"both": 0, "short": 2 * time.Second, "gone": 2 * time.Second, "kill": 3 * time.Second, "gone again": 32 * time.Second}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("began (-want +got):\n%s", diff)
		}
		if want := 33 * time.Second; s.Took != want || s.Passed != 5 {
			t.Errorf("took %s with %d passed, want %s with 5", s.Took, s.Passed, want)
		}
	})
}

func TestACaseEndsAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got Result
		Run(t.Context(), Options{Patience: time.Minute, Finished: func(r Result) { got = r }}, []Case{{
			Name:    "slow",
			Run:     func(ctx context.Context, _ *Report) error { <-ctx.Done(); return errors.New("waiting for pods") },
			Inspect: func(ctx context.Context, err error) string { return "held: 3 pods" },
		}})
		want := "FAILED  slow                           60.0s\n" +
			"    waiting for pods (the case took longer than 1m0s)\n    held: 3 pods"
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
	})
}

func TestAnInterruptSkipsWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := Run(ctx, Options{Patience: time.Minute}, []Case{
		{Name: "first", Run: func(context.Context, *Report) error { cancel(); return nil }},
		{Name: "second", Run: func(context.Context, *Report) error { return nil }},
		{Name: "third", Alone: true, Run: func(context.Context, *Report) error { return nil }},
	})
	if diff := cmp.Diff([]int{1, 0, 2}, []int{s.Passed, s.Failed, s.Skipped}); diff != "" {
		t.Errorf("passed, failed, skipped (-want +got):\n%s", diff)
	}
	if s.Err() == nil {
		t.Error("a run with skipped cases passed")
	}
}

func TestNotesAndSelection(t *testing.T) {
	t.Parallel()
	var r Report
	r.Note("pulls", 24)
	r.Note("429", 0)
	line := Result{Case: "rollout", Took: 21300 * time.Millisecond, Notes: r.String()}.String()
	if !strings.HasSuffix(line, "21.3s  pulls=24 429=0") || !strings.HasPrefix(line, "ok ") {
		t.Errorf("line %q", line)
	}
	got := Select([]Case{{Name: "rollback"}, {Name: "uninstall"}, {Name: "rollout"}}, regexp.MustCompile("^roll"))
	if len(got) != 2 || got[0].Name != "rollback" || got[1].Name != "rollout" {
		t.Errorf("selected %v", got)
	}
}
