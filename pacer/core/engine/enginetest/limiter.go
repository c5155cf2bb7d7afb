package enginetest

import (
	"fmt"
	"time"
)

// meter answers whether a unit may be charged at a time since the start. The
// implementations keep every charge and count them anew each time.
type meter interface {
	remaining(now time.Duration) int64
	charge(now time.Duration)
	// says is the limit and window that a header states.
	says() (limit int64, window time.Duration)
	setLimit(limit int64)
}

// newLimiter makes one of type rolling, fixed, bucket or sliding, full at the
// start. phase is the first edge of a window after the start; 0: a window begins
// at the start.
func newLimiter(kind string, limit int64, window, phase time.Duration) (meter, error) {
	l := log{limit: limit, window: window, phase: phase}
	switch kind {
	case "rolling":
		return &rolling{l}, nil
	case "fixed":
		return &fixed{l}, nil
	case "sliding":
		return &sliding{l}, nil
	case "bucket":
		return &bucket{log: l, level: limit * int64(window)}, nil
	}
	return nil, fmt.Errorf("unknown type of limiter %q: want rolling, fixed, sliding or bucket", kind)
}

// log is the charges of a limiter.
type log struct {
	limit         int64
	window, phase time.Duration
	charges       []time.Duration
}

func (l *log) charge(now time.Duration)     { l.charges = append(l.charges, now) }
func (l *log) says() (int64, time.Duration) { return l.limit, l.window }
func (l *log) setLimit(limit int64)         { l.limit = limit }

// within counts the charges in (after, until].
func (l *log) within(after, until time.Duration) int64 {
	var n int64
	for _, t := range l.charges {
		if t > after && t <= until {
			n++
		}
	}
	return n
}

// edge is the start of the fixed window that now is in.
func (l *log) edge(now time.Duration) time.Duration {
	e := l.phase
	for e > now {
		e -= l.window
	}
	return e + (now-e)/l.window*l.window
}

// rolling allows limit units in any span as long as the window.
type rolling struct{ log }

func (r *rolling) remaining(now time.Duration) int64 { return r.limit - r.within(now-r.window, now) }

// fixed allows limit units between two edges.
type fixed struct{ log }

func (f *fixed) remaining(now time.Duration) int64 { return f.limit - f.within(f.edge(now)-1, now) }

// sliding weighs the window before by the part of it that a window ending now
// still covers, rounded up.
type sliding struct{ log }

func (s *sliding) remaining(now time.Duration) int64 {
	edge := s.edge(now)
	before := s.within(edge-s.window-1, edge-1)
	left := int64(s.window - (now - edge))
	weighed := (before*left + int64(s.window) - 1) / int64(s.window)
	return s.limit - s.within(edge-1, now) - weighed
}

// bucket refills limit units a window and holds limit at most. Its level is in
// units times nanoseconds of the window, so that nothing is rounded.
type bucket struct {
	log
	level int64
	at    time.Duration
}

func (b *bucket) refill(now time.Duration) {
	b.level = min(b.limit*int64(b.window), b.level+int64(now-b.at)*b.limit)
	b.at = now
}

func (b *bucket) remaining(now time.Duration) int64 {
	b.refill(now)
	if b.level < 0 {
		return (b.level - int64(b.window) + 1) / int64(b.window)
	}
	return b.level / int64(b.window)
}

func (b *bucket) charge(now time.Duration) {
	b.refill(now)
	b.level -= int64(b.window)
}
