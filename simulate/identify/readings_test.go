package identify

import (
	"testing"
	"time"

	"github.com/pullpace/pace/simulate/limiter"
)

// A log of a cluster that spends 30 of 100 in six hours, as it sees it: the charge is
// known two minutes late, and one reading states another limit. What comes back one
// window later may be the edge of a fixed one that lies in the 11 min that are left
// out: of 360 edges some 6, so that 59 to 1 speak for a rolling log.
func TestReadingsOfALogTellItsRule(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	readings := []Reading{{At: begin, Limit: 200, Left: 200, Window: time.Hour}}
	for at := time.Duration(0); at <= window+10*time.Minute; at += poll {
		r := Reading{At: begin.Add(at), Limit: limit, Left: limit, Window: window}
		if at >= 4*poll {
			r.Spent = burst
		}
		if at >= 2*poll && at < window+2*poll {
			r.Left -= burst
		}
		if at == 2*poll || at == 3*poll {
			continue // the pulls are under way
		}
		readings = append(readings, r)
	}
	odds, err := Of(readings)
	if err != nil || odds[0].Rule != limiter.RollingLog || odds[0].Share < 0.98 {
		t.Errorf("odds %v and %v, want a rolling log by 59 to 1", odds, err)
	}
}

func TestReadingsThatTellNothing(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := Reading{At: at, Limit: 10, Left: 10, Window: time.Minute}
	bare := Reading{At: at.Add(time.Minute), Limit: 10, Left: 10}
	for name, readings := range map[string][]Reading{
		"none": nil, "one": {one}, "no window": {bare, bare}, "the same time twice": {one, one},
		"the count begins anew": {{At: at, Limit: 10, Left: 9, Window: time.Minute, Spent: 5}, {At: at.Add(time.Minute), Limit: 10, Left: 9, Window: time.Minute}},
	} {
		if odds, err := Of(readings); err == nil {
			t.Errorf("%s: odds %v, want an error", name, odds)
		}
	}
}
