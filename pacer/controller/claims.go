package controller

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// claimTTL is for how long a claim outlives the last question about it: it bounds what
// a caller that was lost can keep. Claims end sooner by what is seen of their runs.
const claimTTL = 5 * time.Minute

// claims are the steps that somebody asked about, between the gate and the turn, which
// answers them. It is safe for concurrent use.
type claims struct {
	clock clock.PassiveClock
	// wake tells the turn that there is a new one.
	wake func()

	mu      sync.Mutex
	leading bool
	by      map[kube.Step]*question
}

// question is a step that somebody asked about.
type question struct {
	// since is when the caller began to wait, last when it asked last.
	since, last time.Time
	answer      GateAnswer
	// first is closed when there is an answer.
	first chan struct{}
}

func newClaims(clk clock.PassiveClock, wake func()) *claims {
	return &claims{clock: clk, wake: wake, by: map[kube.Step]*question{}}
}

func (c *claims) leads() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leading
}

// lead notes whether this replica takes turns. Claims are of the leader: another has
// seen what this one has not.
func (c *claims) lead(leading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leading = leading
	for _, a := range c.by {
		a.settle(holdFor(core.NotLeader, retryLeader))
	}
	c.by = map[kube.Step]*question{}
}

// settle gives an answer.
func (a *question) settle(answer GateAnswer) {
	a.answer = answer
	select {
	case <-a.first:
	default:
		close(a.first)
	}
}

// ask is the answer for a caller that waits at a step since a time. The same question
// is one claim however often it is asked.
func (c *claims) ask(ctx context.Context, s kube.Step, since time.Time) GateAnswer {
	a, fresh := c.note(s, since)
	if fresh {
		c.wake()
	}
	patience := time.NewTimer(firstAnswerWithin)
	defer patience.Stop()
	select {
	case <-a.first:
	case <-patience.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.answer
}

// note notes a question and tells whether it is a new one.
func (c *claims) note(s kube.Step, since time.Time) (*question, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.by[s]
	fresh := a == nil
	if fresh {
		a = &question{since: since, first: make(chan struct{}), answer: holdFor(core.WaitingForReading, retryLeader)}
		c.by[s] = a
	}
	a.last = c.clock.Now()
	return a, fresh
}

// pending are the steps with since when somebody waits at them, in the order of
// that; those that nobody asked about for long are named apart, and forgotten.
func (c *claims) pending(now time.Time) (live []waiter, lost []kube.Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s, a := range c.by {
		if now.Sub(a.last) > claimTTL {
			lost = append(lost, s)
			a.settle(holdFor(core.Unverified, retryUnverified))
			delete(c.by, s)
			continue
		}
		live = append(live, waiter{s, a.since})
	}
	slices.SortFunc(live, func(a, b waiter) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.step.String(), b.step.String()))
	})
	slices.SortFunc(lost, func(a, b kube.Step) int { return cmp.Compare(a.String(), b.String()) })
	return live, lost
}

// waiter is a step and since when somebody waits at it.
type waiter struct {
	step  kube.Step
	since time.Time
}

// set gives the answer for a step.
func (c *claims) set(s kube.Step, answer GateAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.by[s]; a != nil {
		a.settle(answer)
	}
}

// doubt gives an answer for a step that may be another in a moment.
func (c *claims) doubt(s kube.Step, answer GateAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.by[s]; a != nil {
		a.answer = answer
	}
}

// allowed reports whether a step was let go.
func (c *claims) allowed(s kube.Step) bool { return c.decision(s) == kube.Allow }

// decision is what was last decided of a step; empty: nobody waits at it.
func (c *claims) decision(s kube.Step) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.by[s]; a != nil {
		return a.answer.Decision
	}
	return ""
}

// end forgets a step that nobody waits at any more.
func (c *claims) end(s kube.Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.by[s]; a != nil {
		a.settle(holdFor(core.Unverified, retryUnverified))
		delete(c.by, s)
	}
}

// runs are the AnalysisRuns of Rollouts that are not completed, by the step that Argo
// made them for. It is safe for concurrent use.
type runs struct {
	mu sync.Mutex
	by map[kube.Step]map[string]time.Time
}

func newRuns() *runs { return &runs{by: map[kube.Step]map[string]time.Time{}} }

// see takes in a run.
func (r *runs) see(run kube.Run, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone || run.Completed {
		delete(r.by[run.Step], run.Name)
		if len(r.by[run.Step]) == 0 {
			delete(r.by, run.Step)
		}
		return
	}
	if r.by[run.Step] == nil {
		r.by[run.Step] = map[string]time.Time{}
	}
	r.by[run.Step][run.Name] = run.Created
}

// waiting tells since when a run waits at a step; false: none is known.
func (r *runs) waiting(s kube.Step) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.by[s]) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(slices.Collect(maps.Values(r.by[s])), time.Time.Compare), true
}
