package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// TestADripIsNoStorm ends holds in every way for which no units are set aside, on an
// account that others have used up: by a person's order, by their bounds, and by a
// limit that is not told any more. However many pods and groups there are, one goes
// at each refill at most, none goes between a 429 and the next units, and in the end
// all are free.
func TestADripIsNoStorm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := core.Units(rapid.IntRange(4, 12).Draw(t, "limit"))
		window := 20 * time.Minute
		m := newMachine(limit, window, 30, quota.Settings{})
		for range limit {
			m.charged = append(m.charged, m.now)
		}
		how := rapid.SampledFrom([]string{"order", "bound", "lost"}).Draw(t, "how")
		for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
			name := string(rune('a' + i))
			m.group(name, "shop", rapid.SampledFrom([]core.Class{core.ClassServing, core.ClassRollout, core.ClassBatch}).Draw(t, "class"))
			for range rapid.IntRange(1, 6).Draw(t, "pods") {
				id := m.create(name)
				if how == "bound" {
					m.pods[id].HoldUntil = m.now.Add(2 * time.Minute)
					m.see(m.pods[id])
				}
			}
			if how == "order" {
				m.observe(Event{Override: &Override{Group: core.GroupID(name)}})
			}
		}
		m.probe()
		d := drip{t: t, machine: m, refill: window / time.Duration(limit)}
		for range 160 {
			d.step(how == "lost")
		}
		if n := len(m.phase(PodGated, every)); n > 0 {
			t.Fatalf("%d pods are held still", n)
		}
	})
}

// drip watches what goes without units.
type drip struct {
	t *rapid.T
	*machine
	refill time.Duration
	// last is when a pod went without units, dry that it was refused since.
	last time.Time
	dry  bool
}

// step is one turn, and a little time. lost says that the registry tells no limit.
func (d *drip) step(lost bool) {
	decision := d.decide()
	went := 0
	for _, r := range decision.Releases {
		if r.Reason == core.Budget || len(r.Cost) == 0 {
			continue
		}
		went += r.Count
	}
	since := d.now.Sub(d.last)
	switch {
	case went > 1:
		d.t.Fatalf("%d pods went without units in one turn: %+v", went, decision.Releases)
	case went == 1 && !d.last.IsZero() && since < d.refill:
		d.t.Fatalf("a pod went without units %v after the last, want %v at least", since, d.refill)
	case went == 1 && d.dry && !lost && d.remaining() <= 0 && since < d.window:
		d.t.Fatalf("a pod went without units after a 429, and none came back")
	}
	if went == 1 {
		d.last, d.dry = d.now, false
	}
	d.carryOut(decision)
	denied := d.denied
	for i, id := range d.phase(PodUnbound, every) {
		d.bind(id, core.NodeID([]string{"n0", "n1", "n2", "n3", "n4"}[i%5]))
		d.finish(id)
	}
	if d.denied > denied {
		d.dry = true
		d.observe(Event{Failed: &PullFailed{Account: hub, At: d.now, Failure: throttled}})
	}
	d.now = d.now.Add(time.Minute)
	if lost {
		d.observe(Event{Reading: &Reading{Account: hub, Observation: quota.Observation{SentAt: d.now, Status: 200}}})
		return
	}
	d.probe()
}
