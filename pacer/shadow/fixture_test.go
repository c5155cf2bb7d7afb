package shadow

import (
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	hub   = core.AccountID("docker.io/anonymous")
	image = core.Image("docker.io/acme/web:1")
	web   = core.GroupID("web")
)

// makeWorld is so many nodes behind one account and a group that runs one image.
func makeWorld(nodes int) engine.World {
	events := []engine.Event{{Account: &engine.Account{ID: hub, Host: "docker.io"}}}
	pool := engine.Pool{ID: "all"}
	for i := range nodes {
		n := engine.Node{ID: nodeID(i)}
		events = append(events, engine.Event{Node: &n})
		pool.Nodes = append(pool.Nodes, n.ID)
	}
	group := engine.Group{ID: web, Namespace: "shop", Workload: "Deployment/shop/web", Pool: "all", Class: core.ClassRollout,
		Images: []engine.ImageUse{{Image: image, Accounts: []core.AccountID{hub}}}}
	return engine.World{Events: append(events, engine.Event{Pool: &pool}, engine.Event{Group: &group},
		engine.Event{Shape: &engine.ImageShape{Image: image, Manifests: 1}})}
}

func nodeID(i int) core.NodeID { return core.NodeID(fmt.Sprintf("n%02d", i)) }
func podID(i int) core.PodID   { return core.PodID(fmt.Sprintf("shop/web-%02d/uid", i)) }

// makePod is pod number i in a phase, on node number i where it is on one.
func makePod(i int, phase engine.PodPhase) engine.Pod {
	p := engine.Pod{ID: podID(i), Group: web, Phase: phase, Created: start}
	if phase == engine.PodBound || phase == engine.PodPulled {
		p.Node = nodeID(i)
	}
	return p
}

// pass is what Shadow let every pod pass with.
var pass = Pass{Policy: "default", Namespace: "shop", Workload: "Deployment/shop/web", Rollout: "Deployment/shop/web@1", HoldUntil: start.Add(24 * time.Hour)}

// reading is what a registry says at a time.
func reading(at time.Time, remaining, limit int64, window time.Duration) engine.Event {
	return engine.Event{Reading: &engine.Reading{Account: hub, Observation: quota.Observation{SentAt: at, Status: 200, Header: quota.Header{
		Limit: core.Units(limit), HasLimit: true, Remaining: core.Units(remaining), HasRemaining: true, Window: window}}}}
}

// pair is an engine that acts and one that only would.
type pair struct {
	acts   *engine.Engine
	shadow *Shadow
	record Record
}

// makePair knows a world and has read that so much is left of 10 a minute.
func makePair(w engine.World, remaining int64) *pair {
	p := &pair{acts: engine.New(engine.Config{}), record: Record{}}
	p.acts.Replace(start.Add(-time.Minute), w)
	p.acts.Observe(start, reading(start.Add(-time.Second), remaining, 10, time.Minute))
	p.shadow = New(start, p.acts, w, p.record)
	return p
}

// observe is what a turn does with an event.
func (p *pair) observe(now time.Time, events ...engine.Event) {
	for _, ev := range events {
		p.acts.Observe(now, ev)
		var let *Pass
		if ev.Pod != nil {
			let = &pass
		}
		if ev.Failed != nil && ev.Failed.Class == feedback.Throttled {
			p.record.Throttled(now, pass.Policy)
		}
		p.shadow.Observe(now, ev, let)
	}
}

func (p *pair) total() Counts { return p.record.Of(start, pass.Policy).Total }
