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

// step carries out one action of a machine, drawn at random; dice names the draws.
func (m *machine) step(t *rapid.T, dice string, groups, nodes int) {
	switch rapid.SampledFrom([]string{"create", "create", "probe", "decide", "decide", "bind", "bind", "finish"}).Draw(t, dice) {
	case "create":
		for range rapid.IntRange(1, 8).Draw(t, "pods") {
			m.create(fmt.Sprintf("g%d", rapid.IntRange(0, groups-1).Draw(t, "group")))
		}
	case "probe":
		m.probe()
	case "decide":
		m.carryOut(m.decide())
	case "bind":
		for _, id := range m.phase(PodUnbound, every) {
			m.bind(id, core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))))
		}
	case "finish":
		for _, id := range m.phase(PodBound, every) {
			if rapid.Bool().Draw(t, "done") {
				m.finish(id)
			}
		}
	}
}

// TestSharesThatMakeOneNeverOverspend lets two clusters spend one account at random.
// Neither sees the other's reservations, and a reading that one of them grants on may
// be minutes old; nobody is refused all the same, whatever the fractions are.
func TestSharesThatMakeOneNeverOverspend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const groups, nodes = 3, 12
		percent := rapid.IntRange(1, 99).Draw(t, "fraction")
		r := &rolling{limit: core.Units(rapid.IntRange(2, 40).Draw(t, "limit")), window: time.Duration(rapid.IntRange(10, 7200).Draw(t, "window")) * time.Second}
		both := []*machine{
			newMachineOn(r, nodes, quota.Settings{Fraction: float64(percent) / 100}),
			newMachineOn(r, nodes, quota.Settings{Fraction: float64(100-percent) / 100}),
		}
		for _, m := range both {
			for g := range groups {
				m.group(fmt.Sprintf("g%d", g), "shop", core.ClassServing)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			wait := time.Duration(rapid.Int64Range(0, int64(r.window)/4).Draw(t, "wait"))
			for i, m := range both {
				m.advance(wait)
				m.step(t, fmt.Sprint("cluster ", i), groups, nodes)
			}
		}
		for i, m := range both {
			if m.denied > 0 {
				t.Fatalf("cluster %d was refused %d times", i, m.denied)
			}
		}
	})
}

// Without a share two clusters that start at once both spend the whole: what the
// property above sees is there to be seen.
func TestWithoutSharesTwoClustersOverspend(t *testing.T) {
	t.Parallel()
	r := &rolling{limit: 8, window: time.Minute}
	denied := 0
	for range 2 {
		m := newMachineOn(r, 8, quota.Settings{})
		m.group("g0", "shop", core.ClassServing)
		for range 8 {
			m.create("g0")
		}
		m.now = epoch.Add(10 * time.Second)
		// The other's pulls are not there yet at this reading.
		m.observe(Event{Reading: &Reading{Account: hub, Observation: quota.Observation{SentAt: m.now, Status: 200, Header: quota.Header{
			Limit: 8, HasLimit: true, Remaining: 8, HasRemaining: true, Window: time.Minute}}}})
		m.carryOut(m.decide())
		for i, id := range m.phase(PodUnbound, every) {
			m.bind(id, core.NodeID(fmt.Sprintf("n%d", i)))
		}
		denied += m.denied
	}
	if denied == 0 {
		t.Error("two clusters without a share took 16 of 8, and nobody was refused")
	}
}

// restart ends the engine and starts another with what was written last.
func (m *machine) restart(written State) {
	m.engine = New(Config{})
	m.engine.Restore(m.now, written)
	w := World{Events: slices.Clone(m.world.Events)}
	for g := range 3 {
		w.Events = append(w.Events, m.groupEvents(fmt.Sprintf("g%d", g), "shop", core.ClassServing)...)
	}
	for _, id := range sortedKeys(m.pods) {
		seen := m.pods[id].Pod
		w.Events = append(w.Events, Event{Pod: &seen})
	}
	m.engine.Replace(m.now, w)
}

// TestADeclaredLimitSurvivesACrash kills the controller at any point between its
// writes: after it booked and before it wrote, after it wrote and before any pod went,
// in the middle of the releases, and at any time later. The registry sends no header,
// so that what was written is all that is known; the limit is never overspent.
func TestADeclaredLimitSurvivesACrash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const groups, nodes = 3, 12
		limit, window := core.Units(rapid.IntRange(1, 20).Draw(t, "limit")), time.Duration(rapid.IntRange(10, 7200).Draw(t, "window"))*time.Second
		m := newMachine(limit, window, nodes, quota.Settings{Fixed: &quota.Fixed{Pulls: limit, Window: window}})
		for g := range groups {
			m.group(fmt.Sprintf("g%d", g), "shop", core.ClassServing)
		}
		written := m.engine.Export()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(window)/4).Draw(t, "wait")))
			switch rapid.SampledFrom([]string{"step", "step", "step", "decide", "write", "crash"}).Draw(t, "what") {
			case "step":
				m.stepBooked(t, groups, nodes)
			case "write":
				written = m.engine.Export()
			case "crash":
				m.restart(written)
			case "decide":
				if crashed := m.carryOutWritten(t, m.decide(), &written); crashed {
					m.restart(written)
				}
			}
			if m.denied > 0 {
				t.Fatalf("%d pulls were refused", m.denied)
			}
		}
	})
}

// stepBooked is step without releases, which must be written first.
func (m *machine) stepBooked(t *rapid.T, groups, nodes int) {
	switch rapid.SampledFrom([]string{"create", "bind", "leap", "finish", "delete"}).Draw(t, "step") {
	case "create":
		for range rapid.IntRange(1, 8).Draw(t, "pods") {
			m.create(fmt.Sprintf("g%d", rapid.IntRange(0, groups-1).Draw(t, "group")))
		}
	case "bind":
		for _, id := range m.phase(PodUnbound, every) {
			m.bind(id, core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))))
		}
	case "finish":
		for _, id := range m.phase(PodBound, every) {
			if rapid.Bool().Draw(t, "done") {
				m.finish(id)
			}
		}
	case "leap":
		for _, id := range m.phase(PodUnbound, every) {
			m.leap(id, core.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))))
		}
	case "delete":
		for _, id := range sortedKeys(m.pods) {
			if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
				delete(m.pods, id)
				m.observe(Event{PodGone: id})
			}
		}
	}
}

// carryOutWritten books the releases of a decision, writes the books and lets the pods
// go, as the controller does, and reports whether it was killed on the way.
func (m *machine) carryOutWritten(t *rapid.T, d Decision, written *State) (crashed bool) {
	var going []core.PodID
	for _, r := range d.Releases {
		ids := r.Pods
		if len(ids) == 0 {
			ids = m.held(r.Group)[:r.Count]
		}
		going = append(going, ids...)
	}
	for _, id := range going {
		m.observe(Event{Released: &Booking{Pod: id, Decision: d.ID}})
	}
	if rapid.IntRange(0, 9).Draw(t, "killed before the write") == 0 {
		return true
	}
	*written = m.engine.Export()
	for _, id := range going {
		if rapid.IntRange(0, 9).Draw(t, "killed before this pod goes") == 0 {
			return true
		}
		p := m.pods[id]
		p.Phase, p.ReleasedAt = PodUnbound, m.now
		m.see(p)
	}
	return false
}

// TestABurstIsNeverHopeless asks for as much as it likes within two windows: what is
// finite drains, and so is held until it may go.
func TestABurstIsNeverHopeless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const window = 100 * time.Second
		limit := core.Units(rapid.IntRange(1, 20).Draw(t, "limit"))
		m := newMachine(limit, window, 200, quota.Settings{})
		for g := range 2 {
			m.group(fmt.Sprintf("g%d", g), "shop", core.ClassRollout)
		}
		arrivals := map[int]int{}
		for range rapid.IntRange(1, 4).Draw(t, "bursts") {
			arrivals[rapid.IntRange(0, 39).Draw(t, "step")] += rapid.IntRange(1, 50).Draw(t, "pods")
		}
		for step := range 10 * int(window/(5*time.Second)) {
			for range arrivals[step] {
				m.create(fmt.Sprintf("g%d", step%2))
			}
			m.stepRollout()
			if m.engine.accounts[hub].ledger.Hopeless() {
				t.Fatalf("step %d: hopeless after bursts %v on %d a window", step, arrivals, limit)
			}
		}
		if m.denied > 0 {
			t.Fatalf("%d pulls were refused", m.denied)
		}
	})
}
