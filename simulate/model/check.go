package model

import (
	"fmt"
	"math"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
)

// checker looks at a world before and after its events and keeps the first thing
// that cannot be. Only tests switch it on. It counts everything anew, so that it
// shares no mistake with what it checks.
type checker struct {
	every  int64 // events between two looks at all nodes and pods
	count  int64
	last   kernel.Time
	grants map[*limiter.Limiter]*grants
	err    error
}

// grants are the units that an account was charged, own and foreign.
type grants struct {
	at    []kernel.Time
	units []int64
	limit int64 // the largest since the start
}

func newChecker(every int64) *checker {
	return &checker{every: every, grants: map[*limiter.Limiter]*grants{}}
}

func (c *checker) fail(w *World, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("after %d events, at %v: %s", c.count, w.now, fmt.Sprintf(format, args...))
	}
}

func (c *checker) before(w *World, at kernel.Time) {
	if at < c.last {
		c.fail(w, "the clock goes back to %v", at)
	}
	c.last = at
}

func (c *checker) after(w *World) {
	c.count++
	if c.count%c.every == 0 {
		c.nodes(w)
		c.pods(w)
	}
}

func (c *checker) of(account *limiter.Limiter, config limiter.Config) *grants {
	g := c.grants[account]
	if g == nil {
		g = &grants{limit: config.Limit}
		c.grants[account] = g
	}
	return g
}

// changed is told of another limit.
func (c *checker) changed(account *limiter.Limiter, config limiter.Config, limit int64) {
	if c != nil {
		g := c.of(account, config)
		g.limit = max(g.limit, limit)
	}
}

// charged checks that no span of time grants more than the limiter's rule allows,
// by adding up all that was granted in it.
func (c *checker) charged(w *World, account *limiter.Limiter, config limiter.Config, units int64) {
	if c == nil || config.CountsDenied {
		return
	}
	g := c.of(account, config)
	g.at = append(g.at, w.now)
	g.units = append(g.units, units)
	if config.Type == limiter.Concurrency || config.Type == limiter.TokenBucket && config.Refill == 0 {
		return // what is given back, and what is not limited
	}
	sum := int64(0)
	for i := len(g.at) - 1; i >= 0 && together(config, g.at[i], w.now); i-- {
		sum += g.units[i]
		most := float64(g.limit)
		if config.Type == limiter.TokenBucket {
			// with the burst the rate was changed as well
			raised := float64(g.limit) / float64(max(config.Limit, 1))
			most += float64(w.now-g.at[i])*float64(config.Refill)/float64(config.Every)*raised + 1e-6
		}
		if float64(sum) > most {
			c.fail(w, "%s granted %d units in %v, more than %v", config.Type, sum, w.now.Sub(g.at[i]), most)
			return
		}
	}
}

// together reports whether one limit holds for what is granted at two times.
func together(config limiter.Config, earlier, now kernel.Time) bool {
	edge := func(t kernel.Time) float64 { // the last one, counted from the first after the start
		return math.Floor(float64(t-kernel.Time(config.Phase)) / float64(config.Window))
	}
	switch config.Type {
	case limiter.RollingLog:
		return now-earlier < kernel.Time(config.Window)
	case limiter.FixedWindow, limiter.SlidingCounter:
		return edge(earlier) == edge(now)
	}
	return true
}

// nodes checks room, slots and queues of every node.
func (c *checker) nodes(w *World) {
	pulls := int64(0)
	free, open, standing := make([]int32, len(w.pools)), make([]int32, len(w.pools)), make([]int32, len(w.pools))
	for n := range w.nodes {
		nd := &w.nodes[n]
		pool := &w.pools[nd.pool]
		free[nd.pool] += nd.room
		if nd.room > 0 {
			open[nd.pool]++
		}
		if nd.held {
			standing[nd.pool]++
		}
		taken, failing := int32(0), int32(0)
		for id := nd.pods; id != None; id = w.pods[id].nodeNext {
			p := &w.pods[id]
			if p.flags&podDaemon == 0 {
				taken++
			}
			if p.flags&podBacksOff != 0 {
				failing++
			}
			if int(p.node) != n || p.phase < PodBinding || p.phase == PodDeleted {
				c.fail(w, "pod %d in phase %d of node %d is listed on node %d", id, p.phase, p.node, n)
			}
		}
		if held := nd.held && taken+nd.room == 0; !nd.gone && !held && taken+nd.room != pool.room || nd.room < 0 {
			c.fail(w, "node %d has %d pods and room for %d, of %d", n, taken, nd.room, pool.room)
		}
		if failing != nd.failing {
			c.fail(w, "node %d has %d pods that back off and counts %d", n, failing, nd.failing)
		}
		active, loading := int32(0), int32(0)
		for i := nd.pulls; i != None; i = w.pulls[i].sibling {
			active++
			loading += w.pulls[i].loading
			if !c.moves(w, i) {
				c.fail(w, "a pull of image %d on node %d waits for nothing", w.pulls[i].image, n)
			}
		}
		pulls += int64(active)
		if active != nd.pulling || pool.serial && active > 1 || pool.parallel > 0 && active > pool.parallel {
			c.fail(w, "node %d has %d pulls under way, its kubelet counts %d", n, active, nd.pulling)
		}
		if loading != nd.slots || pool.slots > 0 && loading > pool.slots {
			c.fail(w, "node %d downloads %d layers in %d of %d slots", n, loading, nd.slots, pool.slots)
		}
	}
	for i := range w.pools {
		if p := &w.pools[i]; free[i] != p.free || open[i] != p.open || standing[i] != p.held {
			c.fail(w, "pool %d has %d places on %d nodes and %d nodes held, counted are %d, %d and %d", i, free[i], open[i], standing[i], p.free, p.open, p.held)
		}
	}
	if pulls != w.series.inFlight {
		c.fail(w, "%d pulls are under way, %d are counted", pulls, w.series.inFlight)
	}
}

// moves reports whether something will happen to a pull.
func (c *checker) moves(w *World, i int32) bool {
	p := &w.pulls[i]
	if p.timer != kernel.NoTicket || p.loading > 0 || p.unpacking || p.waits {
		return true
	}
	for j := w.nodes[p.node].pulls; j != None; j = w.pulls[j].sibling {
		for k := w.pulls[j].joined; k != None; k = w.pulls[k].next {
			if k == i {
				return true
			}
		}
	}
	// or it left the next layer to another
	return p.stage == stageLayers && int(p.unpacked) < len(p.layers) && p.layers[p.unpacked] == layerElsewhere &&
		w.elsewhere(p.node, w.images[p.image].layers[p.unpacked]) == layerElsewhere
}

// pods checks that every pod that was created is somewhere, once.
func (c *checker) pods(w *World) {
	open, held, there := 0, int64(0), int32(0)
	for i := range w.pods {
		p := &w.pods[i]
		if p.phase < PodRunning {
			open++
		}
		if p.phase == PodGated {
			held++
		}
		if p.phase != PodDeleted && p.set != None {
			there++
		}
		if waits := p.phase == PodBinding || p.phase == PodPulled; waits && p.timer == kernel.NoTicket && p.flags&(podQueued|podPulling) == 0 {
			c.fail(w, "pod %d in phase %d waits for nothing", i, p.phase)
		}
		if (p.node == None) != (p.phase < PodBinding) && p.phase != PodDeleted {
			c.fail(w, "pod %d is in phase %d on node %d", i, p.phase, p.node)
		}
	}
	if open != w.open || held != w.held {
		c.fail(w, "%d pods are not Running and %d held, %d and %d are counted", open, held, w.open, w.held)
	}
	for i := range w.sets {
		there -= w.sets[i].total()
	}
	if there != 0 {
		c.fail(w, "the sets miss %d pods that exist", there)
	}
}

// end checks what holds when a run is over: no link lost or made bytes.
func (c *checker) end(w *World) {
	c.nodes(w)
	c.pods(w)
	for i := range w.links {
		k := &w.links[i]
		if moved, asked := k.fluid.Moved(), float64(k.bytes); k.fluid.Flows() == 0 && (moved < asked*(1-1e-9)-1 || moved > asked*(1+1e-9)+1) {
			c.fail(w, "link %d moved %.0f bytes of %.0f", i, moved, asked)
		}
	}
}
