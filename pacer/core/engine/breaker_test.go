package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// failer drives a small cluster of which pulls fail at random, and remembers by itself
// which pods went while a breaker tried one.
type failer struct {
	*machine
	groups []Event
	shown  map[core.PodID]*PullFailed // what pods show
	tried  map[core.PodID]time.Time   // that went as the one of the account
	last   time.Time
}

func newFailer(nodes int, settings quota.Settings) *failer {
	f := &failer{machine: newMachine(1000, 10*time.Minute, nodes, settings), shown: map[core.PodID]*PullFailed{}, tried: map[core.PodID]time.Time{}}
	for i := range 2 {
		for _, ev := range f.groupEvents(fmt.Sprintf("g%d", i), "shop", core.ClassRollout) {
			if ev.Group != nil {
				ev.Group.Workload, ev.Group.Revision = "Deployment/shop/"+string(ev.Group.ID), "1"
			}
			f.groups = append(f.groups, ev)
			f.observe(ev)
		}
	}
	return f
}

// restart ends the engine and begins another one with what was kept and with the world,
// in which pods show what failed last.
func (f *failer) restart(kept bool) {
	state := f.engine.Export()
	w := World{Events: append(slices.Clone(f.world.Events), f.groups...)}
	for _, id := range sortedKeys(f.pods) {
		pod := f.pods[id].Pod
		w.Events = append(w.Events, Event{Pod: &pod})
		if shown := f.shown[id]; shown != nil {
			again := *shown
			again.At = f.now
			w.Events = append(w.Events, Event{Failed: &again})
		}
	}
	f.engine = New(Config{})
	if kept {
		f.engine.Restore(f.now, state)
	}
	f.engine.Replace(f.now, w)
}

// gone deletes a pod.
func (f *failer) gone(id core.PodID) {
	delete(f.pods, id)
	delete(f.shown, id)
	f.observe(Event{PodGone: id})
}

func (f *failer) pulled(id core.PodID) {
	delete(f.shown, id)
	f.finish(id)
}

func (f *failer) fails(id core.PodID, failure feedback.Failure, at time.Time) {
	failed := &PullFailed{Pod: id, Image: f.pods[id].image, Account: hub, At: at, Failure: failure}
	f.shown[id] = failed
	f.observe(Event{Failed: failed})
}

// turn decides, checks what breakers allow, and carries it out.
func (f *failer) turn(t *rapid.T) Decision {
	d := f.engine.Decide(f.now)
	if d.At.Before(f.last) {
		t.Fatalf("time ran backwards: %v after %v", d.At, f.last)
	}
	f.last = d.At
	breaker := d.Accounts[0].Breaker
	if breaker.State == feedback.Paused && breaker.Until.IsZero() {
		t.Fatal("paused without an end")
	}
	paced := 0
	for _, r := range d.Releases {
		if r.Reason == core.Budget || r.Reason == core.FailOpen {
			paced += r.Count
		}
	}
	switch {
	case breaker.State == feedback.Paused && paced > 0:
		t.Fatalf("%d pods go while the account is paused", paced)
	case breaker.State == feedback.Trying && paced > 1:
		t.Fatalf("%d pods go at once while one is tried", paced)
	case breaker.State == feedback.Trying && paced == 1:
		for id, at := range f.tried {
			p := f.pods[id]
			if p != nil && p.Phase != PodPulled && f.shown[id] == nil && f.now.Sub(at) < trialFor {
				t.Fatalf("another pod goes while %s is tried", id)
			}
		}
	case breaker.State == feedback.OK:
		clear(f.tried)
	}
	for _, h := range d.Holds {
		if !d.Wake.After(d.At) {
			t.Fatalf("%s is held and there is no wake", h.Group)
		}
	}
	before := f.phase(PodUnbound, every)
	f.carryOut(d)
	if breaker.State == feedback.Trying && paced == 1 {
		for _, id := range f.phase(PodUnbound, func(p *machinePod) bool { return !slices.Contains(before, p.ID) }) {
			f.tried[id] = f.now
		}
	}
	return d
}

// anyFailure draws a failure of any class.
func anyFailure(t *rapid.T) feedback.Failure {
	f := feedback.Failure{Class: rapid.SampledFrom(feedback.Classes()).Draw(t, "class")}
	if f.Class == feedback.Throttled {
		f.Kind = rapid.SampledFrom(feedback.Kinds()).Draw(t, "kind")
		f.RetryAfter = rapid.SampledFrom([]time.Duration{0, 0, time.Second, time.Minute, 1000 * time.Hour}).Draw(t, "retryAfter")
	}
	return f
}

// TestBreakersWhateverFails has pulls fail at random, of any class and as often, events
// come twice, late or never, clocks step and the engine begin anew in every state. What
// breakers allow must hold in each turn; and when all goes well again, all pods go.
func TestBreakersWhateverFails(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var settings quota.Settings
		if rapid.Bool().Draw(t, "declared") {
			settings.Fixed = &quota.Fixed{Pulls: 1000, Window: 10 * time.Minute}
		}
		nodes := rapid.IntRange(1, 12).Draw(t, "nodes")
		f := newFailer(nodes, settings)
		node := func() core.NodeID { return core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))) }
		some := func(phase PodPhase, do func(core.PodID)) {
			if ids := f.phase(phase, every); len(ids) > 0 {
				do(rapid.SampledFrom(ids).Draw(t, "pod"))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				f.now = f.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "ms")) * time.Millisecond)
			},
			"create": func(t *rapid.T) { f.create(fmt.Sprintf("g%d", rapid.IntRange(0, 1).Draw(t, "group"))) },
			"probe":  func(*rapid.T) { f.probe() },
			"turn":   func(t *rapid.T) { f.turn(t) },
			"bind":   func(t *rapid.T) { some(PodUnbound, func(id core.PodID) { f.bind(id, node()) }) },
			"finish": func(*rapid.T) { some(PodBound, f.pulled) },
			"fail":   func(t *rapid.T) { some(PodBound, func(id core.PodID) { f.fails(id, anyFailure(t), f.now) }) },
			"failLost": func(t *rapid.T) {
				some(PodBound, func(id core.PodID) {
					f.shown[id] = &PullFailed{Pod: id, Image: f.pods[id].image, Account: hub, Failure: anyFailure(t)}
				})
			},
			"failLate": func(t *rapid.T) {
				some(PodBound, func(id core.PodID) {
					f.fails(id, anyFailure(t), f.now.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "s"))*time.Second))
				})
			},
			"failTwice": func(t *rapid.T) {
				some(PodBound, func(id core.PodID) {
					f.fails(id, anyFailure(t), f.now)
					once := f.engine.Decide(f.now)
					f.observe(Event{Failed: f.shown[id]})
					again := f.engine.Decide(f.now)
					once.ID = again.ID // of the number of events
					if diff := cmp.Diff(once, again); diff != "" {
						t.Fatalf("the same failure twice (-once +twice):\n%s", diff)
					}
				})
			},
			"probeFails": func(t *rapid.T) {
				status := rapid.SampledFrom([]int{0, 429, 503, 401}).Draw(t, "status")
				f.observe(Event{Reading: &Reading{Account: hub, Observation: quota.Observation{SentAt: f.now, Status: status}}})
			},
			"clockSteps": func(t *rapid.T) {
				real := f.now
				f.now = f.now.Add(-time.Duration(rapid.IntRange(1, 7200).Draw(t, "s")) * time.Second)
				f.engine.Decide(f.now)
				f.now = real
			},
			"recreate": func(*rapid.T) {
				some(PodBound, func(id core.PodID) {
					group := string(f.pods[id].Group)
					f.gone(id)
					f.create(group)
				})
			},
			"restart": func(t *rapid.T) { f.restart(rapid.Bool().Draw(t, "kept")) },
			"resume": func(t *rapid.T) {
				f.now = f.now.Add(time.Millisecond) // the same order again is none
				account := *f.world.Events[0].Account
				account.Resumed = f.now
				f.observe(Event{Account: &account})
				if d := f.engine.Decide(f.now); d.Accounts[0].Breaker.State != feedback.OK && !d.Accounts[0].Breaker.Cause.Head {
					t.Fatalf("a person resumed it, and it is %s", d.Accounts[0].Breaker.State)
				}
			},
		})
		f.endsWell(t)
	})
}

// endsWell has nothing fail any more: within a day of the longest pause that an answer
// could ask for, every pod must have gone and every breaker be closed.
func (f *failer) endsWell(t *rapid.T) {
	f.now = f.now.Add(3 * time.Hour) // what clocks that ran ahead said is over
	for range 36 * 60 {
		f.now = f.now.Add(time.Minute)
		for _, id := range f.phase(PodBound, every) {
			f.pulled(id)
		}
		f.probe()
		f.turn(t)
		for i, id := range f.phase(PodUnbound, every) {
			f.bind(id, core.NodeID(fmt.Sprintf("n%d", i%(len(f.world.Events)-2))))
		}
		if len(f.phase(PodGated, every)) == 0 && len(f.phase(PodUnbound, every)) == 0 && len(f.phase(PodBound, every)) == 0 {
			return
		}
	}
	d := f.engine.Decide(f.now)
	t.Fatalf("%d pods are held for ever: %+v\n%+v\n%+v", len(f.phase(PodGated, every)), d.Holds, d.Accounts[0].Breaker, d.Failing)
}

// TestARestartWhileOneIsTried begins anew while a pod is on its way that tries whether
// the account is well: no other one goes before that one is through.
func TestARestartWhileOneIsTried(t *testing.T) {
	t.Parallel()
	f := newFailer(8, quota.Settings{})
	goes := func() int {
		f.now = f.now.Add(30 * time.Second)
		f.probe()
		d := f.engine.Decide(f.now)
		f.carryOut(d)
		return len(f.phase(PodUnbound, every))
	}
	first := f.create("g0")
	goes()
	f.bind(first, "n0")
	f.fails(first, throttled, f.now)
	f.create("g0")
	f.create("g0")
	if n := goes(); n != 1 {
		t.Fatalf("%d pods went as the one that is tried", n)
	}
	f.restart(true)
	for range 3 {
		if n := goes(); n != 1 {
			t.Fatalf("%d pods are on their way after a restart, want the one that was tried", n)
		}
	}
	one := f.phase(PodUnbound, every)[0]
	f.bind(one, "n1")
	f.pulled(one)
	if n := goes(); n != 1 {
		t.Errorf("%d pods went after the one was through, want one", n)
	}
}

// TestANodeThatIsToBlameIsNotPreferred: of the nodes that hold the image already those
// are named that pull well.
func TestANodeThatIsToBlameIsNotPreferred(t *testing.T) {
	t.Parallel()
	f := newFailer(4, quota.Settings{})
	for i := range 2 {
		f.observe(Event{Node: &Node{ID: core.NodeID(fmt.Sprintf("n%d", i)), Images: []core.Image{"g0"}}})
	}
	f.now = f.now.Add(30 * time.Second)
	f.probe()
	bad := f.create("g1")
	f.carryOut(f.engine.Decide(f.now))
	f.bind(bad, "n1")
	f.fails(bad, feedback.Failure{Class: feedback.Disk}, f.now)
	f.create("g0")
	d := f.engine.Decide(f.now)
	if len(d.Failing) != 1 || d.Failing[0].Node != "n1" || d.Failing[0].Cause.Class != feedback.Disk {
		t.Fatalf("failing: %+v, want n1", d.Failing)
	}
	if len(d.Releases) != 1 || !slices.Equal(d.Releases[0].Nodes, []core.NodeID{"n0"}) {
		t.Errorf("released %+v, want one that prefers n0", d.Releases)
	}
}

// TestAnOrderToGoOnCoversWhatWasUnderWay: a pull that was under way when a person ordered
// to go on is seen to fail after it, and pauses nothing; one that fails again does, and
// so does one that was let go since.
func TestAnOrderToGoOnCoversWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	again := map[string]func(f *failer, old core.PodID) core.PodID{
		"the same pod fails again": func(_ *failer, old core.PodID) core.PodID { return old },
		"one that went since": func(f *failer, _ core.PodID) core.PodID {
			id := f.create("g1")
			f.probe()
			f.carryOut(f.engine.Decide(f.now))
			f.bind(id, "n2")
			return id
		},
	}
	for name, then := range again {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFailer(4, quota.Settings{})
			f.now = f.now.Add(30 * time.Second)
			f.probe()
			one, two := f.create("g0"), f.create("g0")
			f.carryOut(f.engine.Decide(f.now))
			f.bind(one, "n0")
			f.bind(two, "n1")
			late := throttled
			late.RetryAfter = 10 * time.Minute
			f.fails(one, late, f.now)
			if v := f.engine.Decide(f.now).Accounts[0].Breaker; v.State != feedback.Paused {
				t.Fatalf("the breaker is %s after a 429", v.State)
			}
			f.now = f.now.Add(time.Second)
			f.observe(Event{Account: &Account{ID: hub, Host: "docker.io", Resumed: f.now}})
			f.now = f.now.Add(time.Second)
			f.fails(two, late, f.now)
			if v := f.engine.Decide(f.now).Accounts[0].Breaker; v.State != feedback.OK {
				t.Errorf("the breaker is %s for what was under way before the order", v.State)
			}
			f.now = f.now.Add(time.Second)
			f.fails(then(f, two), late, f.now)
			if v := f.engine.Decide(f.now).Accounts[0].Breaker; v.State != feedback.Paused {
				t.Errorf("the breaker is %s after a refusal since the order", v.State)
			}
		})
	}
}
