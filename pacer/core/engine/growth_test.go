package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// hubUse is an image that the hub charges.
func hubUse(image core.Image) ImageUse {
	return ImageUse{Image: image, Accounts: []core.AccountID{hub}}
}

// growing is a machine of nodes that hold the image app, in a pool that grows, with
// twenty held pods of web, of which the nodes take what room says.
func growing(nodes int, growth *Growth, room *Room) *machine {
	m := newMachine(10, time.Hour, nodes, quota.Settings{})
	ids := m.world.Events[len(m.world.Events)-1].Pool.Nodes
	for _, id := range ids {
		m.observe(Event{Node: &Node{ID: id, Images: []core.Image{"app"}}})
	}
	for _, image := range []core.Image{"app", "agent", "side"} {
		m.observe(Event{Shape: &ImageShape{Image: image, Manifests: 1}})
	}
	m.observe(Event{Pool: &Pool{ID: "all", Nodes: ids, Growth: growth}})
	m.observe(Event{Group: &Group{ID: "web", Namespace: "shop", Workload: "web", Class: core.ClassRollout, Pool: "all", Room: room, Images: []ImageUse{hubUse("app")}}})
	for range 20 {
		m.create("web")
	}
	m.advance(10 * time.Second)
	m.probe()
	return m
}

// All nodes hold the image: pods that find room there cost nothing, and each of those
// beyond may bring a cold node, with all that such a node pulls.
func TestPodsBeyondTheRoomPayForTheNodesThatTheyMayBring(t *testing.T) {
	t.Parallel()
	bundle := &Growth{Bundle: []ImageUse{hubUse("agent"), hubUse("side")}}
	tests := map[string]struct {
		growth *Growth
		room   *Room
		want   []Release // without the nodes that are preferred
	}{
		"a pool that does not grow": {nil, &Room{}, []Release{{Group: "web", Count: 20, Reason: core.Warm}}},
		"room that nobody knows of": {bundle, nil, []Release{{Group: "web", Count: 20, Reason: core.Warm}}},
		"room for all":              {bundle, &Room{Pods: 20, Nodes: 4}, []Release{{Group: "web", Count: 20, Reason: core.Warm}}},
		"no room":                   {&Growth{}, &Room{}, []Release{{Group: "web", Count: 10, Reason: core.Budget, Cost: []Cost{{hub, 10}}}}},
		"room for four": {&Growth{}, &Room{Pods: 4, Nodes: 2}, []Release{
			{Group: "web", Count: 14, Reason: core.Budget, Cost: []Cost{{hub, 10}}}}},
		"no room, and nodes with a bundle of two": {bundle, &Room{}, []Release{{Group: "web", Count: 3, Reason: core.Budget, Cost: []Cost{{hub, 9}}}}},
		"nodes that come with all":                {&Growth{Bundle: bundle.Bundle, Images: []core.Image{"app", "agent", "side"}}, &Room{}, []Release{{Group: "web", Count: 20, Reason: core.Warm}}},
		"nodes that come with the image":          {&Growth{Bundle: bundle.Bundle, Images: []core.Image{"app"}}, &Room{}, []Release{{Group: "web", Count: 5, Reason: core.Budget, Cost: []Cost{{hub, 10}}}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := growing(4, tc.growth, tc.room).decide()
			for i := range d.Releases {
				d.Releases[i].Nodes = nil
			}
			if diff := cmp.Diff(tc.want, d.Releases); diff != "" {
				t.Errorf("releases (-want +got):\n%s", diff)
			}
		})
	}
}

// A new node is of some egress group, and draws on the accounts of that one alone.
func TestNewNodesDrawOnTheAccountsOfTheirEgress(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		egress []string
		want   []core.AccountID
	}{
		"any":             {nil, []core.AccountID{"a", "b", "rest"}},
		"one":             {[]string{"b"}, []core.AccountID{"b"}},
		"two":             {[]string{"a", "b"}, []core.AccountID{"a", "b"}},
		"one of no group": {[]string{"c"}, []core.AccountID{"rest"}},
	}
	for name, tc := range tests {
		e := New(Config{})
		for id, egress := range map[core.AccountID]string{"a": "a", "b": "b", "rest": ""} {
			e.Observe(epoch, Event{Account: &Account{ID: id, Egress: egress}})
		}
		use := &ImageUse{Image: "app", Accounts: []core.AccountID{"a", "gone", "b", "rest"}}
		if diff := cmp.Diff(tc.want, e.drawnByNew(&Growth{Egress: tc.egress}, use)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Two groups see the same places: each may find them taken by the other.
func TestRoomIsNotGivenTwice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		room int
		size Size // of a pod of api; one of web asks for 100 m and 1000 bytes
		want core.Units
	}{
		"alike":         {4, Size{MilliCPU: 100, Memory: 1000}, 4 + 4},
		"room for both": {8, Size{MilliCPU: 100, Memory: 1000}, 0},
		"half as large": {8, Size{MilliCPU: 50, Memory: 500}, 4},   // four of web take eight places for api
		"more memory":   {8, Size{MilliCPU: 100, Memory: 4000}, 4}, // four of api take sixteen for web
		"of no size":    {8, Size{}, 0},
	}
	for name, tc := range tests {
		m := growing(4, &Growth{}, &Room{Pods: tc.room, Nodes: 4})
		web := m.engine.groups["web"].Group
		web.Size = Size{MilliCPU: 100, Memory: 1000}
		api := web
		api.ID, api.Workload, api.Size = "api", "api", tc.size
		for _, g := range []Group{web, api} {
			m.observe(Event{Group: &g})
			for i := range 4 {
				m.observe(Event{Pod: &Pod{ID: core.PodID(fmt.Sprintf("%s-%d", g.ID, i)), Group: g.ID, Phase: PodUnbound, Created: m.now, ReleasedAt: m.now}})
			}
		}
		if got := m.reserved(); got != tc.want {
			t.Errorf("%s: %d units are set aside for eight pods and %d places, want %d", name, got, tc.room, tc.want)
		}
	}
	g, large := &group{Group: Group{Size: Size{MilliCPU: 100, Memory: 1000}}}, &group{Group: Group{Size: Size{MilliCPU: 50, Memory: 2500}}}
	if got := g.takenBy(large); got != 3 {
		t.Errorf("a pod of two and a half times the memory takes %d places, want 3", got)
	}
}

// Four pods go that find no room. A node is asked for that takes thirty, comes, and
// takes them: what is set aside narrows at each step, and nothing is set aside twice.
func TestAComingNodeHandsOnWhatIsSetAsideForIt(t *testing.T) {
	t.Parallel()
	growth := &Growth{Bundle: []ImageUse{hubUse("agent")}}
	m := growing(2, growth, &Room{})
	for _, id := range m.held("web")[4:] {
		m.observe(Event{PodGone: id})
		delete(m.pods, id)
	}
	want := func(step string, units core.Units) {
		t.Helper()
		if d := m.decide(); d.Accounts[0].Reserved+d.Accounts[0].Ungated != units {
			t.Fatalf("%s: %d units reserved and %d ungated, want %d in all", step, d.Accounts[0].Reserved, d.Accounts[0].Ungated, units)
		}
	}
	m.carryOut(m.decide())
	want("four pods may bring four nodes, each with the image and the bundle", 8)

	web := m.engine.groups["web"].Group
	m.observe(Event{Group: &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Images: growth.Bundle}})
	m.observe(Event{Node: &Node{ID: "claim/1", Coming: true}})
	m.observe(Event{Pool: &Pool{ID: "all", Nodes: []core.NodeID{"n0", "n1", "claim/1"}, Growth: growth}})
	web.Room = &Room{Pods: 30, Nodes: 1}
	m.observe(Event{Group: &web})
	m.observe(Event{Pod: &Pod{ID: "claim/1", Group: "nodes", Phase: PodBound, Node: "claim/1", Created: m.now}})
	want("one node is asked for that takes them all", 2)

	m.observe(Event{NodeGone: "claim/1"})
	m.observe(Event{PodGone: "claim/1"})
	m.observe(Event{Node: &Node{ID: "n2"}})
	m.observe(Event{Pool: &Pool{ID: "all", Nodes: []core.NodeID{"n0", "n1", "n2"}, Growth: growth}})
	m.observe(Event{Pod: &Pod{ID: "node/n2", Group: "nodes", Phase: PodBound, Node: "n2", Created: m.now}})
	want("it is there under a name of its own", 2)

	for _, id := range m.phase(PodUnbound, every) {
		m.bind(id, "n2")
	}
	web.Room = &Room{Pods: 26, Nodes: 1}
	m.observe(Event{Group: &web})
	want("the pods are bound to it, and share one pull", 2)
}

// A claim that is taken back frees what was set aside for it at once, where a node that
// goes in the middle of a pull may have been charged.
func TestWhatWasNeverSentIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	for coming, want := range map[bool]core.Units{true: 0, false: 1} {
		m := growing(1, &Growth{}, &Room{Pods: 20, Nodes: 1})
		m.observe(Event{Group: &Group{ID: "nodes", Workload: "NodePool/general", Pinned: true, Pool: "all", Images: []ImageUse{hubUse("agent")}}})
		m.observe(Event{Node: &Node{ID: "new", Coming: coming}})
		m.observe(Event{Pod: &Pod{ID: "new", Group: "nodes", Phase: PodBound, Node: "new", Created: m.now}})
		if got := m.decide().Accounts[0].Ungated; got != 1 {
			t.Fatalf("coming %v: %d units are expected of it, want 1", coming, got)
		}
		m.observe(Event{PodGone: "new"})
		m.observe(Event{NodeGone: "new"})
		if got := m.decide().Accounts[0].Ungated; got != want {
			t.Errorf("coming %v: %d units stay set aside, want %d", coming, got, want)
		}
	}
}

// TestGrowthLeavesNothingBooked changes a pool, its growth and a group's room in any
// order under pods that wait, and takes all away: the books are empty then.
func TestGrowthLeavesNothingBooked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := growing(2, &Growth{Bundle: []ImageUse{hubUse("agent")}}, &Room{})
		m.carryOut(m.decide())
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			g := m.engine.groups["web"].Group
			switch rapid.SampledFrom([]string{"growth", "room", "pool", "gone", "decide"}).Draw(t, "what") {
			case "growth":
				p := Pool{ID: "all", Nodes: []core.NodeID{"n0", "n1"}}
				if rapid.Bool().Draw(t, "grows") {
					p.Growth = &Growth{Bundle: []ImageUse{hubUse(rapid.SampledFrom([]core.Image{"agent", "side", "app"}).Draw(t, "bundle"))}}
				}
				m.observe(Event{Pool: &p})
			case "room":
				g.Room = nil
				if rapid.Bool().Draw(t, "known") {
					g.Room = &Room{Pods: rapid.IntRange(0, 5).Draw(t, "pods"), Nodes: rapid.IntRange(0, 2).Draw(t, "nodes")}
				}
				m.observe(Event{Group: &g})
			case "pool":
				g.Pool = rapid.SampledFrom([]core.PoolID{"all", "other"}).Draw(t, "pool")
				m.observe(Event{Group: &g})
			case "gone":
				m.observe(Event{PoolGone: "all"})
			case "decide":
				m.decide()
			}
		}
		for _, id := range sortedKeys(m.pods) {
			m.observe(Event{PodGone: id})
		}
		if d := m.decide(); d.Accounts[0].Reserved+d.Accounts[0].Ungated != 0 {
			t.Fatalf("%d units stay reserved, %d ungated", d.Accounts[0].Reserved, d.Accounts[0].Ungated)
		}
	})
}
