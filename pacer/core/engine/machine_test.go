package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// machine is a small cluster in virtual time in front of an honest rolling log.
// Its nodes pull as kubelets do; it never asks the engine what is right.
type machine struct {
	engine *Engine
	now    time.Time
	trace  []Record
	*rolling

	world  World // what is there besides groups and pods
	pods   map[core.PodID]*machinePod
	nextID int
	denied int
	probed time.Time
	// cached are images that arrived on a node, by both names.
	cached map[string]bool
}

// rolling is a limiter that allows limit units in any window; several machines may
// be in front of one.
type rolling struct {
	limit   core.Units
	window  time.Duration
	charged []time.Time
}

func (r *rolling) left(now time.Time) core.Units {
	n := r.limit
	for _, t := range r.charged {
		if t.After(now.Add(-r.window)) {
			n--
		}
	}
	return n
}

type machinePod struct {
	Pod
	image   core.Image
	sent    bool // its pull was sent
	granted bool
}

const hub core.AccountID = "hub"

func newMachine(limit core.Units, window time.Duration, nodes int, settings quota.Settings) *machine {
	return newMachineOn(&rolling{limit: limit, window: window}, nodes, settings)
}

func newMachineOn(r *rolling, nodes int, settings quota.Settings) *machine {
	m := &machine{engine: New(Config{}), now: epoch, probed: epoch, rolling: r, pods: map[core.PodID]*machinePod{}, cached: map[string]bool{}}
	var ids []core.NodeID
	for i := range nodes {
		ids = append(ids, core.NodeID(fmt.Sprintf("n%d", i)))
	}
	w := World{Events: []Event{{Account: &Account{ID: hub, Host: "docker.io", Settings: settings}}}}
	for _, id := range ids {
		w.Events = append(w.Events, Event{Node: &Node{ID: id}})
	}
	w.Events = append(w.Events, Event{Pool: &Pool{ID: "all", Nodes: ids}})
	m.world = w
	m.replace(w)
	return m
}

func (m *machine) replace(w World) {
	m.trace = append(m.trace, Record{At: m.now, Replace: &w})
	m.engine.Replace(m.now, w)
}

func (m *machine) observe(ev Event) {
	m.trace = append(m.trace, Record{At: m.now, Event: &ev})
	m.engine.Observe(m.now, ev)
}

func (m *machine) decide() Decision {
	d := m.engine.Decide(m.now)
	answer, err := json.Marshal(d)
	if err != nil {
		panic(err) // no decision holds what JSON cannot
	}
	m.trace = append(m.trace, Record{At: m.now, Decide: true, Decision: answer})
	return d
}

func (m *machine) remaining() core.Units { return m.left(m.now) }

// advance lets time pass. The account is asked every four minutes at least, as the
// controller does when idle: one that nobody can ask for long is let go by design.
func (m *machine) advance(d time.Duration) {
	const idle = 4 * time.Minute
	for ; d > idle; d -= idle {
		m.now = m.now.Add(idle)
		m.probe()
	}
	m.now = m.now.Add(d)
	if m.now.Sub(m.probed) >= idle {
		m.probe()
	}
}

func (m *machine) probe() {
	m.probed = m.now
	m.observe(Event{Reading: &Reading{Account: hub, Observation: quota.Observation{SentAt: m.now, Status: 200, Header: quota.Header{
		Limit: m.limit, HasLimit: true, Remaining: m.remaining(), HasRemaining: true, Window: m.window,
	}}}})
}

// group declares a group of one single-manifest image of its own.
func (m *machine) group(name, namespace string, class core.Class) {
	for _, ev := range m.groupEvents(name, namespace, class) {
		m.observe(ev)
	}
}

func (m *machine) groupEvents(name, namespace string, class core.Class) []Event {
	image := core.Image(name)
	return []Event{{Shape: &ImageShape{Image: image, Manifests: 1}}, {Group: &Group{
		ID: core.GroupID(name), Namespace: namespace, Class: class, Pool: "all",
		Images: []ImageUse{{Image: image, Accounts: []core.AccountID{hub}}},
	}}}
}

func (m *machine) create(group string) core.PodID {
	m.nextID++
	p := &machinePod{Pod: Pod{
		ID: core.PodID(fmt.Sprintf("p%04d", m.nextID)), Group: core.GroupID(group), Phase: PodGated, Created: m.now,
	}, image: core.Image(group)}
	m.pods[p.ID] = p
	m.see(p)
	return p.ID
}

func (m *machine) see(p *machinePod) {
	seen := p.Pod
	m.observe(Event{Pod: &seen})
}

// carryOut releases what a decision says, oldest pods first.
func (m *machine) carryOut(d Decision) { m.carryOutFirst(d, len(m.pods)) }

// carryOutFirst books what a decision releases, and writes the first few of them; the
// others are withdrawn.
func (m *machine) carryOutFirst(d Decision, few int) {
	var going []core.PodID
	for _, r := range d.Releases {
		ids := r.Pods
		if len(ids) == 0 {
			ids = m.held(r.Group)[:r.Count]
		}
		for _, id := range ids {
			m.observe(Event{Released: &Booking{Pod: id, Decision: d.ID}})
		}
		going = append(going, ids...)
	}
	for i, id := range going {
		if i >= few {
			m.observe(Event{Withdrawn: id})
			continue
		}
		p := m.pods[id]
		p.Phase, p.ReleasedAt = PodUnbound, m.now
		m.see(p)
	}
}

func (m *machine) held(group core.GroupID) []core.PodID {
	return m.phase(PodGated, func(p *machinePod) bool { return p.Group == group })
}

func (m *machine) phase(phase PodPhase, and func(*machinePod) bool) []core.PodID {
	var ids []core.PodID
	for _, id := range sortedKeys(m.pods) {
		if p := m.pods[id]; p.Phase == phase && and(p) {
			ids = append(ids, id)
		}
	}
	return ids
}

func every(*machinePod) bool { return true }

// bind puts a pod on a node and, if no other pod pulled or pulls the image there,
// sends its one request.
func (m *machine) bind(id core.PodID, node core.NodeID) {
	m.bindUnseen(id, node)
	m.see(m.pods[id])
}

// leap binds a pod and finishes its pull before anybody looks.
func (m *machine) leap(id core.PodID, node core.NodeID) {
	m.bindUnseen(id, node)
	m.finish(id)
}

func (m *machine) bindUnseen(id core.PodID, node core.NodeID) {
	p := m.pods[id]
	p.Phase, p.Node = PodBound, node
	others := m.phase(PodBound, func(o *machinePod) bool { return o.Node == node && o.image == p.image && o.sent })
	others = append(others, m.phase(PodPulled, func(o *machinePod) bool { return o.Node == node && o.image == p.image })...)
	if name := string(node) + "/" + string(p.image); len(others) == 0 && !m.cached[name] {
		p.sent = true
		if m.remaining() > 0 {
			m.charged, p.granted, m.cached[name] = append(m.charged, m.now), true, true
		} else {
			m.denied++
		}
	}
}

func (m *machine) finish(id core.PodID) {
	p := m.pods[id]
	p.Phase = PodPulled
	m.see(p)
}

// stepRollout is five seconds of a rollout of one pod a node: probe, decide,
// release, bind to nodes of their own, finish what was bound a step ago.
func (m *machine) stepRollout() {
	m.now = m.now.Add(5 * time.Second)
	for _, id := range m.phase(PodBound, every) {
		m.finish(id)
	}
	m.probe()
	m.carryOut(m.decide())
	for _, id := range m.phase(PodUnbound, every) {
		number := 0
		fmt.Sscanf(string(id), "p%d", &number)
		m.bind(id, core.NodeID(fmt.Sprintf("n%d", number-1)))
	}
}

// throttled is an answer of 429.
var throttled = feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindPull}
