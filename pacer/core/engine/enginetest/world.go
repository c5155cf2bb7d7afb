package enginetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// epoch is the start of every world.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// registry is one account as the registry keeps it.
type registry struct {
	account engine.Account
	limiter meter
	kind    string
	// silent: no headers; down: no answer.
	silent, down bool
	countsDenied bool
	// headsCharge: a probe costs a unit, and heads counts those that did.
	headsCharge bool
	heads       int
	// windowless headers do not say the window; late ones tell what was so long ago.
	windowless   bool
	late, phase  time.Duration
	foreignEvery time.Duration
	probeGen     int
	probing      bool  // a probe is under way
	units        int64 // charged to us
	foreignLost  int64
}

// image is an image, and what a cold pull of it asks for.
type image struct {
	name core.Image
	// accounts are candidates; that of the node's egress counts.
	accounts  []core.AccountID
	manifests int
	// unshaped: nobody tells the engine how many manifests it has.
	unshaped bool
	pull     time.Duration
}

// node is a node with its cache and its kubelet's one queue of pulls.
type node struct {
	engine.Node
	cache map[core.Image]bool
	// half are images whose index was fetched, and the platform's manifest not.
	half  map[core.Image]bool
	pods  int
	held  bool // it takes no pods
	queue []func(done func())
	busy  bool
}

// group is a group and how its pods behave.
type group struct {
	engine.Group
	next int
	// initFor is how long the first container runs before the next image is
	// pulled, stuck how long the scheduler finds no node for a released pod.
	initFor, stuck, hold time.Duration
	ungated              bool
}

// pod is a pod and its kubelet's view of it.
type pod struct {
	engine.Pod
	group     *group
	preferred []core.NodeID
	stuckTill time.Duration
	backoff   time.Duration
	failed    *engine.PullFailed // as its status shows
	gone      bool
	// releasing: the release is booked, and its write is under way.
	releasing bool
}

// World is a cluster in virtual time. Make one with New.
type World struct {
	clock
	engine *engine.Engine
	down   bool

	registries map[core.AccountID]*registry
	images     map[core.Image]*image
	nodes      []*node
	groups     []*group
	pods       []*pod
	faults     []*fault

	slots            int  // pods a node takes, 0: any number
	firstFit         bool // the scheduler packs instead of spreading
	write, bind, rtt time.Duration
	nodeStatus       time.Duration
	turnPending      bool
	wakeGen          int
	timeline         int // entries that are still to come
	unfinished       int // pods that still need pulls
	turns            int
	report           report
}

// New returns an empty world at time zero.
func New() *World {
	return &World{
		engine: engine.New(engine.Config{}), registries: map[core.AccountID]*registry{}, images: map[core.Image]*image{},
		write: 20 * time.Millisecond, bind: 100 * time.Millisecond, rtt: 50 * time.Millisecond, nodeStatus: 30 * time.Second,
	}
}

func (w *World) time() time.Time { return epoch.Add(w.now) }

// observe tells the engine, unless it is down, and asks for a turn.
func (w *World) observe(ev engine.Event) {
	if w.down {
		return
	}
	w.engine.Observe(w.time(), ev)
	w.kick()
}

// see tells the engine of a pod as it is now.
func (w *World) see(p *pod) {
	seen := p.Pod
	seen.Started = slices.Clone(p.Started)
	w.observe(engine.Event{Pod: &seen})
}

// seeNode tells of a node with its cache, as its status does: late.
func (w *World) seeNode(n *node) { w.observe(engine.Event{Node: n.status()}) }

func (n *node) status() *engine.Node {
	seen := n.Node
	for image := range n.cache {
		seen.Images = append(seen.Images, image)
	}
	slices.Sort(seen.Images)
	return &seen
}

// addNodes adds nodes, which a group may hold.
func (w *World) addNodes(a args) {
	holder := w.groupNamed(a.text("of", ""))
	from := len(w.nodes)
	for range a.int("count", 1) {
		n := &node{Node: engine.Node{ID: core.NodeID(fmt.Sprintf("n%03d", len(w.nodes))), Egress: a.text("egress", ""), Zone: a.text("zone", "")},
			cache: map[core.Image]bool{}, half: map[core.Image]bool{}, held: holder != nil}
		w.nodes = append(w.nodes, n)
		w.seeNode(n)
	}
	w.observe(engine.Event{Pool: w.pool()})
	if holder != nil {
		holder.hold = a.span("hold", 0)
		w.holdNodes(holder, w.nodes[from:])
	}
}

// holdNodes makes pods of nodes: what holds them, and what they pull.
func (w *World) holdNodes(g *group, nodes []*node) {
	for _, n := range nodes {
		w.addPod(g, n.ID)
	}
}

func (w *World) pool() *engine.Pool {
	p := &engine.Pool{ID: "all"}
	for _, n := range w.nodes {
		p.Nodes = append(p.Nodes, n.ID)
	}
	return p
}

func (w *World) addGroup(g *group, pods int) {
	w.groups = append(w.groups, g)
	seen := g.Group
	w.observe(engine.Event{Group: &seen})
	w.addPods(g, pods)
}

func (w *World) addPods(g *group, count int) {
	for range count {
		w.addPod(g, "")
	}
}

// addPod adds a held pod, that can go to one node or to any.
func (w *World) addPod(g *group, to core.NodeID) {
	g.next++
	p := &pod{group: g, Pod: engine.Pod{
		ID: core.PodID(fmt.Sprintf("%s/%s-%04d/1", g.Namespace, g.ID, g.next)), Group: g.ID, Phase: engine.PodGated, Created: w.time(), Node: to,
	}}
	if g.hold > 0 {
		p.HoldUntil = w.time().Add(g.hold)
	}
	w.pods = append(w.pods, p)
	w.unfinished++
	if to == "" && (g.ungated || w.hopeless(g)) {
		p.Phase = engine.PodUnbound
		w.after(w.bind, func() { w.schedule(p) })
	}
	w.see(p)
}

// hopeless reports whether a pod of the group is not held at all, as admission does
// with one for whose images no wait helps.
func (w *World) hopeless(g *group) bool {
	for _, use := range g.Images {
		for _, id := range use.Accounts {
			if !slices.ContainsFunc(w.report.accounts, func(v engine.View) bool { return v.Account == id && !v.Flow.Hopeless.IsZero() }) {
				return false
			}
		}
	}
	return true
}

// removePods deletes held pods first, then the youngest.
func (w *World) removePods(g *group, count int) {
	own := w.podsOf(g)
	slices.Reverse(own)
	slices.SortStableFunc(own, func(a, b *pod) int { return b2i(b.held()) - b2i(a.held()) })
	for _, p := range own[:min(count, len(own))] {
		p.gone = true
		if p.Phase != engine.PodPulled {
			w.unfinished--
		}
		if n := w.node(p.Node); n != nil {
			n.pods--
		}
		w.observe(engine.Event{PodGone: p.ID})
	}
	w.pods = slices.DeleteFunc(w.pods, func(p *pod) bool { return p.gone })
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *World) podsOf(g *group) []*pod {
	var out []*pod
	for _, p := range w.pods {
		if p.group == g {
			out = append(out, p)
		}
	}
	return out
}

// held reports whether the gate is on and no release of it is under way.
func (p *pod) held() bool { return p.Phase == engine.PodGated && !p.releasing }

func (w *World) node(id core.NodeID) *node {
	for _, n := range w.nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

func (w *World) groupNamed(id string) *group {
	for _, g := range w.groups {
		if string(g.ID) == id {
			return g
		}
	}
	return nil
}

// everything is the world as a list of events, for a restart.
func (w *World) everything() engine.World {
	var world engine.World
	add := func(ev engine.Event) { world.Events = append(world.Events, ev) }
	for _, r := range w.accounts() {
		account := r.account
		add(engine.Event{Account: &account})
	}
	for _, i := range w.imageList() {
		if !i.unshaped {
			add(engine.Event{Shape: &engine.ImageShape{Image: i.name, Manifests: i.manifests}})
		}
	}
	for _, n := range w.nodes {
		add(engine.Event{Node: n.status()})
	}
	add(engine.Event{Pool: w.pool()})
	for _, g := range w.groups {
		seen := g.Group
		add(engine.Event{Group: &seen})
	}
	for _, p := range w.pods {
		seen := p.Pod
		seen.Started = slices.Clone(p.Started)
		add(engine.Event{Pod: &seen})
		if p.failed != nil {
			again := *p.failed
			again.At = w.time()
			add(engine.Event{Failed: &again})
		}
	}
	return world
}

func (w *World) accounts() []*registry {
	out := make([]*registry, 0, len(w.registries))
	for _, r := range w.registries {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *registry) int { return compare(string(a.account.ID), string(b.account.ID)) })
	return out
}

func (w *World) imageList() []*image {
	out := make([]*image, 0, len(w.images))
	for _, i := range w.images {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b *image) int { return compare(string(a.name), string(b.name)) })
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// crash ends the engine; after d a new one starts with what was exported, if it
// was kept.
func (w *World) crash(d time.Duration, kept bool) {
	state := w.engine.Export()
	w.down = true
	for _, p := range w.pods {
		if p.releasing { // booked and not written: nobody knows of it any more
			p.releasing = false
		}
	}
	w.after(d, func() {
		w.down = false
		w.engine = engine.New(engine.Config{})
		if kept {
			w.engine.Restore(w.time(), state)
		}
		w.engine.Replace(w.time(), w.everything())
		w.kick()
	})
}

// others charges units that are not ours.
func (w *World) others(r *registry, units int) {
	for range units {
		if r.limiter.remaining(w.now) > 0 {
			r.limiter.charge(w.now)
		} else {
			r.foreignLost++
		}
	}
}
