package model

import (
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// breakdown begins a fault; repair undoes it. Of two of one kind on one thing that
// overlap, the end of the first ends both.
func (w *World) breakdown(i int) {
	f := &w.spec.Faults[i]
	w.record(recFault, int32(i), 1)
	switch {
	case f.Quota != nil:
		w.setLimit(f.Quota, f.Quota.Limit)
	case f.Outage != nil:
		r := &w.registries[w.names.registry[f.Outage.Registry]]
		if r.outage = f.Outage.Mode; r.outage == scenario.OutageSlow {
			r.slow = max(f.Outage.Factor, 1)
		}
	case f.MirrorLoss != nil:
		w.mirrors[w.names.mirror[f.MirrorLoss.Mirror]].lost = true
	case f.NATCollapse != nil:
		w.collapse(w.names.egresses(f.NATCollapse.From), w.names.egress[f.NATCollapse.To])
	case f.CachePurge != nil:
		w.purge(PoolID(w.names.pool[f.CachePurge.Pool]), f.CachePurge.Fraction)
	case f.HeaderLies != nil:
		r := &w.registries[w.names.registry[f.HeaderLies.Registry]]
		r.lie, r.by = f.HeaderLies.Mode, f.HeaderLies.By
	case f.ControllerRestart != nil:
		w.observe(Event{Kind: ControllerLost})
		w.lost = true
	}
	if f.For > 0 {
		w.ahead++
		w.queue.Push(kernel.Time(f.At).Add(f.For), dueRepair, i)
	}
}

// repair ends a fault.
func (w *World) repair(i int) {
	f := &w.spec.Faults[i]
	w.record(recFault, int32(i), 0)
	switch {
	case f.Quota != nil:
		l := w.registries[w.names.registry[f.Quota.Registry]].limiters[f.Quota.Limiter]
		w.setLimit(f.Quota, l.config.Limit)
	case f.Outage != nil:
		r := &w.registries[w.names.registry[f.Outage.Registry]]
		r.outage, r.slow = "", 1
	case f.MirrorLoss != nil:
		w.mirrors[w.names.mirror[f.MirrorLoss.Mirror]].lost = false
	case f.NATCollapse != nil:
		w.restore(w.names.egresses(f.NATCollapse.From))
	case f.HeaderLies != nil:
		w.registries[w.names.registry[f.HeaderLies.Registry]].lie = ""
	case f.ControllerRestart != nil:
		w.lost = false
		w.observe(Event{Kind: ControllerBack})
	}
}

// setLimit changes a limiter's limit for all its accounts.
func (w *World) setLimit(f *scenario.QuotaFault, limit int64) {
	l := &w.registries[w.names.registry[f.Registry]].limiters[f.Limiter]
	for _, account := range l.accounts {
		account.SetLimit(w.now, limit)
		w.check.changed(account, l.config, limit)
	}
}

// purge empties the caches of a fraction of a pool's nodes, evenly among them.
// Pods that run keep running.
func (w *World) purge(id PoolID, fraction float64) {
	seen, done := 0, 0
	for n := range w.nodes {
		nd := &w.nodes[n]
		if nd.pool != id || nd.gone {
			continue
		}
		seen++
		if int(float64(float64(seen)*fraction)+1e-9) > done {
			done++
			w.caches.purge(int32(n))
			w.observe(Event{Kind: NodePurged, Node: NodeID(n), Pod: None})
		}
	}
}
