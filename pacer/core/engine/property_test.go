package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// TestNeverThrottledWhateverHappens drives a cluster at random. Every pull passes
// the gate and the header is honest, so not one may be refused; every hold must
// have a Reason of the list and an end in sight; what a decision releases must fit
// into what its own books say; and the trace must give the same bytes again.
func TestNeverThrottledWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := core.Units(rapid.IntRange(1, 30).Draw(t, "limit"))
		window := time.Duration(rapid.IntRange(10, 7200).Draw(t, "window")) * time.Second
		percent := rapid.SampledFrom([]int{0, 5, 20}).Draw(t, "percent")
		nodes := rapid.IntRange(1, 70).Draw(t, "nodes")
		m := newMachine(limit, window, nodes, quota.Settings{ReservePercent: percent})
		for i, class := range []core.Class{core.ClassServing, core.ClassRollout, core.ClassRollout, core.ClassCI} {
			m.group(fmt.Sprintf("g%d", i), fmt.Sprintf("ns%d", i%3), class)
		}
		decisions := 0
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				m.advance(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "ms")) * time.Millisecond)
			},
			"waitLong": func(*rapid.T) { m.advance(window / 3) },
			"create":   func(t *rapid.T) { m.create(fmt.Sprintf("g%d", rapid.IntRange(0, 3).Draw(t, "group"))) },
			"probe":    func(*rapid.T) { m.probe() },
			"export": func(*rapid.T) {
				m.trace = append(m.trace, Record{At: m.now, Export: true})
				m.engine.Export()
			},
			"decide": func(t *rapid.T) {
				d := m.decide()
				checkDecision(t, m, d)
				decisions++
				m.carryOut(d)
			},
			"decideLate": func(t *rapid.T) {
				d := m.decide()
				checkDecision(t, m, d)
				decisions++
				m.carryOutFirst(d, rapid.IntRange(0, 5).Draw(t, "in time"))
			},
			"bind": func(t *rapid.T) {
				if ids := m.phase(PodUnbound, every); len(ids) > 0 {
					m.bind(rapid.SampledFrom(ids).Draw(t, "pod"), core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))))
				}
			},
			"leap": func(t *rapid.T) {
				if ids := m.phase(PodUnbound, every); len(ids) > 0 {
					m.leap(rapid.SampledFrom(ids).Draw(t, "pod"), core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))))
				}
			},
			"finish": func(t *rapid.T) {
				if ids := m.phase(PodBound, every); len(ids) > 0 {
					m.finish(rapid.SampledFrom(ids).Draw(t, "pod"))
				}
			},
			"delete": func(t *rapid.T) {
				if ids := m.phase(PodGated, every); len(ids) > 0 {
					id := rapid.SampledFrom(ids).Draw(t, "pod")
					delete(m.pods, id)
					m.observe(Event{PodGone: id})
				}
			},
			"": func(t *rapid.T) {
				if m.denied > 0 {
					t.Fatalf("%d pulls were refused", m.denied)
				}
			},
		})
		checkReplay(t, m.trace, decisions)
	})
}

func checkDecision(t *rapid.T, m *machine, d Decision) {
	spent := map[core.Class]core.Units{}
	for _, r := range d.Releases {
		for _, c := range r.Cost {
			if r.Reason == core.Budget {
				spent[m.engine.groups[r.Group].Class] += c.Units
			}
		}
	}
	for class, units := range spent {
		if free := d.Accounts[0].Available[class]; units > free {
			t.Fatalf("class %v is given %d units of %d", class, units, free)
		}
	}
	for _, h := range d.Holds {
		info, known := h.Reason.Info()
		if !known || info.Answer != core.Held {
			t.Fatalf("hold with reason %q", h.Reason)
		}
		if !d.Wake.After(m.now) {
			t.Fatalf("a hold and no wake after now: %v", d.Wake)
		}
	}
}

func checkReplay(t *rapid.T, trace []Record, decisions int) {
	var text []byte
	for _, r := range append([]Record{{At: epoch, Begin: &Begin{Version: "v1"}}}, trace...) {
		line, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, line...)
	}
	records, err := DecodeTrace(text)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := Check(records)
	if err != nil {
		t.Fatal(err)
	}
	if d := checked.First; d != nil {
		t.Fatalf("the same trace decides otherwise:\n%s\n%s", d.Recorded, d.Replayed)
	}
	if checked.Decisions != decisions || checked.Calls != len(trace) {
		t.Fatalf("%d decisions of %d calls were compared, want %d of %d", checked.Decisions, checked.Calls, decisions, len(trace))
	}
	if again := Replay(Config{}, records); len(again) != decisions {
		t.Fatalf("%d decisions, want %d", len(again), decisions)
	}
}

func encode(t *rapid.T, decisions []Decision) []byte {
	text, err := json.Marshal(decisions)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOrderOfInputDoesNotMatter gives the same world in two orders.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := []Event{
			{Account: &Account{ID: hub, Host: "docker.io"}},
			{Account: &Account{ID: "quay", Host: "quay.io"}},
		}
		var nodes []core.NodeID
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			id := core.NodeID(fmt.Sprintf("n%d", i))
			nodes = append(nodes, id)
			images := rapid.SliceOfDistinct(rapid.SampledFrom([]core.Image{"g0", "g1", "g2"}), rapid.ID[core.Image]).Draw(t, "images")
			events = append(events, Event{Node: &Node{ID: id, Images: images}})
		}
		events = append(events, Event{Pool: &Pool{ID: "all", Nodes: nodes}})
		for g := range 3 {
			id := fmt.Sprintf("g%d", g)
			events = append(events,
				Event{Shape: &ImageShape{Image: core.Image(id), Manifests: 1 + g%2}},
				Event{Group: &Group{ID: core.GroupID(id), Namespace: id, Class: core.ClassRollout, Pool: "all",
					Images: []ImageUse{{Image: core.Image(id), Accounts: []core.AccountID{hub}}, {Image: "side", Accounts: []core.AccountID{"quay"}}}}})
			for p := range rapid.IntRange(0, 6).Draw(t, "pods") {
				phase := rapid.SampledFrom([]PodPhase{PodGated, PodGated, PodUnbound, PodBound, PodPulled}).Draw(t, "phase")
				events = append(events, Event{Pod: &Pod{ID: core.PodID(fmt.Sprintf("p%d-%d", g, p)), Group: core.GroupID(id), Phase: phase,
					Created: epoch, Node: rapid.SampledFrom(nodes).Draw(t, "node")}})
			}
		}
		if a, b := decideOn(t, events), decideOn(t, rapid.Permutation(events).Draw(t, "order")); !bytes.Equal(a, b) {
			t.Fatalf("the order of the input decides:\n%s\n%s", a, b)
		}
	})
}

func decideOn(t *rapid.T, events []Event) []byte {
	e := New(Config{})
	e.Replace(epoch, World{Events: events})
	for _, account := range []core.AccountID{hub, "quay"} {
		e.Observe(epoch.Add(10*time.Second), Event{Reading: &Reading{Account: account, Observation: quota.Observation{
			SentAt: epoch.Add(10 * time.Second), Status: 200,
			Header: quota.Header{Limit: 20, HasLimit: true, Remaining: 7, HasRemaining: true, Window: time.Hour},
		}}})
	}
	return encode(t, []Decision{e.Decide(epoch.Add(11 * time.Second))})
}

// TestMoreIsNeverLater runs two rollouts side by side that differ in the limit
// alone: with more left at every reading, no fewer pods are ever released.
func TestMoreIsNeverLater(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pods := rapid.IntRange(1, 60).Draw(t, "pods")
		less := core.Units(rapid.IntRange(1, 20).Draw(t, "limit"))
		more := less + core.Units(rapid.IntRange(0, 20).Draw(t, "more"))
		window := time.Duration(rapid.IntRange(60, 600).Draw(t, "window")) * time.Second
		a, b := newMachine(less, window, pods, quota.Settings{}), newMachine(more, window, pods, quota.Settings{})
		for _, m := range []*machine{a, b} {
			m.group("app", "shop", core.ClassRollout)
			for range pods {
				m.create("app")
			}
		}
		for step := range 400 {
			for _, m := range []*machine{a, b} {
				m.stepRollout()
			}
			if done, richer := pods-len(a.held("app")), pods-len(b.held("app")); richer < done {
				t.Fatalf("step %d: %d released at limit %d, %d at limit %d", step, done, less, richer, more)
			}
		}
	})
}

// TestWholeGroupsGoTogether lets jobs of several pods, each no larger than the
// limit, compete with a rollout: none is ever split, none is refused a pull, and
// every one goes in the end.
func TestWholeGroupsGoTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := core.Units(rapid.IntRange(2, 20).Draw(t, "limit"))
		jobs := rapid.IntRange(1, 5).Draw(t, "jobs")
		const rollout = 30
		m := newMachine(limit, time.Minute, rollout+jobs*int(limit), quota.Settings{ReservePercent: rapid.SampledFrom([]int{0, 20}).Draw(t, "percent")})
		m.group("app", "shop", core.ClassRollout)
		for range rollout {
			m.create("app")
		}
		for j := range jobs {
			name := fmt.Sprintf("job%d", j)
			m.group(name, fmt.Sprintf("ns%d", j%2), rapid.SampledFrom([]core.Class{core.ClassRollout, core.ClassBatch}).Draw(t, "class"))
			g := m.engine.groups[core.GroupID(name)].Group
			g.Whole = true
			m.observe(Event{Group: &g})
			for range rapid.IntRange(1, int(limit)).Draw(t, "pods") {
				m.create(name)
			}
		}
		for range 400 {
			m.stepRollout()
			for j := range jobs {
				name := core.GroupID(fmt.Sprintf("job%d", j))
				pods := 0
				for _, p := range m.pods {
					if p.Group == name {
						pods++
					}
				}
				if held := len(m.held(name)); held > 0 && held < pods {
					t.Fatalf("%s is split: %d of %d are held", name, held, pods)
				}
			}
		}
		if n := len(m.phase(PodGated, every)); n > 0 || m.denied > 0 {
			t.Fatalf("%d pods are held still, %d pulls were refused", n, m.denied)
		}
	})
}

// TestNamespacesShareByWeight lets namespaces with endless demand share one
// account; none may fall behind another of the same weight by more than a pod.
func TestNamespacesShareByWeight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const namespaces, pods = 4, 30
		m := newMachine(core.Units(rapid.IntRange(1, 25).Draw(t, "limit")), time.Minute, namespaces*pods, quota.Settings{})
		var groups []string
		for ns := range namespaces {
			// A namespace does not get more by having more workloads.
			for w := range 1 + rapid.IntRange(0, 2).Draw(t, "workloads") {
				name := fmt.Sprintf("g%d-%d", ns, w)
				m.group(name, fmt.Sprintf("ns%d", ns), core.ClassRollout)
				groups = append(groups, name)
				for range pods {
					m.create(name)
				}
			}
		}
		for range 30 {
			m.stepRollout()
			released := make([]int, namespaces)
			for _, p := range m.pods {
				if p.Phase != PodGated {
					released[slices.Index([]string{"g0", "g1", "g2", "g3"}, string(p.Group[:2]))]++
				}
			}
			if slices.Max(released) >= pods {
				return // one has nothing left to ask for
			}
			if gap := slices.Max(released) - slices.Min(released); gap > 1 {
				t.Fatalf("released %v by namespace, groups %v", released, groups)
			}
		}
	})
}

// A rollout of ten pods over ten nodes, of which three lack the old image: three
// units are left for going back, until the rollout is complete.
func TestRollbackOfALiveRolloutIsKeptFree(t *testing.T) {
	t.Parallel()
	m := newMachine(8, time.Hour, 10, quota.Settings{RollbackReserve: true})
	for i := range 7 {
		m.observe(Event{Node: &Node{ID: core.NodeID(fmt.Sprintf("n%d", i)), Images: []core.Image{"old"}}})
	}
	m.observe(Event{Shape: &ImageShape{Image: "old", Manifests: 1}})
	m.group("app", "shop", core.ClassRollout)
	g := m.engine.groups["app"].Group
	g.Back = []ImageUse{{Image: "old", Accounts: []core.AccountID{hub}}}
	m.observe(Event{Group: &g})
	for range 10 {
		m.create("app")
	}
	m.advance(10 * time.Second)
	m.probe()
	if d := m.decide(); len(d.Releases) != 1 || d.Releases[0].Count != 5 {
		t.Errorf("releases %+v, want 5 of 8 units", d.Releases)
	}
	g.Back = nil
	m.observe(Event{Group: &g})
	if d := m.decide(); len(d.Releases) != 1 || d.Releases[0].Count != 8 {
		t.Errorf("with the rollout complete: releases %+v, want 8", d.Releases)
	}
}

func FuzzDecodeTrace(f *testing.F) {
	m := newMachine(8, time.Minute, 2, quota.Settings{})
	m.group("app", "shop", core.ClassRollout)
	m.create("app")
	m.probe()
	m.decide()
	for _, r := range m.trace {
		line, err := EncodeRecord(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","decide":true}` + "\n\n"))
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","begin":{"version":"v1","config":{"seed":1}}}` + "\n" + `{"at":"2026-01-01T00:00:00Z","decide":true,"decision":{}}` + "\n" + `{"at":"2026-01-01T00:00:00Z","export":true}`))
	f.Add([]byte(`{"at":"x","decide":true}{"decide":true}`))
	f.Fuzz(func(t *testing.T, trace []byte) {
		if records, err := DecodeTrace(trace); err == nil {
			Replay(Config{}, records)
			if c, err := Check(records); err == nil && c.Decisions > c.Calls {
				t.Fatalf("%d decisions of %d calls", c.Decisions, c.Calls)
			}
		}
	})
}
