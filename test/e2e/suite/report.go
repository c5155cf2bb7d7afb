package suite

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Report collects what a case has counted. It is safe for concurrent use; the
// zero value is empty.
type Report struct {
	mu    sync.Mutex
	notes []string
}

// Note adds key=value to the line of the case.
func (r *Report) Note(key string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf("%s=%v", key, value))
}

// String is the notes in their order.
func (r *Report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.notes, " ")
}

// A Result is what became of a case.
type Result struct {
	Case    string
	Err     error
	Skipped bool
	Took    time.Duration
	Notes   string
	// Evidence is what helps to understand a failure.
	Evidence string
}

// String is one line, and for a failure what is known of it.
func (r Result) String() string {
	verdict := "ok"
	switch {
	case r.Skipped:
		verdict = "skipped"
	case r.Err != nil:
		verdict = "FAILED"
	}
	line := strings.TrimRight(fmt.Sprintf("%-7s %-28s %6.1fs  %s", verdict, r.Case, r.Took.Seconds(), r.Notes), " ")
	if r.Err == nil {
		return line
	}
	line += "\n" + indent(r.Err.Error())
	if r.Evidence != "" {
		line += "\n" + indent(r.Evidence)
	}
	return line
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// A Summary counts results.
type Summary struct {
	Suite                   string
	Passed, Failed, Skipped int
	Took                    time.Duration
	failed                  []string
}

func (s *Summary) add(r Result) {
	switch {
	case r.Skipped:
		s.Skipped++
	case r.Err != nil:
		s.Failed++
		s.failed = append(s.failed, r.Case)
	default:
		s.Passed++
	}
}

// String is the last line of a run.
func (s Summary) String() string {
	return fmt.Sprintf("e2e suite=%s passed=%d failed=%d skipped=%d seconds=%.0f", s.Suite, s.Passed, s.Failed, s.Skipped, s.Took.Seconds())
}

// Err is why the run as a whole is no success: a case failed, a case was
// skipped, or there was none.
func (s Summary) Err() error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d cases failed: %s", s.Failed, strings.Join(s.failed, ", "))
	case s.Skipped > 0:
		return fmt.Errorf("%d cases were skipped", s.Skipped)
	case s.Passed == 0:
		return errors.New("no case was run")
	}
	return nil
}
