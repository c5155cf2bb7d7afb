package enginetest

import (
	"fmt"
	"reflect"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// kick asks for a turn once everything of this instant has been seen.
func (w *World) kick() {
	if w.turnPending {
		return
	}
	w.turnPending = true
	w.after(0, func() {
		w.turnPending = false
		if !w.down {
			w.turn()
		}
	})
}

// turn decides, checks the decision and carries it out.
func (w *World) turn() {
	d := w.engine.Decide(w.time())
	w.turns++
	if w.turns%64 == 1 {
		if again := w.engine.Decide(w.time()); !reflect.DeepEqual(d, again) {
			w.wrong("decides otherwise when asked twice")
		}
	}
	w.check(d)
	w.report.decided(w.now, d)
	for _, r := range d.Releases {
		w.carryOut(d, r)
	}
	w.plan(d)
}

// check holds every decision to what must be true of all.
func (w *World) check(d engine.Decision) {
	held := map[core.GroupID]int{}
	for _, p := range w.pods {
		if p.held() {
			held[p.Group]++
		}
	}
	for _, r := range d.Releases {
		if g := w.groupNamed(string(r.Group)); g.Whole && r.Count != held[r.Group] {
			w.wrong("splits %s: %d of %d pods go", r.Group, r.Count, held[r.Group])
		}
		held[r.Group] -= r.Count
		if info, ok := r.Reason.Info(); !ok || info.Answer == core.Held {
			w.wrong("releases %s with reason %q", r.Group, r.Reason)
		}
	}
	for _, h := range d.Holds {
		held[h.Group] -= h.Count
		if info, ok := h.Reason.Info(); !ok || info.Answer != core.Held {
			w.wrong("holds %s with reason %q", h.Group, h.Reason)
		}
	}
	for _, g := range w.groups {
		if held[g.ID] != 0 {
			w.wrong("answers for %d pods of %s too few", held[g.ID], g.ID)
		}
	}
	w.checkBreakers(d)
	if len(d.Holds) > 0 && !d.Wake.After(w.time()) {
		w.wrong("holds without a wake")
	}
}

// wrong notes a broken rule once.
func (w *World) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, known := range w.report.wrongs {
		if known.text == text {
			return
		}
	}
	w.report.wrongs = append(w.report.wrongs, wrong{w.now, text})
}

// carryOut books a release and writes it.
func (w *World) carryOut(d engine.Decision, r engine.Release) {
	left := r.Count
	for _, p := range w.pods {
		if left == 0 {
			return
		}
		if p.Group != r.Group || !p.held() || (len(r.Pods) > 0 && !contains(r.Pods, p.ID)) {
			continue
		}
		left--
		p.releasing, p.preferred = true, r.Nodes
		w.engine.Observe(w.time(), engine.Event{Released: &engine.Booking{Pod: p.ID, Decision: d.ID}})
		mark := w.time()
		w.after(w.write, func() { w.written(p, mark) })
	}
	if left > 0 {
		w.wrong("releases %d pods of %s that are not held", left, r.Group)
	}
}

func contains(ids []core.PodID, id core.PodID) bool {
	for _, i := range ids {
		if i == id {
			return true
		}
	}
	return false
}

// written takes the gate off.
func (w *World) written(p *pod, mark time.Time) {
	if p.gone || !p.releasing {
		return
	}
	p.releasing = false
	if n := w.node(p.Node); n != nil {
		n.held = false
		p.Phase, p.ReleasedAt = engine.PodBound, mark
		w.see(p)
		w.need(p, 0)
		return
	}
	p.Phase, p.ReleasedAt = engine.PodUnbound, mark
	p.stuckTill = w.now + p.group.stuck
	if p.group.stuck == 0 {
		p.stuckTill = 0
	}
	w.see(p)
	w.after(w.bind, func() { w.schedule(p) })
}

// plan arranges the wake and the probes of a decision.
func (w *World) plan(d engine.Decision) {
	w.wakeGen++
	if gen := w.wakeGen; !d.Wake.IsZero() {
		w.at(d.Wake.Sub(epoch), func() {
			if gen == w.wakeGen {
				w.kick()
			}
		})
	}
	for _, probe := range d.Probes {
		r := w.registries[probe.Account]
		r.probeGen++
		gen := r.probeGen
		w.at(probe.At.Sub(epoch), func() {
			if gen == r.probeGen {
				r.probeGen++
				w.probe(r, probe.Twice)
			}
		})
	}
}
