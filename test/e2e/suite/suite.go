package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A Case is one thing to prove.
type Case struct {
	Name string
	// Alone cases disturb the whole cluster: they run one at a time, in their
	// order, after all others.
	Alone bool
	// First cases look at a cluster that nobody has used yet: they run one at a time, in
	// their order, before all others.
	First bool
	// Lane names cases that run one after the other, in their order, beside all
	// others, from the start; empty: it runs when there is a place for it.
	Lane string
	// Apart cases of a lane disturb nobody and nobody disturbs them: they take no place,
	// and those that are alone do not wait for them. They come after those of their lane
	// that are not.
	Apart bool
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
	oneByOne := func(picked func(Case) bool) {
		for _, c := range cases {
			if picked(c) {
				finished(runCase(ctx, o, c))
			}
		}
	}
	oneByOne(func(c Case) bool { return c.First })
	var shared, apart sync.WaitGroup
	slots := make(chan struct{}, max(o.Parallel, 1))
	for _, lane := range lanes(cases) {
		runLane(lane, slots, &shared, &apart, func(c Case) { finished(runCase(ctx, o, c)) })
	}
	for _, c := range cases {
		if c.First || c.Alone || c.Lane != "" {
			continue
		}
		slots <- struct{}{}
		shared.Go(func() {
			defer func() { <-slots }()
			finished(runCase(ctx, o, c))
		})
	}
	shared.Wait()
	oneByOne(func(c Case) bool { return c.Alone })
	apart.Wait()
	s.Took = time.Since(began)
	return s
}

// lanes are the cases of each lane, in their order.
func lanes(cases []Case) map[string][]Case {
	out := map[string][]Case{}
	for _, c := range cases {
		if c.Lane != "" {
			out[c.Lane] = append(out[c.Lane], c)
		}
	}
	return out
}

// runLane starts the cases of a lane. Those that are not apart have a slot, as any other
// case that runs beside others, and are over when shared is; all are when both are.
func runLane(lane []Case, slots chan struct{}, shared, apart *sync.WaitGroup, run func(Case)) {
	near := slices.IndexFunc(lane, func(c Case) bool { return c.Apart })
	if near < 0 {
		near = len(lane)
	}
	first := make(chan struct{})
	if near > 0 {
		slots <- struct{}{}
	}
	shared.Go(func() {
		defer close(first)
		for _, c := range lane[:near] {
			run(c)
		}
		if near > 0 {
			<-slots
		}
	})
	apart.Go(func() {
		<-first
		for _, c := range lane[near:] {
			run(c)
		}
	})
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
