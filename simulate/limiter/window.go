package limiter

import "github.com/pullpace/pace/simulate/kernel"

// rollingLog remembers what was charged in the last window, in a ring.
type rollingLog struct {
	limit  int64
	window kernel.Time
	ring   []charge
	first  int // place of the oldest
	count  int // how many are in use
	sum    int64
}

type charge struct {
	at    kernel.Time
	units int64
}

// forget drops what was charged a window ago or longer.
func (r *rollingLog) forget(now kernel.Time) {
	for r.count > 0 && r.ring[r.first].at <= now-r.window {
		r.sum -= r.ring[r.first].units
		r.first = (r.first + 1) % len(r.ring)
		r.count--
	}
}

func (r *rollingLog) remaining(now kernel.Time) int64 {
	r.forget(now)
	return r.limit - r.sum
}

func (r *rollingLog) charge(now kernel.Time, units int64) {
	r.forget(now)
	r.sum += units
	if r.count > 0 {
		if last := &r.ring[(r.first+r.count-1)%len(r.ring)]; last.at == now {
			last.units += units
			return
		}
	}
	if r.count == len(r.ring) {
		grown := make([]charge, max(16, 2*r.count))
		copy(grown[copy(grown, r.ring[r.first:]):], r.ring[:r.first])
		r.ring, r.first = grown, 0
	}
	r.ring[(r.first+r.count)%len(r.ring)] = charge{now, units}
	r.count++
}

func (r *rollingLog) next(now kernel.Time, units int64) kernel.Time {
	left := r.remaining(now)
	if left >= units {
		return now
	}
	for i := range r.count {
		c := r.ring[(r.first+i)%len(r.ring)]
		if left += c.units; left >= units {
			return c.at + r.window
		}
	}
	return kernel.Never
}

func (r *rollingLog) set(_ kernel.Time, limit int64) { r.limit = limit }

// fixedWindow counts until the next edge.
type fixedWindow struct {
	config Config
	edge   kernel.Time
	count  int64
}

func (f *fixedWindow) roll(now kernel.Time) {
	if now >= f.edge {
		f.edge = f.config.after(now)
		f.count = 0
	}
}

func (f *fixedWindow) remaining(now kernel.Time) int64 {
	f.roll(now)
	return f.config.Limit - f.count
}

func (f *fixedWindow) charge(now kernel.Time, units int64) {
	f.roll(now)
	f.count += units
}

func (f *fixedWindow) next(now kernel.Time, units int64) kernel.Time {
	switch {
	case f.remaining(now) >= units:
		return now
	case units <= f.config.Limit:
		return f.edge
	}
	return kernel.Never
}

func (f *fixedWindow) set(_ kernel.Time, limit int64) { f.config.Limit = limit }

// slidingCounter counts until the next edge and keeps the count of the window
// before.
type slidingCounter struct {
	config        Config
	edge          kernel.Time
	before, count int64
}

func (s *slidingCounter) roll(now kernel.Time) {
	if now < s.edge {
		return
	}
	s.before, s.count = s.count, 0
	if s.edge += kernel.Time(s.config.Window); now >= s.edge {
		s.before = 0
		s.edge = s.config.after(now)
	}
}

// remaining rounds what the window before still weighs up: a part of a unit is
// not to be had.
func (s *slidingCounter) remaining(now kernel.Time) int64 {
	s.roll(now)
	return s.config.Limit - s.count - muldivUp(s.before, int64(s.edge-now), int64(s.config.Window))
}

func (s *slidingCounter) charge(now kernel.Time, units int64) {
	s.roll(now)
	s.count += units
}

// next looks into this window and the next: by the one after all is forgotten.
func (s *slidingCounter) next(now kernel.Time, units int64) kernel.Time {
	if units > s.config.Limit {
		return kernel.Never
	}
	s.roll(now)
	if t := s.within(s.edge, s.before, s.config.Limit-s.count-units); t < s.edge {
		return max(now, t)
	}
	end := s.edge + kernel.Time(s.config.Window)
	return max(now, s.within(end, s.count, s.config.Limit-units))
}

// within is the first time at which so many units of the window before weigh no
// more than most in the window that ends at end; end or later if not in it.
func (s *slidingCounter) within(end kernel.Time, before, most int64) kernel.Time {
	if most < 0 {
		return end
	}
	if before <= most {
		return end - kernel.Time(s.config.Window)
	}
	return end - kernel.Time(muldiv(most, int64(s.config.Window), before))
}

func (s *slidingCounter) set(_ kernel.Time, limit int64) { s.config.Limit = limit }
