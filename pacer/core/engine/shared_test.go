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

// TestCapsThatMakeTheLimitNeverOverspend lets two clusters spend one account at random.
// Neither sees the other's reservations, and a reading that one of them grants on may
// be minutes old; nobody is refused all the same, whatever the caps are, and whatever
// fraction of a reading each of them takes.
func TestCapsThatMakeTheLimitNeverOverspend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const groups, nodes = 3, 12
		r := &rolling{limit: core.Units(rapid.IntRange(2, 40).Draw(t, "limit")), window: time.Duration(rapid.IntRange(10, 7200).Draw(t, "window")) * time.Second}
		part := core.Units(rapid.IntRange(1, int(r.limit)-1).Draw(t, "cap"))
		fraction := float64(rapid.IntRange(1, 100).Draw(t, "fraction")) / 100
		both := []*machine{
			newMachineOn(r, nodes, quota.Settings{MaxPerWindow: part, Fraction: fraction}),
			newMachineOn(r, nodes, quota.Settings{MaxPerWindow: r.limit - part}),
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

// TestSmallFractionsOfBlindClustersNeverOverspend lets clusters read one account in
// turns of any order, each 1/(2k+2) of what remains with a guard of k-1. The pulls of
// each are sent before it reads again, as they are where readings are far apart: what
// of the others' is under way when one reads is then less than it leaves.
func TestSmallFractionsOfBlindClustersNeverOverspend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const pods, nodes = 60, 60
		k := rapid.IntRange(2, 5).Draw(t, "clusters")
		r := &rolling{limit: core.Units(rapid.IntRange(k, 60).Draw(t, "limit")), window: time.Hour}
		all := make([]*machine, k)
		for i := range all {
			all[i] = newMachineOn(r, nodes, quota.Settings{Fraction: 1 / float64(2*k+2), Guard: core.Units(k - 1)})
			all[i].group("g0", "shop", core.ClassServing)
			for range pods {
				all[i].create("g0")
			}
		}
		bound := make([]int, k)
		send := func(i, most int) {
			for _, id := range all[i].phase(PodUnbound, every) {
				if most--; most < 0 {
					return
				}
				all[i].leap(id, core.NodeID(fmt.Sprintf("n%d", bound[i])))
				bound[i]++
			}
		}
		pass := func(d time.Duration) {
			for _, m := range all {
				m.now = m.now.Add(d)
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			order := rapid.Permutation(indices(k)).Draw(t, "order")
			for _, i := range order {
				pass(20 * time.Second)
				send(i, pods) // before it reads again
				pass(20 * time.Second)
				all[i].probe()
				all[i].carryOut(all[i].decide())
				send(i, rapid.IntRange(0, pods).Draw(t, "sent at once"))
			}
		}
		for i, m := range all {
			if m.denied > 0 {
				t.Fatalf("cluster %d of %d was refused %d times", i, k, m.denied)
			}
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
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
