package model

import (
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/scenario"
)

// egress is a group of addresses.
type egress struct {
	first, ips int32
	bps        float64 // in bytes; 0 is unlimited
	link       int32
	alias      EgressID // by which its traffic really leaves
}

// address is the one that the i-th node of a pool is behind.
func (e *egress) address(i int32) AddressID { return AddressID(e.first + i%e.ips) }

// address is a public address; alias is the one whose accounts it draws on.
type address struct{ alias AddressID }

// foreign is use of one egress group's accounts at one registry by others.
type foreign struct {
	registry RegistryID
	egress   EgressID
	step     float64 // nanoseconds from unit to unit
	units    int64   // asked for so far
}

func (w *World) addEgress(s *scenario.Egress) {
	ips := int32(max(s.IPs, 1))
	id := EgressID(len(w.egresses))
	w.egresses = append(w.egresses, egress{first: int32(len(w.addresses)), ips: ips, bps: s.Bandwidth.BytesPerSecond(), link: None, alias: id})
	for range ips {
		w.addresses = append(w.addresses, address{alias: AddressID(len(w.addresses))})
	}
}

// collapse sends the traffic of some groups out by another.
func (w *World) collapse(from []int32, to int32) {
	target := &w.egresses[to]
	for _, id := range from {
		e := &w.egresses[id]
		e.alias = EgressID(to)
		for i := range e.ips {
			w.addresses[e.first+i].alias = target.address(i)
		}
	}
}

// restore undoes collapse.
func (w *World) restore(from []int32) {
	for _, id := range from {
		e := &w.egresses[id]
		e.alias = EgressID(id)
		for i := range e.ips {
			w.addresses[e.first+i].alias = AddressID(e.first + i)
		}
	}
}

// newForeign is the use that an egress group's entry means for a registry, and
// whether it means any: it draws on the registry's first limiter.
func (w *World) newForeign(r RegistryID, e EgressID, s scenario.Foreign) (foreign, bool) {
	if len(w.registries[r].limiters) == 0 {
		return foreign{}, false
	}
	per, every := s.Per, s.Every
	if s.PerWindow > 0 {
		_, window, ok := w.registries[r].limiters[0].config.Says()
		if !ok {
			return foreign{}, false
		}
		per, every = s.PerWindow, window
	}
	if per <= 0 || every <= 0 {
		return foreign{}, false
	}
	return foreign{registry: r, egress: e, step: float64(every) / float64(per)}, true
}

func (f *foreign) next() kernel.Time {
	return kernel.Time(nanoseconds((float64(f.units) + 0.5) * f.step))
}

// foreignDue has others ask for their next unit.
func (w *World) foreignDue(i int) {
	f := &w.foreigns[i]
	l := &w.registries[f.registry].limiters[0]
	e := &w.egresses[f.egress]
	account := l.account(w.addresses[e.address(int32(f.units%int64(e.ips)))].alias)
	f.units++
	allowed := account.Allows(w.now, 1)
	switch {
	case !allowed:
		account.Deny(w.now, 1)
		w.out.ForeignThrottled++
	case l.config.Type != limiter.Concurrency: // what they hold at once they give back at once
		account.Charge(w.now, 1)
		w.check.charged(w, account, l.config, 1)
	}
	w.record(recForeign, int32(i), f.units)
	w.queue.Push(max(f.next(), w.now+1), dueForeign, i)
}
