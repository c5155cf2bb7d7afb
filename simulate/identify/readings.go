package identify

import (
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// Reading is what one answer said at a time when no own pull was under way.
type Reading struct {
	// At is when it was asked for, by any clock that does not jump.
	At time.Time
	// Limit units in Window are stated, Left of them to be left.
	Limit, Left int64
	Window      time.Duration
	// Spent is what the own cluster was charged in all until then.
	Spent int64
}

// blurs is the part of a window within which the time of a charge is known: a pull
// is counted when its pod was seen to have its image, not when it was charged.
const blurs = 64

// Of weighs the rules of an account by its readings, the oldest first. It uses those
// of the limit and window that most of them state, and leaves out those at which a
// rolling window may give back what was charged shortly before or after.
func Of(readings []Reading) ([]Odds, error) {
	readings = alike(readings)
	if len(readings) < 2 {
		return nil, fmt.Errorf("%d readings of one limit with a window, want 2 at least", len(readings))
	}
	first := readings[0]
	f, err := New(first.Limit, first.Window, pace(readings))
	if err != nil {
		return nil, err
	}
	var charged []time.Time
	spent := first.Spent
	for _, r := range readings {
		at := kernel.Time(r.At.Sub(first.At))
		if r.Spent > spent {
			f.Pulled(at, r.Spent-spent)
			charged = append(charged, r.At)
		}
		spent = r.Spent
		if !returning(charged, r) {
			f.Read(at, r.Left)
		}
	}
	return f.Odds(), nil
}

// alike keeps the readings of the limit and window that most state, in order of time,
// and as long as the count of what was spent goes on.
func alike(readings []Reading) []Reading {
	type kind struct {
		limit  int64
		window time.Duration
	}
	counts := map[kind]int{}
	var most kind
	for _, r := range readings {
		k := kind{r.Limit, r.Window}
		if counts[k]++; counts[k] > counts[most] && r.Window > 0 {
			most = k
		}
	}
	var out []Reading
	for _, r := range readings {
		switch {
		case kind{r.Limit, r.Window} != most || most.window <= 0:
		case len(out) > 0 && !r.At.After(out[len(out)-1].At):
		case len(out) > 0 && r.Spent < out[len(out)-1].Spent: // the books began anew
			out = append(out[:0], r)
		default:
			out = append(out, r)
		}
	}
	return out
}

// pace is the usual time between two readings.
func pace(readings []Reading) time.Duration {
	var gaps []time.Duration
	for i := range readings[1:] {
		gaps = append(gaps, readings[i+1].At.Sub(readings[i].At))
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// returning reports whether charges may leave a rolling window about now.
func returning(charged []time.Time, r Reading) bool {
	blur := r.Window / blurs
	return slices.ContainsFunc(charged, func(at time.Time) bool {
		off := r.At.Sub(at.Add(r.Window))
		return -blur <= off && off <= blur
	})
}
