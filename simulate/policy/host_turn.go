package policy

import (
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/model"
)

const never = time.Duration(math.MaxInt64)

// signal says that something changed: a turn comes after what comes with it, but not
// while one waits for its writes.
func (h *host) signal() {
	if h.signalled || h.down {
		return
	}
	h.signalled = true
	h.wakeAt(max(h.world.Now()+debounce, h.writing))
}

// wakeAt makes the next turn due at a time.
func (h *host) wakeAt(due time.Duration) {
	h.due = due
	h.timer = (h.timer + 1) % timersEach
	h.world.SetTimer(due, h.timerRef(h.timer))
}

// wakeBy makes it due at a time at the latest.
func (h *host) wakeBy(due time.Duration) {
	if !h.signalled && !h.finishing && due < h.due {
		h.wakeAt(max(due, h.world.Now(), h.writing))
	}
}

// turn takes in what changed, lets the engine decide and carries the decision out.
// With releases it ends when they are written.
func (h *host) turn() {
	now := h.world.Now()
	if h.finishing {
		h.finishing = false
		h.end(h.engine.Decide(at(now)), true)
		return
	}
	h.signalled, h.due = false, never
	h.take(now)
	d := h.engine.Decide(at(now))
	released := h.act(now, d)
	switch {
	case released && h.writing > now:
		h.finishing, h.signalled = true, true // what comes meanwhile waits
		h.wakeAt(h.writing)
	case released:
		h.end(h.engine.Decide(at(now)), true)
	default:
		h.end(d, false)
	}
}

// take tells the engine what became known, in the order of the controller: nodes,
// workloads, pods that ended, pods that are not held, held pods by age, readings.
func (h *host) take(now time.Duration) {
	moment := at(now)
	tell := func(ev engine.Event) { h.engine.Observe(moment, ev) }
	var readings []engine.Event
	for _, ev := range h.news {
		if ev.Reading != nil || ev.Shape != nil {
			readings = append(readings, ev)
			continue
		}
		tell(ev)
	}
	h.news = h.news[:0]
	h.reports(tell)
	h.tellPools(tell)
	h.takePods(moment, tell)
	h.takeSteps(now, tell)
	for _, f := range h.failures {
		tell(h.event(f))
	}
	h.failures = h.failures[:0]
	for _, ev := range readings {
		tell(ev)
	}
}

// takePods tells of pods that changed and of their groups.
func (h *host) takePods(now time.Time, tell func(engine.Event)) {
	slices.Sort(h.dirty)
	h.tellGroups(tell)
	h.tellRoom(tell)
	for rank := range 3 {
		for _, id := range h.dirty {
			if h.rank(id) == rank {
				h.tellPod(now, id, tell)
			}
		}
	}
	for _, id := range h.dirty {
		h.pods[id].flags &^= podDirty
	}
	h.dirty = h.dirty[:0]
	h.changed = h.changed[:0]
}

// rank puts ends first and held pods last.
func (h *host) rank(id model.PodID) int {
	switch f := h.pods[id].flags; {
	case f&podGone != 0:
		return 0
	case f&podHeld != 0:
		return 2
	}
	return 1
}

func (h *host) tellPod(now time.Time, id model.PodID, tell func(engine.Event)) {
	p := &h.pods[id]
	g := h.groups[p.group]
	if p.flags&podGone == 0 {
		p.flags |= podKnown
		h.see(id, &h.scratch) // the engine keeps no part of it
		h.engine.Observe(now, engine.Event{Pod: &h.scratch})
		return
	}
	if p.flags&podKnown != 0 {
		p.flags &^= podKnown
		tell(engine.Event{PodGone: h.names.of(id)})
	}
	if g.workload.several {
		delete(h.started, id)
	}
	if g.pods--; g.pods == 0 && g.known {
		g.known = false
		tell(engine.Event{GroupGone: g.announced.ID})
	}
}

// tellGroups tells of the groups of the workloads whose pods changed, or that
// changed themselves, as far as they are others now.
func (h *host) tellGroups(tell func(engine.Event)) {
	last := model.WorkloadID(model.None)
	for _, id := range h.dirty {
		if w := h.groups[h.pods[id].group].workload.id; w != last {
			h.changed = append(h.changed, w)
			last = w
		}
	}
	slices.Sort(h.changed)
	h.changed = slices.Compact(h.changed)
	for _, id := range h.changed {
		view := h.world.Workload(id)
		for _, i := range h.workloads[id].groups {
			g := h.groups[i]
			if g.pods == 0 {
				continue
			}
			more, back := h.state(g, view)
			if g.known && more == g.announced.More && len(back) == len(g.announced.Back) {
				continue
			}
			g.known = true
			g.announced.More, g.announced.Back, g.announced.Room = more, back, h.room(g.workload.pool)
			next := g.announced
			tell(engine.Event{Group: &next})
		}
	}
}

// state is what may change of a group while it lives: how many pods are to come, and
// which images a rollback would run.
func (h *host) state(g *group, view model.Workload) (more int, back []engine.ImageUse) {
	if g.lane == engine.LaneRepair || g.revision != view.Revision {
		return 0, nil
	}
	if g.workload.rollout {
		view.More = 0 // a claim has those of its step
	}
	if g.lane != engine.LaneNormal || !view.Rolling || view.Back == view.Revision {
		return view.More, nil
	}
	for _, image := range h.world.Images(g.workload.id, view.Back) {
		use := h.use(image, g.workload.always)
		if len(use.Accounts) > 0 && !slices.ContainsFunc(g.announced.Images, func(u engine.ImageUse) bool { return u.Image == use.Image }) {
			back = append(back, use)
		}
	}
	return view.More, back
}

// act books what a decision lets go and writes it.
func (h *host) act(now time.Duration, d engine.Decision) (released bool) {
	for _, r := range d.Releases {
		if h.isBundle(r.Group) {
			h.letGo(now, r, d.ID)
			released = true
			continue
		}
		if c := h.steps.held(r.Group); c != nil {
			h.goStep(now, c, r, d.ID)
			released = true
			continue
		}
		prefer := h.indices(r.Nodes)
		for _, id := range h.choose(r) {
			p := &h.pods[id]
			h.unhold(id)
			p.flags |= podWent
			p.released = now
			h.booking = engine.Booking{Pod: h.names.of(id), Decision: d.ID}
			h.engine.Observe(at(now), engine.Event{Released: &h.booking})
			h.writing = max(h.writing, h.world.Release(id, prefer))
			released = true
		}
	}
	return released
}

// choose picks the pods of a release: those that it names, or the oldest.
func (h *host) choose(r engine.Release) []model.PodID {
	out := make([]model.PodID, 0, r.Count)
	if len(r.Pods) > 0 {
		for _, id := range r.Pods {
			out = append(out, model.PodID(index(string(id), podPrefix)))
		}
		return out
	}
	i := slices.IndexFunc(h.groups, func(g *group) bool { return g.announced.ID == r.Group })
	if i < 0 {
		return nil
	}
	l := &h.groups[i].line
	for len(out) < r.Count {
		id := l.first(h.world)
		if id == model.None {
			break
		}
		l.pop()
		if h.pods[id].flags&podHeld != 0 {
			out = append(out, id)
		}
	}
	return out
}

// index is the number behind a prefix of a name.
func index(name, prefix string) int {
	n := 0
	for _, digit := range name[len(prefix):] {
		n = 10*n + int(digit-'0')
	}
	return n
}

// indices are nodes by their numbers.
func (h *host) indices(names []core.NodeID) []model.NodeID {
	var out []model.NodeID
	for _, name := range names {
		out = append(out, model.NodeID(index(string(name), nodePrefix)))
	}
	return out
}

// end sends the probes of a decision and arranges for the next turn.
func (h *host) end(d engine.Decision, released bool) {
	now := h.world.Now()
	h.signalled = false
	h.anyHopeless = false
	for i := range d.Accounts {
		v := &d.Accounts[i]
		if a := h.accountNamed(v.Account); a != nil {
			a.hopeless = !v.Flow.Hopeless.IsZero()
			h.anyHopeless = h.anyHopeless || a.hopeless
		}
	}
	wake := never
	if h.holds() {
		wake = now + idle
	}
	consider := func(at time.Duration) { wake = min(wake, at) }
	if !d.Wake.IsZero() {
		consider(since(d.Wake))
	}
	for _, p := range d.Probes {
		a := h.accountNamed(p.Account)
		switch due := since(p.At); {
		case a == nil || a.asked:
		case due > now:
			consider(due)
		case h.probes.Allows(kernel.Time(now), 1):
			h.probes.Charge(kernel.Time(now), 1)
			a.twice = p.Twice
			h.ask(a)
		default:
			consider(time.Duration(h.probes.Next(kernel.Time(now), 1)))
		}
	}
	h.askShapes(now, consider)
	h.answerSteps(d, consider)
	if released && len(d.Releases) > 0 {
		consider(now)
	}
	if len(h.statuses) > 0 {
		consider(h.statuses[0].at)
	}
	if h.waits() { // it came while the writes were under way
		consider(now)
	}
	if wake != never {
		h.wakeAt(max(wake, now+debounce))
	}
}

// askShapes asks what images are made of that nobody looked at yet.
func (h *host) askShapes(now time.Duration, consider func(time.Duration)) {
	for len(h.unshaped) > 0 {
		if !h.shapes.Allows(kernel.Time(now), 1) {
			consider(time.Duration(h.shapes.Next(kernel.Time(now), 1)))
			return
		}
		h.shapes.Charge(kernel.Time(now), 1)
		image := h.unshaped[0]
		h.unshaped = h.unshaped[1:]
		a := h.drawnBy(image)[0]
		h.world.Probe(int(h.seat), a.registry, a.addresses[0], h.probeRef(int32(shapeRef+image)))
	}
}

func (h *host) accountNamed(id core.AccountID) *account {
	for _, a := range h.accounts {
		if a.id == id {
			return a
		}
	}
	return nil
}

// holds reports whether anything is held.
func (h *host) holds() bool {
	if len(h.heldNodes) > 0 {
		return true
	}
	for _, held := range h.namespaces {
		if *held > 0 {
			return true
		}
	}
	return false
}

// waits reports whether something is to be taken in.
func (h *host) waits() bool {
	return len(h.dirty) > 0 || len(h.changed) > 0 || len(h.news) > 0 || len(h.failures) > 0 || len(h.steps.asked) > 0
}
