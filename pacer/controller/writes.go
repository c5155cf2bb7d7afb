package controller

import "time"

// What one turn writes is bounded: while it writes, nothing new is taken in or decided,
// and the webhook holds nothing while no turn is completed. What is left is for the next
// turn, which decides anew.
const (
	mostWrites  = 400
	firstWrites = 100
	leastWrites = 16
	// writesWithin is how long a turn begins writes, and how long they may take before the
	// next one writes less: with all else that a turn does it stays below a second.
	writesWithin = 500 * time.Millisecond
)

// writes is how much one turn writes at most; the zero value is firstWrites.
type writes struct{ most int }

// bound cuts what a turn would write.
func (w *writes) bound(n int) int {
	if w.most == 0 {
		w.most = firstWrites
	}
	return min(n, w.most)
}

// took notes how long n writes took. After too long the next turn writes what would have
// been in time, and more again only once there is time for twice as much.
func (w *writes) took(n int, d time.Duration) {
	switch {
	case d > writesWithin:
		inTime := time.Duration(n) * writesWithin / d
		w.most = max(leastWrites, min(w.most, int(inTime)))
	case n >= w.bound(n+1) && d <= writesWithin/2:
		w.most = min(mostWrites, 2*w.most)
	}
}
