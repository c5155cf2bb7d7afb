package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
)

// watcher paces nothing and hands on what it sees.
type watcher struct {
	world   *World
	observe func(w *World, e Event)
	answer  func(r Reading)
}

func (p *watcher) Begin(w *World)  { p.world = w }
func (p *watcher) Gate(PodID) bool { return false }
func (p *watcher) Answer(r Reading) {
	if p.answer != nil {
		p.answer(r)
	}
}
func (p *watcher) Observe(e Event) {
	if p.observe != nil {
		p.observe(p.world, e)
	}
}

// oracle lets go as soon as a twin of the registry's limiter allows: nobody who
// does not know the limiter can be faster.
type oracle struct {
	watcher
	twin    *limiter.Limiter
	waiting []PodID
	timer   kernel.Time // that is set
}

func newOracle(c limiter.Config) *oracle {
	twin, err := limiter.New(c)
	if err != nil {
		panic(err)
	}
	return &oracle{twin: twin, timer: -1}
}

func (p *oracle) Gate(pod PodID) bool {
	p.waiting = append(p.waiting, pod)
	p.world.SetTimer(p.world.Now(), 1)
	return true
}

func (p *oracle) Observe(e Event) {
	if e.Kind != TimerFired {
		return
	}
	now := kernel.Time(p.world.Now())
	for len(p.waiting) > 0 && p.twin.Allows(now, 1) {
		p.twin.Charge(now, 1)
		p.world.Release(p.waiting[0], nil)
		p.waiting = p.waiting[1:]
	}
	if next := p.twin.Next(now, 1); len(p.waiting) > 0 && next != p.timer && next < kernel.Never {
		p.timer = next
		p.world.SetTimer(time.Duration(next), 1)
	}
}

// waves lets so many pods pull at a time.
type waves struct {
	watcher
	most, pulling int
	waiting       []PodID
}

func (p *waves) Gate(pod PodID) bool {
	p.waiting = append(p.waiting, pod)
	p.world.SetTimer(p.world.Now(), 1)
	return true
}

func (p *waves) Observe(e Event) {
	if e.Kind == PullsDone {
		p.pulling--
	}
	for len(p.waiting) > 0 && p.pulling < p.most && (e.Kind == PullsDone || e.Kind == TimerFired) {
		p.pulling++
		p.world.Release(p.waiting[0], nil)
		p.waiting = p.waiting[1:]
	}
}
