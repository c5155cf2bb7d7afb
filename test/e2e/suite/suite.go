package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"sync"
	"time"
)

// A Case is one thing to prove.
type Case struct {
	Name string
	// Alone cases disturb the whole cluster: they run one at a time, in their
	// order, after all others.
	Alone bool
	// Patience is its time limit; 0: that of the suite.
	Patience time.Duration
	// Run returns why the case failed. Its context ends at the case's time limit
	// and when the suite is interrupted.
	Run func(ctx context.Context, r *Report) error
	// Inspect is asked after a failure for what helps to understand it; nil: nothing.
	Inspect func(ctx context.Context, err error) string
}

// Select returns the cases whose names match.
func Select(cases []Case, names *regexp.Regexp) []Case {
	var out []Case
	for _, c := range cases {
		if names.MatchString(c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// Options say how a suite runs.
type Options struct {
	Name string
	// Parallel is how many cases run side by side; at least one does.
	Parallel int
	// Patience is the time limit of one case.
	Patience time.Duration
	// Finished is called as soon as a case has ended, by one goroutine at a time.
	Finished func(Result)
}

// Run runs the cases and returns when all have ended. Cases that had not begun
// when ctx ended are skipped.
func Run(ctx context.Context, o Options, cases []Case) Summary {
	began := time.Now()
	s := Summary{Suite: o.Name}
	var mu sync.Mutex
	finished := func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		s.add(r)
		if o.Finished != nil {
			o.Finished(r)
		}
	}
	slots := make(chan struct{}, max(o.Parallel, 1))
	var running sync.WaitGroup
	for _, c := range cases {
		if c.Alone {
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			finished(runCase(ctx, o, c))
		})
	}
	running.Wait()
	for _, c := range cases {
		if c.Alone {
			finished(runCase(ctx, o, c))
		}
	}
	s.Took = time.Since(began)
	return s
}

// inspectFor bounds how long a failure is looked into.
const inspectFor = time.Minute

func runCase(ctx context.Context, o Options, c Case) Result {
	r := Result{Case: c.Name}
	if ctx.Err() != nil {
		r.Skipped = true
		return r
	}
	began := time.Now()
	var report Report
	patience := cmp.Or(c.Patience, o.Patience)
	limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the case took longer than %s", patience))
	defer cancel()
	r.Err = guard(limited, c, &report)
	if cause := context.Cause(limited); r.Err != nil && cause != nil && !errors.Is(r.Err, cause) {
		r.Err = fmt.Errorf("%w (%w)", r.Err, cause)
	}
	r.Took, r.Notes = time.Since(began), report.String()
	if r.Err != nil && c.Inspect != nil && ctx.Err() == nil {
		// The case's own time may be up.
		inspecting, cancel := context.WithTimeout(ctx, inspectFor)
		defer cancel()
		r.Evidence = c.Inspect(inspecting, r.Err)
	}
	return r
}

// guard turns a panic of a case into its failure, so that the ground is cleared
// all the same.
func guard(ctx context.Context, c Case, report *Report) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Run(ctx, report)
}
