package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pullpace/pace/simulate/report"
)

// Try is one value that was tried.
type Try struct {
	// Value as the scenario had it.
	Value string `json:"value"`
	// Actual is the figure of replication 0; null where there was none.
	Actual *float64 `json:"actual"`
	// Met says that the goal held in every replication.
	Met bool `json:"met"`

	at int64
}

// Solution is what a search came to.
type Solution struct {
	// Answer is the smallest value with which the goal was met; empty: none was.
	Answer string `json:"answer,omitempty"`
	// Most is the largest value that was tried, for when there is no answer.
	Most string `json:"most"`
	// Tried are all values that were tried, ascending.
	Tried []Try `json:"tried"`
	// Monotone says that the goal was missed below the answer and met from it on,
	// wherever it was tried. If not, a smaller value than the answer may do.
	Monotone bool `json:"monotone"`
	// Odd are two values that show that it is not: the first met the goal and the
	// second, which is larger, did not.
	Odd []string `json:"odd,omitempty"`
}

// Space is where an answer is looked for: multiples of a step, with a unit.
type Space struct {
	from, to int64 // in steps
	step     float64
	unit     string
}

// quantity is a number with a unit or none.
var quantity = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)([A-Za-z%]+|/[0-9]*[a-z]+)?\s*$`)

// maxSteps bounds a space, so that a search takes some tens of runs at most.
const maxSteps = 1 << 40

// NewSpace is the space between the ends of "1..5000", "0.5/s..20/s", with a step
// of one, or of a hundredth for rates; step overrides that where it is not 0.
func NewSpace(within string, step float64) (Space, error) {
	r, err := parseRange(within)
	if err != nil {
		return Space{}, err
	}
	if r.n != 0 {
		return Space{}, fmt.Errorf("range %q is searched by halving: leave out how many", within)
	}
	if step == 0 {
		step = 1
		if !r.whole {
			step = 0.01
		}
	}
	s := Space{step: step, unit: r.unit}
	if !(step > 0) || r.to/step > maxSteps {
		return s, fmt.Errorf("range %q has more steps of %v than can be searched", within, step)
	}
	s.from, s.to = int64(math.Ceil(r.from/step-1e-9)), int64(math.Floor(r.to/step+1e-9))
	if s.to < s.from {
		return s, fmt.Errorf("range %q holds no multiple of %v", within, step)
	}
	return s, nil
}

// Around is the space to look in when none is named: from one, or a hundredth of a rate, up to
// a thousand times what the scenario says now.
func Around(now string, step float64) (Space, error) {
	m := quantity.FindStringSubmatch(now)
	if m == nil {
		if now == "" {
			return Space{}, errors.New("the scenario says nothing there: name the values with --within 1..5000")
		}
		return Space{}, fmt.Errorf("the scenario has %q there, which is no number to vary: name the values with --within 1..5000", now)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return Space{}, fmt.Errorf("reading %q: %w", now, err)
	}
	first := "1"
	if strings.HasPrefix(m[2], "/") {
		first = "0.01"
	}
	top := strconv.FormatFloat(math.Max(math.Ceil(v*1000), 1000), 'f', -1, 64)
	return NewSpace(first+m[2]+".."+top+m[2], step)
}

// value is so many steps as a scenario has them.
func (s Space) value(steps int64) string {
	digits := 0
	if _, fraction, ok := strings.Cut(strconv.FormatFloat(s.step, 'f', -1, 64), "."); ok {
		digits = len(fraction)
	}
	return strconv.FormatFloat(float64(steps)*s.step, 'f', digits, 64) + s.unit
}

// Solve finds the smallest value of a space with which a goal is met. It takes the
// goal to be missed below some value and met from there on, doubles until it is
// met and halves what is between. Then it looks at some more values for signs that
// this was not so, and starts again above what it missed. Try runs one value; it fills in Actual and Met.
func Solve(ctx context.Context, space Space, try func(ctx context.Context, value string) (Try, error)) (Solution, error) {
	if space.to < space.from {
		return Solution{}, errors.New("the space to search is empty")
	}
	s := solver{space: space, try: try, seen: map[int64]Try{}}
	for start := space.from; start <= space.to; {
		best, err := s.bisect(ctx, start)
		if err != nil {
			return Solution{}, err
		}
		if err := s.doubt(ctx, best); err != nil {
			return Solution{}, err
		}
		if start = s.missedAbove(best) + 1; start <= best {
			break
		}
	}
	return s.solution(), nil
}

type solver struct {
	space Space
	try   func(context.Context, string) (Try, error)
	seen  map[int64]Try
}

// at tries a value once.
func (s *solver) at(ctx context.Context, steps int64) (bool, error) {
	if t, ok := s.seen[steps]; ok {
		return t.Met, nil
	}
	value := s.space.value(steps)
	t, err := s.try(ctx, value)
	if err != nil {
		return false, fmt.Errorf("trying %s: %w", value, err)
	}
	t.Value, t.at = value, steps
	s.seen[steps] = t
	return t.Met, nil
}

// missedAbove is the largest number of steps above one that missed the goal; 0
// where none did.
func (s *solver) missedAbove(best int64) int64 {
	most := int64(0)
	for steps, t := range s.seen {
		if steps > best && !t.Met {
			most = max(most, steps)
		}
	}
	return most
}

// bisect returns the smallest number of steps from start on that meets the goal;
// one beyond the space where none does.
func (s *solver) bisect(ctx context.Context, start int64) (int64, error) {
	missed, met := start-1, start
	for {
		ok, err := s.at(ctx, met)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		if met == s.space.to {
			return met + 1, nil
		}
		missed, met = met, min(max(met*2, met+1), s.space.to)
	}
	for met-missed > 1 {
		middle := missed + (met-missed)/2
		ok, err := s.at(ctx, middle)
		if err != nil {
			return 0, err
		}
		if ok {
			met = middle
		} else {
			missed = middle
		}
	}
	return met, nil
}

// doubts is how many values on each side of an answer are tried for signs that a
// goal is not monotone: below it at equal distances, above it at its doubles.
const doubts = 3

// doubt tries values below and above the answer.
func (s *solver) doubt(ctx context.Context, best int64) error {
	below := best - s.space.from
	for i := int64(1); i <= doubts; i++ {
		for _, steps := range []int64{s.space.from + below*i/(doubts+1), max(best, 1) << i} {
			if steps < s.space.from || steps > s.space.to {
				continue
			}
			if _, err := s.at(ctx, steps); err != nil {
				return err
			}
		}
	}
	return nil
}

// solution sums up all that was tried. The answer is the smallest value from which
// on the goal was met wherever it was tried.
func (s *solver) solution() Solution {
	out := Solution{Monotone: true, Most: s.space.value(s.space.to)}
	for _, t := range s.seen {
		out.Tried = append(out.Tried, t)
	}
	slices.SortFunc(out.Tried, func(a, b Try) int { return int(min(max(a.at-b.at, -1), 1)) })
	for i := len(out.Tried) - 1; i >= 0 && out.Tried[i].Met; i-- {
		out.Answer = out.Tried[i].Value
	}
	for i, t := range out.Tried[1:] {
		if before := out.Tried[i]; before.Met && !t.Met {
			out.Monotone, out.Odd = false, []string{before.Value, t.Value}
		}
	}
	return out
}

// Of makes a try of the result of one value: its only goal.
func Of(r report.Result) (Try, error) {
	if len(r.Goals) != 1 {
		return Try{}, fmt.Errorf("the result has %d goals, want one", len(r.Goals))
	}
	return Try{Actual: r.Goals[0].Actual, Met: r.Goals[0].Met}, nil
}
