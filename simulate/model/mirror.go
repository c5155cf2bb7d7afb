package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/scenario"
)

// mirror is a pull-through cache. It asks the registry, from its own address, for
// what it lacks and nothing else: its own HEADs and tokens are not modelled. Bytes
// that it does not have yet it passes on as they come.
type mirror struct {
	egress EgressID
	single bool
	bps    float64 // to the nodes, in bytes; 0 is unlimited
	link   int32
	rtt    times
	lost   bool
	draws  kernel.Stream
	// parts are what it has of each image, layers of each layer.
	parts  []mirrorImage
	layers []part
}

// mirrorImage is what a mirror has of an image besides its layers.
type mirrorImage struct {
	first, more, config part
	owed                bool
}

// part is one thing that a mirror keeps.
type part struct {
	have kernel.Time // from when on it is there
	// busy is until when a request is under way that single flight makes others wait
	// for, and verdict how that will be answered.
	busy    kernel.Time
	verdict verdict
}

func (w *World) newMirror(s *scenario.Mirror, names *names) mirror {
	m := mirror{egress: EgressID(names.egress[s.Egress]), single: s.SingleFlight, bps: s.Bandwidth.BytesPerSecond(), link: None, rtt: newTimes(s.RTT),
		draws: w.streams.Stream(uint64(len(w.mirrors)), "mirror rtt"), parts: make([]mirrorImage, len(w.images)), layers: make([]part, len(w.layers))}
	for i := range m.parts {
		m.parts[i] = mirrorImage{first: part{have: kernel.Never}, more: part{have: kernel.Never}, config: part{have: kernel.Never}}
	}
	for i := range m.layers {
		m.layers[i].have = kernel.Never
	}
	for _, name := range s.Warm {
		image := names.image[name]
		m.parts[image] = mirrorImage{owed: true}
		for _, layer := range w.images[image].layers {
			m.layers[layer].have = 0
		}
	}
	return m
}

// mirrorOf is the mirror that a node asks for images of a registry: nodes are
// spread over those that there are.
func (w *World) mirrorOf(n int32, r RegistryID) int32 {
	mirrors := w.registries[r].mirrors
	if len(mirrors) == 0 {
		return None
	}
	return mirrors[int(n)%len(mirrors)]
}

// sendToMirror is send for a pull that asks a mirror, which wants no token.
func (w *World) sendToMirror(p *pull) time.Duration {
	m := &w.mirrors[p.mirror]
	if m.lost {
		p.verdict = unavailable
		return 0
	}
	wait := m.rtt.draw(&w.nodes[p.node].rtt)
	image := &m.parts[p.image]
	var upstream time.Duration
	var units int64
	switch p.stage {
	case stageFirst:
		p.verdict, units, upstream = w.through(p, &image.first, reqFirst)
	case stageMore:
		p.verdict, units, upstream = w.through(p, &image.more, reqMore)
	case stageConfig:
		p.verdict, units, upstream = w.through(p, &image.config, reqBlob)
	default:
		p.verdict = accepted
		return wait
	}
	w.accept(p, units)
	return wait + upstream
}

// through answers a pull's request to a mirror from what it has or from the registry.
// What it gets is there for others a nanosecond after it came, so that who asks at
// that very moment still misses it.
func (w *World) through(p *pull, what *part, kind request) (verdict, int64, time.Duration) {
	m := &w.mirrors[p.mirror]
	switch {
	case w.now >= what.have:
		return accepted, 0, 0
	case m.single && w.now < what.busy:
		return what.verdict, 0, what.busy.Sub(w.now)
	}
	registry := w.images[p.image].registry
	address := w.egresses[m.egress].address(p.mirror)
	v, units := w.ask(registry, address, kind)
	w.tally(p.node, v, units)
	wait := w.registries[registry].rtt.draw(&m.draws)
	if w.registries[registry].outage == scenario.OutageTimeout {
		wait = dialTimeout
	}
	if v == accepted {
		what.have = min(what.have, w.after(wait)+1)
		w.letGo(registry, address, kind)
		if image := &m.parts[p.image]; kind == reqFirst && !image.owed {
			image.owed = true
			w.owe(address, p.image, int64(w.images[p.image].manifests)+1+int64(len(w.images[p.image].layers)))
		}
	}
	what.busy, what.verdict = w.after(wait)+1, v
	return v, units, wait
}

// letGo ends what a mirror's request held of limits of concurrency at once: how
// long a mirror keeps its requests open is not modelled.
func (w *World) letGo(id RegistryID, address AddressID, kind request) {
	for i := range w.registries[id].limiters {
		l := &w.registries[id].limiters[i]
		if units := l.units[kind]; units > 0 && l.config.Type == limiter.Concurrency {
			l.account(w.addresses[address].alias).Release(w.now, units)
		}
	}
}
