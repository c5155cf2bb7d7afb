package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// grower is a machine with nodes of so many places each, to which an autoscaler adds
// others for pods that find none. It packs them or not, and holds new nodes or not.
type grower struct {
	*machine
	t      *rapid.T
	places int
	hold   bool
	nodes  map[core.NodeID]*grown
	next   int
}

// grown is a node, and how far it has come.
type grown struct {
	id     core.NodeID
	phase  PodPhase // Unbound: it is asked for; Gated: it is held
	since  time.Time
	went   time.Time
	pods   int
	sent   map[core.Image]bool
	cached map[core.Image]bool
}

// agents are the images that every new node pulls.
var agents = []core.Image{"cni", "logs"}

func newGrower(t *rapid.T) *grower {
	limit := core.Units(rapid.IntRange(4, 30).Draw(t, "limit"))
	window := time.Duration(rapid.IntRange(20, 3600).Draw(t, "window")) * time.Second
	g := &grower{machine: newMachine(limit, window, 0, quota.Settings{}), t: t, nodes: map[core.NodeID]*grown{},
		places: rapid.IntRange(1, 4).Draw(t, "places"), hold: rapid.Bool().Draw(t, "hold")}
	for _, image := range append([]core.Image{"web", "api"}, agents...) {
		g.observe(Event{Shape: &ImageShape{Image: image, Manifests: 1}})
	}
	b := &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all"}
	for _, image := range agents {
		b.Images = append(b.Images, hubUse(image))
	}
	g.observe(Event{Group: b})
	for range rapid.IntRange(0, 3).Draw(t, "nodes") {
		n := g.node(PodPulled)
		for _, image := range append([]core.Image{"web", "api"}, agents...) {
			if rapid.Bool().Draw(t, "warm") || slices.Contains(agents, image) {
				n.sent[image], n.cached[image] = true, true
			}
		}
		g.seeNode(n)
	}
	g.seeRoom()
	return g
}

func (g *grower) node(phase PodPhase) *grown {
	g.next++
	n := &grown{id: core.NodeID(fmt.Sprintf("n%03d", g.next)), phase: phase, since: g.now, sent: map[core.Image]bool{}, cached: map[core.Image]bool{}}
	g.nodes[n.id] = n
	return n
}

// seeNode tells of a node and of what it pulls for itself.
func (g *grower) seeNode(n *grown) {
	seen := &Node{ID: n.id, Coming: n.phase == PodUnbound}
	for image := range n.cached {
		seen.Images = append(seen.Images, image)
	}
	slices.Sort(seen.Images)
	g.observe(Event{Node: seen})
	p := &Pod{ID: core.PodID("node/" + n.id), Group: "nodes", Phase: n.phase, Node: n.id, Created: n.since, ReleasedAt: n.went}
	if n.phase == PodUnbound {
		p.Phase = PodBound
	}
	g.observe(Event{Pod: p})
}

// seeRoom tells of the pool, and of the room that there is or comes.
func (g *grower) seeRoom() {
	room := Room{}
	for _, n := range g.nodes {
		if free := g.places - n.pods; free > 0 {
			room.Pods += free
			room.Nodes++
		}
	}
	growth := &Growth{}
	for _, image := range agents {
		growth.Bundle = append(growth.Bundle, hubUse(image))
	}
	g.observe(Event{Pool: &Pool{ID: "all", Nodes: sortedKeys(g.nodes), Growth: growth}})
	for _, name := range []core.GroupID{"web", "api"} {
		seen := room
		g.observe(Event{Group: &Group{ID: name, Namespace: string(name), Workload: string(name), Class: core.ClassRollout, Pool: "all", Room: &seen, Images: []ImageUse{hubUse(core.Image(name))}}})
	}
}

func (g *grower) open(n *grown) bool {
	return (n.phase == PodBound || n.phase == PodPulled) && n.pods < g.places
}

// send is a pull of an image to a node, once.
func (g *grower) send(n *grown, image core.Image) {
	if n.sent[image] {
		return
	}
	n.sent[image] = true
	if g.remaining() > 0 {
		g.charged = append(g.charged, g.now)
	} else {
		g.denied++
	}
}

// schedule binds a pod to a node that has room.
func (g *grower) schedule() {
	pods := g.phase(PodUnbound, every)
	var nodes []core.NodeID
	for _, id := range sortedKeys(g.nodes) {
		if g.open(g.nodes[id]) {
			nodes = append(nodes, id)
		}
	}
	if len(pods) == 0 || len(nodes) == 0 {
		return
	}
	p, n := g.pods[rapid.SampledFrom(pods).Draw(g.t, "pod")], g.nodes[rapid.SampledFrom(nodes).Draw(g.t, "node")]
	p.Phase, p.Node = PodBound, n.id
	n.pods++
	g.send(n, p.image)
	g.see(p)
	g.seeRoom()
}

// scale asks for nodes, one for each pod that finds no room at the most.
func (g *grower) scale() {
	lack := len(g.phase(PodUnbound, every))
	for _, n := range g.nodes {
		lack -= g.places - n.pods
	}
	if lack <= 0 {
		return
	}
	for range rapid.IntRange(1, lack).Draw(g.t, "asked for") {
		g.seeNode(g.node(PodUnbound))
	}
	g.seeRoom()
}

// arrive has nodes come that were asked for: held, or pulling for themselves at once.
func (g *grower) arrive() {
	for _, id := range sortedKeys(g.nodes) {
		if n := g.nodes[id]; n.phase == PodUnbound && rapid.Bool().Draw(g.t, "comes") {
			if n.phase = PodBound; g.hold {
				n.phase = PodGated
			}
			g.seeNode(n)
		}
	}
	g.seeRoom()
}

// pull has nodes go on with what they pull for themselves, and pods end their pulls.
func (g *grower) pull() {
	for _, id := range sortedKeys(g.nodes) {
		n := g.nodes[id]
		if n.phase != PodBound || !rapid.Bool().Draw(g.t, "pulls") {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(agents), func(image core.Image) bool { return n.sent[image] })
		if len(left) > 0 {
			g.send(n, left[0])
			continue
		}
		n.phase = PodPulled
		for _, image := range agents {
			n.cached[image] = true
		}
		g.seeNode(n)
	}
	for _, id := range g.phase(PodBound, every) {
		if p := g.pods[id]; rapid.Bool().Draw(g.t, "done") {
			g.nodes[p.Node].cached[p.image] = true
			g.finish(id)
		}
	}
}

func (g *grower) decideAndGo() {
	d := g.decide()
	for _, r := range d.Releases {
		if r.Group != "nodes" {
			continue
		}
		for _, id := range r.Pods {
			g.observe(Event{Released: &Booking{Pod: id, Decision: d.ID}})
			n := g.nodes[core.NodeID(id[len("node/"):])]
			n.phase, n.went = PodBound, g.now
			g.seeNode(n)
		}
	}
	d.Releases = slices.DeleteFunc(d.Releases, func(r Release) bool { return r.Group == "nodes" })
	g.carryOut(d)
	g.seeRoom()
}

// TestGrowthIsPaidBeforeItComes lets pods go to nodes with little room, and an autoscaler
// add nodes as it likes for those that find none. All that is pulled, by pods and by the
// nodes that they bring, was paid when the pods were let go: nobody is refused.
func TestGrowthIsPaidBeforeItComes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := newGrower(t)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"wait", "create", "probe", "decide", "decide", "schedule", "schedule", "scale", "arrive", "pull"}).Draw(t, "what") {
			case "wait":
				g.advance(time.Duration(rapid.Int64Range(0, int64(g.window)/3).Draw(t, "wait")))
			case "create":
				for range rapid.IntRange(1, 8).Draw(t, "pods") {
					g.create(rapid.SampledFrom([]string{"web", "api"}).Draw(t, "group"))
				}
			case "probe":
				g.probe()
			case "decide":
				g.decideAndGo()
			case "schedule":
				g.schedule()
			case "scale":
				g.scale()
			case "arrive":
				g.arrive()
			case "pull":
				g.pull()
			}
			if g.denied > 0 {
				t.Fatalf("%d pulls were refused", g.denied)
			}
		}
	})
}
