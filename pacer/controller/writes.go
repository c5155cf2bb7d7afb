package controller

import "time"

// What one turn writes is bounded: the webhook holds nothing while no turn is completed,
// and a turn that lets thousands go at an API server that is slow would take that long.
// What is left is for the next turn, which decides anew.
const (
	mostWrites  = 400
	leastWrites = 16
	// writesWithin is how long the writes of a turn may take before the next one writes
	// less.
	writesWithin = 5 * time.Second
)

// writes is how much one turn writes at most; the zero value is mostWrites.
type writes struct{ most int }

// bound cuts what a turn would write.
func (w *writes) bound(n int) int {
	if w.most == 0 {
		w.most = mostWrites
	}
	return min(n, w.most)
}

// took notes how long n writes took.
func (w *writes) took(n int, d time.Duration) {
	switch {
	case d > writesWithin:
		w.most = max(leastWrites, w.bound(w.most)/2)
	case n >= w.bound(n+1):
		w.most = min(mostWrites, 2*w.most)
	}
}
