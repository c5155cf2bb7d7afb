package engine

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// TestAWorldMayBeToldAsItWasLearned: a node that is asked for is met first, and then the
// node that it became. What came and went again on the way is not in the world: the
// group that both were of is there, and the pull of the second ends with it.
func TestAWorldMayBeToldAsItWasLearned(t *testing.T) {
	t.Parallel()
	bundle := Event{Group: &Group{ID: "bundle", Workload: "Node/general", Pinned: true, Pool: "general", Class: core.ClassNodeCritical, Images: []ImageUse{hubUse("agent")}}}
	member := func(pod core.PodID, node core.NodeID, phase PodPhase) Event {
		return Event{Pod: &Pod{ID: pod, Group: "bundle", Node: node, Phase: phase}}
	}
	e := New(Config{})
	e.Replace(epoch, World{Events: []Event{
		{Account: &Account{ID: hub, Host: "docker.io", Settings: quota.Settings{}}},
		{Node: &Node{ID: "claim", Coming: true}},
		{Pool: &Pool{ID: "general", Nodes: []core.NodeID{"claim"}}}, bundle, member("c", "claim", PodBound),
		{PodGone: "c"}, {GroupGone: "bundle"}, {PoolGone: "general"}, {NodeGone: "claim"},
		{Node: &Node{ID: "n"}}, {Pool: &Pool{ID: "general", Nodes: []core.NodeID{"n"}}}, bundle, member("p", "n", PodBound),
	}})
	open := func() core.Units { return e.Export().Accounts[0].Open }
	if got := open(); got == 0 {
		t.Fatal("nothing is set aside for the node: nothing is proved")
	}
	e.Observe(epoch.Add(time.Minute), Event{Node: &Node{ID: "n", Images: []core.Image{"agent"}}})
	e.Observe(epoch.Add(time.Minute), member("p", "n", PodPulled))
	if got := open(); got != 0 {
		t.Errorf("%d units are set aside for a node that has its images, want none", got)
	}
}
