package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// bundle are the images that a new node pulls in these tests.
var bundle = []core.Image{"cni", "logs", "csi"}

// joiner is a machine to which nodes come that are held.
type joiner struct {
	*machine
	t     *rapid.T
	nodes map[core.NodeID]*joined
	next  int
	state State // as it was written last
}

// joined is a node that came, with what it pulled.
type joined struct {
	Node
	phase    PodPhase
	released time.Time
	created  time.Time
	sent     map[core.Image]bool
	cached   map[core.Image]bool
}

func newJoiner(t *rapid.T, limit core.Units, window time.Duration) *joiner {
	j := &joiner{machine: newMachine(limit, window, 0, quota.Settings{}), t: t, nodes: map[core.NodeID]*joined{}}
	for _, ev := range j.groups() {
		j.observe(ev)
	}
	j.state = j.engine.Export()
	return j
}

// groups are that of the nodes, and of a DaemonSet whose pods come to those let go.
func (j *joiner) groups() []Event {
	var events []Event
	g := &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Waves: Waves{By: "Node"}}
	for _, image := range bundle {
		events = append(events, Event{Shape: &ImageShape{Image: image, Manifests: 1}})
		g.Images = append(g.Images, hubUse(image))
	}
	return append(events, Event{Group: g}, Event{Group: &Group{ID: "logs", Workload: "DaemonSet/logs", Class: core.ClassNodeCritical, Pool: "all", Images: []ImageUse{hubUse("logs")}}})
}

func (j *joiner) pool() Event {
	return Event{Pool: &Pool{ID: "all", Nodes: sortedKeys(j.nodes)}}
}

// pod is what holds a node, or the node with what it pulls.
func (j *joiner) pod(n *joined) Event {
	p := &Pod{ID: core.PodID("node/" + n.ID), Group: "nodes", Phase: n.phase, Node: n.ID, Created: n.created, ReleasedAt: n.released}
	for _, image := range bundle {
		if n.cached[image] && n.phase == PodBound {
			p.Started = append(p.Started, image)
		}
	}
	return Event{Pod: p}
}

// daemon is the pod of the DaemonSet on a node that was let go.
func (j *joiner) daemon(n *joined) Event {
	phase := PodBound
	if n.cached["logs"] {
		phase = PodPulled
	}
	return Event{Pod: &Pod{ID: core.PodID("logs/" + n.ID), Group: "logs", Phase: phase, Node: n.ID, Created: n.created}}
}

func (j *joiner) arrive(count int) {
	for range count {
		j.next++
		id := core.NodeID(fmt.Sprintf("new%03d", j.next))
		n := &joined{Node: Node{ID: id, BootID: "1", Zone: string(rune('a' + j.next%3))}, phase: PodGated, created: j.now, sent: map[core.Image]bool{}, cached: map[core.Image]bool{}}
		j.nodes[id] = n
		j.observe(Event{Node: &n.Node})
		j.observe(j.pool())
		j.observe(j.pod(n))
	}
}

// decideAndWrite books what a decision lets go and writes it, unless it is refused or
// there is no time.
func (j *joiner) decideAndWrite(refuse func() bool) {
	d := j.decide()
	for _, r := range d.Releases {
		if r.Count != len(r.Pods) {
			j.t.Fatalf("%d nodes go, and %d are named", r.Count, len(r.Pods))
		}
		for _, id := range r.Pods {
			j.observe(Event{Released: &Booking{Pod: id, Decision: d.ID}})
		}
	}
	j.state = j.engine.Export()
	for _, r := range d.Releases {
		for _, id := range r.Pods {
			n := j.nodes[core.NodeID(id[len("node/"):])]
			switch {
			case refuse():
				j.observe(Event{Refused: id})
				continue
			case refuse():
				j.observe(Event{Withdrawn: id})
				continue
			}
			n.phase, n.released = PodBound, j.now
			j.observe(j.pod(n))
			j.observe(j.daemon(n))
		}
	}
}

// pull has a node that was let go send a pull, and another finish one.
func (j *joiner) pull(n *joined) {
	for _, image := range bundle {
		switch {
		case n.sent[image] && !n.cached[image]:
			n.cached[image] = true
			if j.done(n) {
				n.phase = PodPulled
			}
			j.observe(j.pod(n))
			if image == "logs" {
				j.observe(j.daemon(n))
			}
			return
		case !n.sent[image]:
			n.sent[image] = true
			if j.remaining() > 0 {
				j.charged = append(j.charged, j.now)
			} else {
				j.denied++
			}
			return
		}
	}
}

func (j *joiner) done(n *joined) bool {
	return !slices.ContainsFunc(bundle, func(image core.Image) bool { return !n.cached[image] })
}

func (j *joiner) leave(n *joined) {
	delete(j.nodes, n.ID)
	j.observe(Event{NodeGone: n.ID})
	j.observe(Event{PodGone: core.PodID("node/" + n.ID)})
	if n.phase != PodGated {
		j.observe(Event{PodGone: core.PodID("logs/" + n.ID)})
	}
	j.observe(j.pool())
}

// reboot makes a node known again that has what it pulled on its disk.
func (j *joiner) reboot(n *joined) {
	n.BootID += "+"
	n.Images = nil
	for _, image := range bundle {
		if n.cached[image] {
			n.Images = append(n.Images, image)
		}
	}
	j.observe(Event{Node: &n.Node})
	j.observe(j.pod(n))
}

func (j *joiner) restart() {
	w := World{Events: slices.Concat(slices.Clone(j.world.Events[:1]), j.groups(), []Event{j.pool()})}
	for _, id := range sortedKeys(j.nodes) {
		n := j.nodes[id]
		seen := n.Node
		for _, image := range bundle {
			if n.cached[image] && !slices.Contains(seen.Images, image) {
				seen.Images = append(seen.Images, image)
			}
		}
		w.Events = append(w.Events, Event{Node: &seen}, j.pod(n))
		if n.phase != PodGated {
			w.Events = append(w.Events, j.daemon(n))
		}
	}
	j.engine = New(Config{})
	j.engine.Restore(j.now, j.state)
	j.engine.Replace(j.now, w)
}

func (j *joiner) one(phases ...PodPhase) *joined {
	var ids []core.NodeID
	for _, id := range sortedKeys(j.nodes) {
		if slices.Contains(phases, j.nodes[id].phase) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return j.nodes[rapid.SampledFrom(ids).Draw(j.t, "node")]
}

// TestHeldNodesGoAndNoneIsRefused lets nodes come, many at once, go, boot again and pull
// in any order, refuses writes and ends the controller in every state. All that pulls
// was let go, so that nobody is refused; no hold lasts for ever, and in the end the
// books are empty: nothing was set aside twice or forgotten.
func TestHeldNodesGoAndNoneIsRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := core.Units(rapid.IntRange(3, 40).Draw(t, "limit"))
		window := time.Duration(rapid.IntRange(10, 3600).Draw(t, "window")) * time.Second
		j := newJoiner(t, limit, window)
		refuse := func() bool { return rapid.IntRange(0, 9).Draw(t, "refused") == 0 }
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			j.t = t
			switch rapid.SampledFrom([]string{"wait", "arrive", "probe", "decide", "decide", "pull", "pull", "pull", "leave", "reboot", "restart"}).Draw(t, "what") {
			case "wait":
				j.advance(time.Duration(rapid.Int64Range(0, int64(window)/3).Draw(t, "wait")))
			case "arrive":
				j.arrive(rapid.IntRange(1, 12).Draw(t, "nodes"))
			case "probe":
				j.probe()
			case "decide":
				j.decideAndWrite(refuse)
			case "pull":
				if n := j.one(PodBound); n != nil {
					j.pull(n)
				}
			case "leave":
				if n := j.one(PodGated, PodBound, PodPulled); n != nil {
					j.leave(n)
				}
			case "reboot":
				if n := j.one(PodGated, PodBound, PodPulled); n != nil {
					j.reboot(n)
				}
			case "restart":
				j.restart()
			}
			if j.denied > 0 {
				t.Fatalf("%d pulls were refused", j.denied)
			}
		}
		j.finishAll()
	})
}

// finishAll lets time pass until no node is held and all have pulled.
func (j *joiner) finishAll() {
	most := 60 + 20*len(j.nodes)
	for left := most; slices.ContainsFunc(sortedKeys(j.nodes), func(id core.NodeID) bool { return j.nodes[id].phase != PodPulled }); left-- {
		if left == 0 {
			j.t.Fatalf("after %d steps nodes are held or pull still: %+v", most, j.decide())
		}
		j.now = j.now.Add(j.window/4 + 6*time.Second)
		j.probe()
		j.probe() // two in a row, which tell that they cost nothing
		j.decideAndWrite(func() bool { return false })
		for _, id := range sortedKeys(j.nodes) {
			for n := j.nodes[id]; n.phase == PodBound; {
				j.pull(n)
			}
		}
	}
	j.now = j.now.Add(j.window + time.Minute)
	j.probe()
	if v := j.decide().Accounts[0]; j.denied > 0 || v.Reserved+v.Ungated != 0 {
		j.t.Fatalf("%d pulls were refused; %d units stay reserved, %d ungated", j.denied, v.Reserved, v.Ungated)
	}
}

// A node whose release is refused is held still, and what it would have pulled is free.
func TestARefusedNodeTakesNothing(t *testing.T) {
	t.Parallel()
	m := growing(1, nil, nil)
	m.observe(Event{Group: &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Images: []ImageUse{hubUse("agent"), hubUse("side")}}})
	m.observe(Event{Pod: &Pod{ID: "node", Group: "nodes", Phase: PodGated, Node: "n0", Created: m.now}})
	d := m.decide()
	want := Release{Group: "nodes", Count: 1, Reason: core.Budget, Pods: []core.PodID{"node"}, Cost: []Cost{{hub, 2}}}
	i := slices.IndexFunc(d.Releases, func(r Release) bool { return r.Group == "nodes" })
	if i < 0 {
		t.Fatalf("the node does not go: %+v", d)
	}
	if diff := cmp.Diff(want, d.Releases[i]); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	m.observe(Event{Released: &Booking{Pod: "node", Decision: d.ID}})
	if got := m.decide().Accounts[0].Reserved; got != 2 {
		t.Errorf("%d units are set aside for a node that goes, want 2", got)
	}
	m.observe(Event{Refused: "node"})
	d = m.decide()
	if got := d.Accounts[0].Reserved; got != 0 {
		t.Errorf("%d units stay set aside for a node that is held", got)
	}
	held := slices.IndexFunc(d.Holds, func(h Hold) bool { return h.Group == "nodes" })
	if held < 0 || d.Holds[held].Reason != core.ReleaseRefused {
		t.Errorf("holds %+v, want the node for a refused release", d.Holds)
	}
}

// Pods that wait for what a held node needs are told so.
func TestPodsWaitBehindAHeldNode(t *testing.T) {
	t.Parallel()
	m := growing(1, nil, nil)
	m.observe(Event{Node: &Node{ID: "cold"}})
	m.observe(Event{Pool: &Pool{ID: "all", Nodes: []core.NodeID{"cold"}}})
	for i := range 9 {
		m.charged = append(m.charged, m.now.Add(time.Duration(i)*time.Second-time.Minute))
	}
	m.advance(time.Minute)
	m.probe()
	m.observe(Event{Group: &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Images: []ImageUse{hubUse("agent"), hubUse("side")}}})
	m.observe(Event{Pod: &Pod{ID: "node", Group: "nodes", Phase: PodGated, Node: "cold", Created: m.now, HoldUntil: m.now.Add(2 * time.Hour)}})
	d := m.decide()
	var got []core.Reason
	for _, h := range d.Holds {
		got = append(got, h.Reason)
	}
	if diff := cmp.Diff([]core.Reason{core.WaitingForBudget, core.NodeHeld}, got); diff != "" {
		t.Errorf("one unit is left, the node needs two and the pods one (-want +got):\n%s", diff)
	}
}
