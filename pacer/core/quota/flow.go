package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// An account is hopeless where more is asked of it than it gives in each of so many
// steps in a row: a burst, however large, is asked for in one of them or two and then
// drains. It ends when no more is asked than is given in the last of them. A step is
// a window, since what a window gives is whole only there, and long enough to tell a
// pace from a pod.
const (
	flowSteps   = 6
	flowEnds    = 2
	minFlowStep = 100 * time.Second
)

// flow compares what is asked of an account with what it gives.
type flow struct {
	// steps are the last complete ones, oldest first.
	steps []flowStep
	// begun is when the step under way began, wanted and spent what was wanted then
	// and had been spent in all.
	begun  time.Time
	wanted core.Units
	spent  core.Units
	// since is when it became hopeless; zero: it is not.
	since time.Time
}

// flowStep is one step: how long it was, what was asked for in it, what the account
// could give, and what was wanted when it began.
type flowStep struct {
	took         time.Duration
	asked, given float64
	wanted       core.Units
}

// Flow is what is asked of an account and what it gives, an hour, and how long it was
// watched for that.
type Flow struct {
	AskedPerHour float64       `json:"askedPerHour,omitempty"`
	GivenPerHour float64       `json:"givenPerHour,omitempty"`
	Over         time.Duration `json:"over,omitempty"`
	// Hopeless is since when more is asked for than any wait can bring; zero: it is
	// not.
	Hopeless time.Time `json:"hopeless,omitzero"`
}

// Watch takes in what everything that is held may cost. It is called at least every
// few seconds while something is asked of the account.
func (l *Ledger) Watch(now time.Time, held core.Units) {
	f, step := &l.flow, max(l.window(), minFlowStep)
	if l.window() <= 0 || l.Unlimited(now) || l.Opened(now) {
		*f = flow{}
		return
	}
	_, _, open := l.outstanding()
	wanted, took := held+open, now.Sub(f.begun)
	switch {
	case f.begun.IsZero(), took >= 2*step: // nothing was asked for in between
		*f = flow{since: f.since}
	case took < step:
		return
	default:
		f.steps = append(f.steps, flowStep{
			took: took, wanted: f.wanted, given: l.given(now, took),
			asked: float64(wanted - f.wanted + l.spentTotal - f.spent),
		})
		if over := len(f.steps) - flowSteps; over > 0 {
			f.steps = append([]flowStep(nil), f.steps[over:]...)
		}
		f.judge(now, wanted, l.perWindow(l.counted(now)))
	}
	f.begun, f.wanted, f.spent = now, wanted, l.spentTotal
}

// given is what the account gives us in a span of time: its limit, or our part of one
// that is counted, and no more than others leave.
func (l *Ledger) given(now time.Time, span time.Duration) float64 {
	windows := span.Seconds() / l.window().Seconds()
	left := float64(l.limit())*windows - l.others.perSecond(l.window())*span.Seconds()
	return max(0, min(left, float64(l.perWindow(l.counted(now)))*windows))
}

// judge decides after a step whether waiting can help. What waits must have grown and
// be more than a whole window brings.
func (f *flow) judge(now time.Time, wanted, window core.Units) {
	above := 0
	for i := len(f.steps) - 1; i >= 0 && f.steps[i].asked > f.steps[i].given; i-- {
		above++
	}
	switch {
	case f.since.IsZero() && above >= flowSteps && wanted > max(window, f.steps[0].wanted):
		f.since = now
	case !f.since.IsZero() && f.calm():
		f.since = time.Time{}
	}
}

// calm reports whether no more was asked for than was given in the last steps.
func (f *flow) calm() bool {
	if len(f.steps) < flowEnds {
		return false
	}
	for _, s := range f.steps[len(f.steps)-flowEnds:] {
		if s.asked > s.given {
			return false
		}
	}
	return true
}

// Hopeless reports whether more is asked of the account than any wait can bring.
func (l *Ledger) Hopeless() bool { return !l.flow.since.IsZero() }

// Flow returns what is asked of the account and what it gives.
func (l *Ledger) Flow() Flow {
	out := Flow{Hopeless: l.flow.since}
	var asked, given float64
	for _, s := range l.flow.steps {
		out.Over += s.took
		asked, given = asked+s.asked, given+s.given
	}
	if hours := out.Over.Hours(); hours > 0 {
		out.AskedPerHour, out.GivenPerHour = hundredths(max(asked, 0)/hours), hundredths(given/hours)
	}
	return out
}
