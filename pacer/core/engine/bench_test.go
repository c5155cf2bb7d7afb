package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// large is a cluster of n nodes and g held groups of 20 pods each, on one account
// with something left.
func large(n, g int) (*Engine, time.Time) {
	m := newMachine(1000, time.Hour, n, quota.Settings{ReservePercent: 5})
	for i := range g {
		name := fmt.Sprintf("g%d", i)
		m.group(name, fmt.Sprintf("ns%d", i%50), core.ClassRollout)
		for range 20 {
			m.create(name)
		}
	}
	m.advance(10 * time.Second)
	m.probe()
	return m.engine, m.now
}

func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ nodes, groups int }{{100, 20}, {1000, 100}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("nodes=%d/groups=%d", size.nodes, size.groups), func(b *testing.B) {
			e, now := large(size.nodes, size.groups)
			for b.Loop() {
				e.Decide(now)
			}
		})
	}
}

func BenchmarkObservePod(b *testing.B) {
	e, now := large(10_000, 1000)
	i := 0
	for b.Loop() {
		i++
		e.Observe(now, Event{Pod: &Pod{ID: core.PodID(fmt.Sprintf("p%04d", i%20_000+1)), Group: core.GroupID(fmt.Sprintf("g%d", i%20_000/20)), Phase: PodGated, Created: now}})
	}
}
