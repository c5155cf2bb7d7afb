package limit

import (
	"math/bits"
	"time"
)

// edges cuts time into windows that begin at origin + k*window.
type edges struct {
	origin time.Time
	window time.Duration
}

// index is the number k of the window that now lies in, and the time since its edge.
func (e edges) index(now time.Time) (k int64, since time.Duration) {
	d := now.Sub(e.origin)
	k = int64(d / e.window)
	since = d % e.window
	if since < 0 {
		k--
		since += e.window
	}
	return k, since
}

// next is the first edge after now.
func (e edges) next(now time.Time) time.Time {
	_, since := e.index(now)
	return now.Add(e.window - since)
}

type rolling struct {
	limit  int64
	window time.Duration
	events []event // in order of time
	used   int64
}

type event struct {
	at time.Time
	n  int64
}

// prune drops what left (now-window, now]: a unit is gone exactly one window after it was charged.
func (r *rolling) prune(now time.Time) {
	i := 0
	for i < len(r.events) && !r.events[i].at.Add(r.window).After(now) {
		r.used -= r.events[i].n
		i++
	}
	r.events = r.events[i:]
}

func (r *rolling) allow(now time.Time, n int64) bool {
	r.prune(now)
	return r.used+n <= r.limit
}

func (r *rolling) charge(now time.Time, n int64) {
	r.prune(now)
	r.events = append(r.events, event{now, n})
	r.used += n
}

func (r *rolling) remaining(now time.Time) int64 {
	r.prune(now)
	return r.limit - r.used
}

func (r *rolling) nextFree(now time.Time) (time.Time, bool) {
	r.prune(now)
	if r.limit < 1 {
		return time.Time{}, false
	}
	used, at := r.used, now
	for _, e := range r.events {
		if used < r.limit {
			break
		}
		used -= e.n
		at = e.at.Add(r.window)
	}
	return at, true
}

func (r *rolling) reset(now time.Time) time.Time {
	r.prune(now)
	if len(r.events) == 0 {
		return now
	}
	return r.events[0].at.Add(r.window)
}

func (r *rolling) setLimit(_ time.Time, limit int64) { r.limit = limit }

type fixed struct {
	limit int64
	edges edges
	k     int64
	used  int64
}

func (f *fixed) roll(now time.Time) {
	if k, _ := f.edges.index(now); k != f.k {
		f.k, f.used = k, 0
	}
}

func (f *fixed) allow(now time.Time, n int64) bool {
	f.roll(now)
	return f.used+n <= f.limit
}

func (f *fixed) charge(now time.Time, n int64) {
	f.roll(now)
	f.used += n
}

func (f *fixed) remaining(now time.Time) int64 {
	f.roll(now)
	return f.limit - f.used
}

func (f *fixed) nextFree(now time.Time) (time.Time, bool) {
	switch {
	case f.limit < 1:
		return time.Time{}, false
	case f.remaining(now) > 0:
		return now, true
	}
	return f.edges.next(now), true
}

func (f *fixed) reset(now time.Time) time.Time { return f.edges.next(now) }

func (f *fixed) setLimit(_ time.Time, limit int64) { f.limit = limit }

type sliding struct {
	limit             int64
	edges             edges
	k                 int64
	previous, current int64
}

func newSliding(s Spec, start time.Time) *sliding {
	w := &sliding{limit: s.Limit, edges: edges{origin: start.Add(s.Phase), window: s.Window}}
	w.k, _ = w.edges.index(start)
	return w
}

func (s *sliding) roll(now time.Time) (since time.Duration) {
	k, since := s.edges.index(now)
	switch k {
	case s.k:
	case s.k + 1:
		s.previous, s.current = s.current, 0
	default:
		s.previous, s.current = 0, 0
	}
	s.k = k
	return since
}

// weighted is ceil(previous * (window-since) / window); the ceiling keeps the comparison with integers exact.
func (s *sliding) weighted(since time.Duration) int64 {
	w := uint64(s.edges.window)
	hi, lo := bits.Mul64(uint64(s.previous), w-uint64(since))
	q, rest := bits.Div64(hi, lo, w)
	if rest > 0 {
		q++
	}
	return int64(q)
}

func (s *sliding) allow(now time.Time, n int64) bool { return s.remaining(now) >= n }

func (s *sliding) charge(now time.Time, n int64) {
	s.roll(now)
	s.current += n
}

func (s *sliding) remaining(now time.Time) int64 {
	since := s.roll(now)
	return s.limit - s.current - s.weighted(since)
}

func (s *sliding) nextFree(now time.Time) (time.Time, bool) {
	since := s.roll(now)
	if s.limit < 1 {
		return time.Time{}, false
	}
	start := now.Add(-since)
	if room := s.limit - s.current - 1; room >= 0 {
		return later(now, start.Add(s.fades(s.previous, room))), true
	}
	// The current window is full: in the next one it is the previous.
	return start.Add(s.edges.window + s.fades(s.current, s.limit-1)), true
}

// fades is the least time since an edge at which the weighted count of the window before is at most room.
func (s *sliding) fades(count, room int64) time.Duration {
	if count <= room {
		return 0
	}
	hi, lo := bits.Mul64(uint64(room), uint64(s.edges.window))
	q, _ := bits.Div64(hi, lo, uint64(count))
	return s.edges.window - time.Duration(q)
}

func (s *sliding) reset(now time.Time) time.Time { return s.edges.next(now) }

func (s *sliding) setLimit(_ time.Time, limit int64) { s.limit = limit }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
