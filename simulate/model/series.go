package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
)

// seriesPoints bounds the points of a series. When they are used up, pairs of them
// become one and the step doubles, so a run of any length is kept as it goes.
const seriesPoints = 512

// recorder keeps the course of a run.
type recorder struct {
	step, next kernel.Time
	out        Series

	throttled      int64 // in this step
	inFlight, peak int64
}

func (w *World) newRecorder() recorder {
	r := recorder{step: kernel.Time(time.Second), next: kernel.Time(time.Second)}
	for i := range w.registries {
		for j := range w.registries[i].limiters {
			r.out.Remaining = append(r.out.Remaining, RemainingSeries{Registry: RegistryID(i), Limiter: j})
		}
	}
	return r
}

// until ends all steps that are over at a time.
func (r *recorder) until(w *World, at kernel.Time) {
	for r.next <= at {
		r.sample(w, r.next-1)
		r.next += r.step
		if len(r.out.Ready) == seriesPoints {
			r.halve()
			r.next = kernel.Time(len(r.out.Ready)+1) * r.step
		}
	}
}

// sample ends a step.
func (r *recorder) sample(w *World, at kernel.Time) {
	r.out.Ready = append(r.out.Ready, int64(len(w.out.ReadyAt)))
	r.out.Throttled = append(r.out.Throttled, r.throttled)
	r.out.InFlight = append(r.out.InFlight, r.peak)
	r.out.Held = append(r.out.Held, w.held)
	r.throttled, r.peak = 0, r.inFlight
	for i := range r.out.Remaining {
		s := &r.out.Remaining[i]
		left := w.registries[s.Registry].limiters[s.Limiter].accounts[0].Remaining(max(at, w.now))
		s.Left = append(s.Left, left)
	}
}

// halve makes pairs of points one.
func (r *recorder) halve() {
	r.step *= 2
	n := len(r.out.Ready) / 2
	for i := range n {
		a, b := 2*i, 2*i+1
		r.out.Ready[i] = r.out.Ready[b]
		r.out.Held[i] = r.out.Held[b]
		r.out.Throttled[i] = r.out.Throttled[a] + r.out.Throttled[b]
		r.out.InFlight[i] = max(r.out.InFlight[a], r.out.InFlight[b])
		for j := range r.out.Remaining {
			r.out.Remaining[j].Left[i] = r.out.Remaining[j].Left[b]
		}
	}
	r.out.Ready, r.out.Held, r.out.Throttled, r.out.InFlight = r.out.Ready[:n], r.out.Held[:n], r.out.Throttled[:n], r.out.InFlight[:n]
	for j := range r.out.Remaining {
		r.out.Remaining[j].Left = r.out.Remaining[j].Left[:n]
	}
}

// end closes the series at the end of a run.
func (r *recorder) end(w *World) Series {
	r.until(w, w.now)
	r.sample(w, w.now)
	r.out.Step = time.Duration(r.step)
	return r.out
}
