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

// BenchmarkDecideGrowing is a turn in which every group has pods that found no room, in
// a pool that grows.
func BenchmarkDecideGrowing(b *testing.B) {
	const nodes, groups = 5000, 500
	e, now := large(nodes, groups)
	p := e.pools["all"].Pool
	p.Growth = &Growth{Bundle: []ImageUse{hubUse("cni"), hubUse("logs")}}
	e.Observe(now, Event{Pool: &p})
	for _, id := range sortedKeys(e.groups) {
		g := e.groups[id].Group
		g.Room = &Room{Pods: 100, Nodes: 50}
		e.Observe(now, Event{Group: &g})
		for i := range 5 {
			e.Observe(now, Event{Pod: &Pod{ID: core.PodID(fmt.Sprintf("%s-w%d", id, i)), Group: id, Phase: PodUnbound, Created: now, ReleasedAt: now}})
		}
	}
	for b.Loop() {
		e.Decide(now)
	}
}

// BenchmarkDecideHeldNodes is a turn in which so many nodes are held, each of which pulls
// five images, and a few of them can be paid.
func BenchmarkDecideHeldNodes(b *testing.B) {
	for _, held := range []int{500, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", held), func(b *testing.B) {
			e, now := large(2*held, 1)
			g := Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Waves: Waves{By: "Node"}}
			for i := range 5 {
				g.Images = append(g.Images, hubUse(core.Image(fmt.Sprint("agent", i))))
			}
			e.Observe(now, Event{Group: &g})
			for i := range held {
				node := core.NodeID(fmt.Sprintf("n%d", i))
				e.Observe(now, Event{Node: &Node{ID: node, Zone: string(rune('a' + i%3))}})
				e.Observe(now, Event{Pod: &Pod{ID: core.PodID("node/" + node), Group: "nodes", Phase: PodGated, Node: node, Created: now, HoldUntil: now.Add(10 * time.Minute)}})
			}
			for b.Loop() {
				e.Decide(now)
			}
		})
	}
}
