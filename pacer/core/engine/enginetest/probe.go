package enginetest

import (
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
)

// probe asks a registry for its headers, and again once it has the answer, if that is
// wanted; the engine is told of both together.
func (w *World) probe(r *registry, twice bool) {
	if r.probing {
		return
	}
	r.probing = true
	first := w.head(r)
	w.after(w.rtt, func() {
		if !twice {
			w.answered(r, first)
			return
		}
		second := w.head(r)
		w.after(w.rtt, func() { w.answered(r, first, second) })
	})
}

// head sends one request for headers, which is free unless the registry is one that
// charges, and returns the answer.
func (w *World) head(r *registry) quota.Observation {
	obs := quota.Observation{SentAt: w.time()}
	if r.down {
		return obs
	}
	obs.Status = 200
	switch {
	case r.headsCharge && r.limiter.remaining(w.now) > 0:
		r.limiter.charge(w.now)
		r.heads++
	case r.headsCharge:
		obs.Status = 429
	}
	if r.silent {
		return obs
	}
	limit, window := r.limiter.says()
	obs.Header = quota.Header{Limit: core.Units(limit), HasLimit: true, Window: window,
		Remaining: core.Units(r.limiter.remaining(max(0, w.now-r.late))), HasRemaining: true}
	if r.windowless {
		obs.Header.Window = 0
	}
	return obs
}

func (w *World) answered(r *registry, answers ...quota.Observation) {
	r.probing = false
	for _, obs := range answers {
		w.observe(engine.Event{Reading: &engine.Reading{Account: r.account.ID, Observation: obs}})
	}
}
