package model

import (
	"time"

	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/scenario"
)

// request is a kind of HTTP request to a registry.
type request uint8

const (
	reqHead  request = iota // HEAD of a manifest, the leg that is answered 401 too
	reqFirst                // GET of the first manifest of a pull
	reqMore                 // GET of a further manifest
	reqBlob                 // GET of the config or a layer
)

// verdict is how a request is answered.
type verdict uint8

const (
	accepted    verdict = iota
	throttled           // 429
	unavailable         // 5xx, or no answer
)

// registry answers requests.
type registry struct {
	limiters []limits
	rtt      times
	bps      float64 // of its edge, in bytes; 0 is unlimited
	link     int32   // of its edge
	mirrors  []int32
	// requests says that a limiter counts every request, heads that one may refuse
	// HEAD: only then each leg of a pull's beginning is an event of its own.
	requests, heads, concurrent, countsDenied bool

	outage scenario.OutageMode // "" is none
	slow   float64             // stretches answers and downloads; 1 is none
	lie    scenario.LieMode    // "" is the truth
	by     int64
	stuck  []stuck // by address, what is repeated
}

// limits is a limiter with its accounts.
type limits struct {
	config   limiter.Config
	per      scenario.Scope
	units    [4]int64 // by request
	accounts []*limiter.Limiter
	charged  int64 // own units
	due      []int64
}

type stuck struct {
	header limiter.Header
	known  bool
	kept   bool
}

func newLimits(s scenario.Limiter, addresses int) limits {
	l := limits{config: s.Config(), per: s.Per}
	switch s.Counts {
	case scenario.CountManifestGET:
		l.units = [4]int64{reqFirst: 1, reqMore: 1}
	case scenario.CountRequest:
		l.units = [4]int64{1, 1, 1, 1}
	default:
		l.units = [4]int64{reqFirst: 1}
	}
	n := 1
	if s.Per == scenario.PerEgressIP || s.Per == "" {
		n = addresses
	}
	l.due = make([]int64, n)
	for range n {
		account, err := limiter.New(l.config)
		if err != nil {
			panic("model: a scenario that was not validated: " + err.Error())
		}
		l.accounts = append(l.accounts, account)
	}
	return l
}

func newRegistry(s *scenario.Registry, addresses int) registry {
	r := registry{rtt: newTimes(s.RTT), bps: s.Bandwidth.BytesPerSecond(), slow: 1, link: None, stuck: make([]stuck, addresses)}
	for _, l := range s.Limiters {
		r.limiters = append(r.limiters, newLimits(l, addresses))
		r.requests = r.requests || l.Counts == scenario.CountRequest
		r.heads = r.heads || l.HeadWhenEmpty == scenario.HeadDeny
		r.countsDenied = r.countsDenied || l.CountsDenied
		r.concurrent = r.concurrent || l.Type == scenario.Concurrency
	}
	return r
}

// account is whose budget an address draws on.
func (l *limits) account(address AddressID) *limiter.Limiter {
	if len(l.accounts) == 1 {
		return l.accounts[0]
	}
	return l.accounts[address]
}

// ask has a registry decide on a request that is sent now: all limiters must allow
// it before any charges. It reports the units of limiters[0] that it was charged.
func (w *World) ask(id RegistryID, address AddressID, kind request) (verdict, int64) {
	r := &w.registries[id]
	switch r.outage {
	case scenario.OutageTimeout, scenario.OutageReset, scenario.Outage503:
		return unavailable, 0
	case scenario.HeadOnly429:
		if kind == reqHead {
			w.throttle(address, kind)
			return throttled, 0
		}
	}
	address = w.addresses[address].alias
	denied := false
	for i := range r.limiters {
		l := &r.limiters[i]
		account, units := l.account(address), l.units[kind]
		if units == 0 && kind != reqHead {
			continue
		}
		if units == 0 && !account.AllowsFree(w.now) || units > 0 && !account.Allows(w.now, units) {
			denied = true
			break
		}
	}
	if denied {
		w.deny(r, address, kind)
		return throttled, 0
	}
	return accepted, w.charge(r, address, kind)
}

func (w *World) deny(r *registry, address AddressID, kind request) {
	for i := range r.limiters {
		if units := r.limiters[i].units[kind]; units > 0 {
			r.limiters[i].account(address).Deny(w.now, units)
		}
	}
	w.throttle(address, kind)
}

// throttle counts an answer of 429.
func (w *World) throttle(address AddressID, kind request) {
	w.out.Throttled++
	w.series.throttled++
	w.record(recDenied, int32(address), int64(kind))
}

func (w *World) charge(r *registry, address AddressID, kind request) (first int64) {
	for i := range r.limiters {
		l := &r.limiters[i]
		if units := l.units[kind]; units > 0 {
			l.account(address).Charge(w.now, units)
			w.check.charged(w, l.account(address), l.config, units)
			l.charged += units
			if i == 0 {
				first = units
			}
		}
	}
	if kind == reqFirst || kind == reqMore {
		w.record(recAccepted, int32(address), int64(kind))
	}
	return first
}

// release gives back what a request held of limits of concurrency: those that
// count pulls until the pull ends, the others until the answer.
func (w *World) release(id RegistryID, address AddressID, kind request, ended bool) {
	r := &w.registries[id]
	address = w.addresses[address].alias
	for i := range r.limiters {
		l := &r.limiters[i]
		pulls := l.units[reqMore] == 0
		if units := l.units[kind]; units > 0 && l.config.Type == limiter.Concurrency && pulls == ended {
			l.account(address).Release(w.now, units)
		}
	}
}

// answerTime is how long an answer takes.
func (w *World) answerTime(id RegistryID, n int32) time.Duration {
	r := &w.registries[id]
	if r.outage == scenario.OutageTimeout {
		return dialTimeout
	}
	d := r.rtt.draw(&w.nodes[n].rtt)
	if r.slow != 1 {
		d = nanoseconds(float64(d) * r.slow)
	}
	return d
}

// dialTimeout is how long a runtime waits for a registry that does not answer:
// containerd's limit for a connection.
const dialTimeout = 30 * time.Second

// says is what an answer states in its headers to an address now.
func (w *World) says(id RegistryID, address AddressID) (limiter.Header, bool) {
	r := &w.registries[id]
	if r.lie == scenario.LieMissing {
		return limiter.Header{}, false
	}
	address = w.addresses[address].alias
	var header limiter.Header
	known := false
	for i := range r.limiters {
		if header, known = r.limiters[i].account(address).Header(w.now); known {
			break
		}
	}
	switch s := &r.stuck[address]; {
	case r.lie == scenario.LieStuck && s.kept:
		return s.header, s.known
	case r.lie == scenario.LieOffset && known:
		header.Remaining = max(0, header.Remaining+r.by)
	}
	r.stuck[address] = stuck{header, known, true}
	return header, known
}
