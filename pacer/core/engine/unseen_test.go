package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// TestAPullThatNobodySawIsSetAsideStill lets a pod go, takes a reading, and then sees at
// once that a node came, that it lists the image and that the pod is past its pull there:
// the turn was slow. The reading knows nothing of the pull, so that its unit must stay set
// aside until another does. What a node had before the pod went cost nothing.
func TestAPullThatNobodySawIsSetAsideStill(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before []core.Image // on the node as the pod is let go; nil: it is not there yet
		phases []PodPhase   // in which the pod is seen on the node
		pods   int
		want   core.Units
	}{
		"past its pull on a node that came":    {nil, []PodPhase{PodPulled}, 1, 1},
		"bound first":                          {nil, []PodPhase{PodBound, PodPulled}, 1, 1},
		"three pods that shared the pull":      {nil, []PodPhase{PodPulled}, 3, 1},
		"a node that was there without it":     {[]core.Image{"other"}, []PodPhase{PodPulled}, 1, 1},
		"a node that had it":                   {[]core.Image{"app"}, []PodPhase{PodPulled}, 1, 0},
		"bound first, to a node that had it":   {[]core.Image{"app"}, []PodPhase{PodBound, PodPulled}, 1, 0},
		"three pods on a node that had it":     {[]core.Image{"app"}, []PodPhase{PodPulled}, 3, 0},
		"three pods, bound first and together": {nil, []PodPhase{PodBound, PodPulled}, 3, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(8, time.Minute, 1, quota.Settings{})
			m.group("app", "shop", core.ClassRollout)
			if tc.before != nil {
				m.observe(Event{Node: &Node{ID: "new", Images: tc.before}})
			}
			m.advance(10 * time.Second)
			for range tc.pods {
				m.create("app")
			}
			m.probe()
			m.carryOut(m.decide())
			m.advance(6 * time.Second)
			m.probe()
			m.advance(2 * time.Second)
			m.observe(Event{Node: &Node{ID: "new", Images: append([]core.Image{"app"}, tc.before...)}})
			for _, phase := range tc.phases {
				for _, id := range sortedKeys(m.pods) {
					m.pods[id].Phase, m.pods[id].Node = phase, "new"
					m.see(m.pods[id])
				}
			}
			if got := m.reserved(); got != tc.want {
				t.Errorf("%d units are set aside, want %d", got, tc.want)
			}
			m.advance(20 * time.Second)
			m.probe()
			if got := m.reserved(); got != 0 {
				t.Errorf("%d units are set aside after a reading that knows of all, want none", got)
			}
		})
	}
}

// Nodes have the image by now, and no pod was seen on any of them: nodes and pods are
// watched apart. What the pods may have pulled there stays set aside until a reading knows
// of it, or until the pods are seen; then it is that of a pull which ended.
func TestWhatMadeANodeWarmIsSetAsideStill(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then func(*machine)
		want core.Units
	}{
		"nothing more is seen":  {func(*machine) {}, 4},
		"a reading, too soon":   {(*machine).probe, 4},
		"a reading that knows":  {func(m *machine) { m.advance(10 * time.Second); m.probe() }, 2},
		"nobody reads any more": {func(m *machine) { m.advance(unseenFor) }, 2},
		"its pod, which pulled": {func(m *machine) {
			p := m.pods[sortedKeys(m.pods)[0]]
			p.Phase, p.Node = PodPulled, "n0"
			m.see(p)
		}, 4},
		"one lost it and has it again": {func(m *machine) {
			m.observe(Event{Node: &Node{ID: "n0"}})
			m.observe(Event{Node: &Node{ID: "n0", Images: []core.Image{"app"}}})
			m.observe(Event{NodeGone: "n1"})
		}, 3},
		"a node goes": {func(m *machine) { m.observe(Event{NodeGone: "n0"}) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(8, time.Minute, 4, quota.Settings{})
			m.group("app", "shop", core.ClassRollout)
			m.advance(10 * time.Second)
			for range 4 {
				m.create("app")
			}
			m.probe()
			m.carryOut(m.decide())
			m.advance(6 * time.Second)
			for _, id := range []core.NodeID{"n0", "n1"} {
				m.observe(Event{Node: &Node{ID: id, Images: []core.Image{"app"}}})
			}
			tc.then(m)
			if got := m.reserved(); got != tc.want {
				t.Errorf("%d units are set aside, want %d", got, tc.want)
			}
		})
	}
}

// A node that was asked for is first seen with its whole bundle, which was set aside for
// it: that stays so until a reading knows of it. One that is seen first with images that
// nothing started from brought them with it.
func TestABundleThatNobodySawBeingPulled(t *testing.T) {
	t.Parallel()
	for phases, want := range map[PodPhase]core.Units{PodPulled: 2, PodBound: 0} {
		m := growing(2, &Growth{}, &Room{Pods: 20, Nodes: 2})
		m.observe(Event{Group: &Group{ID: "nodes", Workload: "NodePool/general", Class: core.ClassNodeCritical, Pinned: true, Pool: "all", Images: []ImageUse{hubUse("agent"), hubUse("side")}}})
		m.observe(Event{Node: &Node{ID: "claim", Coming: true}})
		m.observe(Event{Pod: &Pod{ID: "claim", Group: "nodes", Phase: PodBound, Node: "claim", Created: m.now}})
		asked := m.now
		m.advance(20 * time.Second)
		m.observe(Event{NodeGone: "claim"})
		m.observe(Event{PodGone: "claim"})
		m.observe(Event{Node: &Node{ID: "new", Images: []core.Image{"agent", "side"}}})
		m.observe(Event{Pod: &Pod{ID: "node", Group: "nodes", Phase: phases, Node: "new", Created: asked}})
		if got := m.decide().Accounts[0].Ungated; got != want {
			t.Errorf("first seen %s: %d units are expected, want %d", phases, got, want)
		}
		m.observe(Event{Pod: &Pod{ID: "node", Group: "nodes", Phase: PodPulled, Node: "new", Created: asked}})
		if got := m.decide().Accounts[0].Ungated; got != want {
			t.Errorf("first seen %s, then past its pulls: %d units are expected, want %d", phases, got, want)
		}
	}
}

// What a node gained is remembered for as long as the node lists it.
func TestANodeRemembersNoMoreThanItLists(t *testing.T) {
	t.Parallel()
	m := newMachine(8, time.Minute, 1, quota.Settings{})
	for i := range 100 {
		m.advance(time.Second)
		m.observe(Event{Node: &Node{ID: "n0", Images: []core.Image{core.Image(fmt.Sprint("job", i)), core.Image(fmt.Sprint("job", i+1))}}})
	}
	if got := len(m.engine.fleet.find("n0").gained); got != 2 {
		t.Errorf("%d images are remembered of two that are listed", got)
	}
}
