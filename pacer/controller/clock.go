package controller

import (
	"sync"
	"time"
)

// maxOff is how far the clock may be from the wall clock before that must have been
// set: far more than a process is kept waiting between two readings, and less than the
// second that objects tell their times by.
const maxOff = 500 * time.Millisecond

// steady is a clock whose wall time goes on exactly as its monotonic time does. What
// it tells can be written down as wall time and lies as far apart when it is read back:
// of two calls of time.Now it does so to some nanoseconds only, and decisions that are
// made again from a trace would differ by them. It is safe for concurrent use.
type steady struct {
	wall func() time.Time
	// gone is how much monotonic time went by.
	gone func() time.Duration

	mu   sync.Mutex
	base time.Time
	from time.Duration
	sets int
}

// newSteady is the machine's clock.
func newSteady() *steady {
	start := time.Now()
	return &steady{wall: time.Now, gone: func() time.Duration { return time.Since(start) }, base: start}
}

// Now implements clock.PassiveClock.
func (s *steady) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, wall := s.gone(), s.wall()
	at := s.base.Add(gone - s.from)
	if off := wall.Round(0).Sub(at.Round(0)); off.Abs() > maxOff {
		// Somebody set the clock: what was told before does not compare any more.
		s.base, s.from, at = wall, gone, wall
		s.sets++
	}
	return at
}

// Since implements clock.PassiveClock.
func (s *steady) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// set is how often the wall clock was set since the start.
func (s *steady) set() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets
}
