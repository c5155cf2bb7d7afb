package shadow

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// Pass is what is known of a pod that Shadow let pass.
type Pass struct {
	// Policy rules the pod.
	Policy string
	// Namespace, Workload and Rollout are whose it is; a Rollout is one revision of
	// a workload.
	Namespace, Workload, Rollout string
	// HoldUntil is when its hold would have ended at the latest.
	HoldUntil time.Time
	// ForeignGate says that another owner's gate is on it.
	ForeignGate bool
}

// pod is one that Shadow let pass, until it needs no more pulls and is let go.
type pod struct {
	id   core.PodID
	pass Pass
	// seen is what was said of it last.
	seen engine.Pod
	// held says that it would still be held; counted that it was held when a
	// decision was made.
	held, counted bool
	// released is when it was let go.
	released time.Time
	// node is where it came to, charged whether a pull was charged for it there.
	node    core.NodeID
	charged bool
	// refused says that its last pull was answered by 429, assumed that its pulls are
	// booked as if they were made when it was let go.
	refused, assumed bool
	// judged says that it was decided whether it would have been held for nothing.
	judged bool
}

// Record keeps the counts of every policy, also while there is no Shadow.
type Record map[string]*Tally

// Of is the tally of a policy, begun now if there is none.
func (r Record) Of(now time.Time, policy string) *Tally {
	t := r[policy]
	if t == nil {
		t = NewTally(now)
		r[policy] = t
	}
	return t
}

// Shadow is the second engine. Make one with New.
type Shadow struct {
	engine *engine.Engine
	record Record
	pods   map[core.PodID]*pod
	// groups are the held pods by group, fresh those that no decision has seen, and
	// due those that are not old enough to page, oldest first.
	groups     map[core.GroupID]map[core.PodID]*pod
	fresh, due []*pod
	nodes      map[core.NodeID]*engine.Node
	// early are pulls by pods that are not let go yet, late those that were refused
	// because of them, and moved all whose time was changed, windows the accounts'.
	early   map[core.NodeID]map[core.Image]*early
	late    map[core.NodeID]map[core.Image]*moved
	moved   map[core.AccountID][]*moved
	windows map[core.AccountID]time.Duration
	// rollouts is when a pod of each was held last.
	rollouts map[string]time.Time
}

// New begins beside an engine that acts, on the world that it knows. What is counted
// goes to record.
func New(now time.Time, acts *engine.Engine, w engine.World, record Record) *Shadow {
	s := &Shadow{
		engine: acts.Fork(now, w), record: record,
		pods: map[core.PodID]*pod{}, groups: map[core.GroupID]map[core.PodID]*pod{},
		nodes: map[core.NodeID]*engine.Node{}, early: map[core.NodeID]map[core.Image]*early{},
		late: map[core.NodeID]map[core.Image]*moved{}, moved: map[core.AccountID][]*moved{},
		windows: map[core.AccountID]time.Duration{}, rollouts: map[string]time.Time{},
	}
	for _, ev := range w.Events {
		if ev.Node != nil {
			s.nodes[ev.Node.ID] = ev.Node
		}
	}
	return s
}

// Observe takes in an event that the engine which acts took in. pass is set when the
// event is about a pod that Shadow let pass. Readings are not for it: see Decide.
func (s *Shadow) Observe(now time.Time, ev engine.Event, pass *Pass) {
	switch {
	case ev.Reading != nil:
	case ev.Node != nil:
		s.observeNode(now, ev.Node)
	case ev.NodeGone != "":
		delete(s.nodes, ev.NodeGone)
		delete(s.early, ev.NodeGone)
		delete(s.late, ev.NodeGone)
		s.engine.Observe(now, ev)
	case ev.Pod != nil:
		s.observePod(now, *ev.Pod, pass)
	case ev.PodGone != "":
		s.dropPod(now, ev.PodGone)
	case ev.Failed != nil:
		s.failed(now, ev)
	default:
		s.engine.Observe(now, ev)
	}
}

func (s *Shadow) observePod(now time.Time, seen engine.Pod, pass *Pass) {
	p := s.pods[seen.ID]
	if p == nil && pass != nil && !s.engine.Knows(seen.ID) {
		p = &pod{id: seen.ID, held: true}
		s.pods[seen.ID] = p
		s.fresh = append(s.fresh, p)
	}
	if p == nil {
		s.arrive(now, seen)
		s.show(now, seen, false)
		return
	}
	if p.held {
		s.ungroup(p)
	}
	p.seen = seen
	if !p.held {
		p.seen.ReleasedAt = p.released
	}
	if pass != nil {
		p.pass = *pass
	}
	s.land(p)
	s.arrive(now, seen)
	if !p.held {
		s.show(now, p.seen, p.assumed)
		s.judge(now, p)
		return
	}
	s.group(p)
	s.engine.Observe(now, engine.Event{Pod: &engine.Pod{
		ID: seen.ID, Group: seen.Group, Phase: engine.PodGated, Created: seen.Created,
		HoldUntil: p.pass.HoldUntil, ForeignGate: p.pass.ForeignGate,
	}})
	s.judge(now, p)
}

func (s *Shadow) group(p *pod) {
	id := p.seen.Group
	if s.groups[id] == nil {
		s.groups[id] = map[core.PodID]*pod{}
	}
	s.groups[id][p.id] = p
}

func (s *Shadow) ungroup(p *pod) {
	delete(s.groups[p.seen.Group], p.id)
	if len(s.groups[p.seen.Group]) == 0 {
		delete(s.groups, p.seen.Group)
	}
}

func (s *Shadow) dropPod(now time.Time, id core.PodID) {
	if p := s.pods[id]; p != nil {
		if p.held {
			s.end(now, p)
			s.leave(now, p)
		}
		for _, m := range s.late[p.node] {
			m.never = m.never || p.assumed
		}
		delete(s.pods, id)
	}
	s.engine.Observe(now, engine.Event{PodGone: id})
}

// failed takes in a failed attempt to pull, unless it would not have been made: of a
// pod that Enforce would hold, and an answer of 429 that would not have come.
func (s *Shadow) failed(now time.Time, ev engine.Event) {
	p := s.pods[ev.Failed.Pod]
	throttled := ev.Failed.Class == feedback.Throttled
	if p != nil && throttled {
		p.refused = true
	}
	switch {
	case !throttled && p != nil && p.held:
	case !throttled:
		s.engine.Observe(now, ev)
	case p != nil && p.held:
		s.record.Of(now, p.pass.Policy).count(now, func(c *Counts) { c.Saved++ })
	case !s.drained(now, ev.Failed.Account, ev.Failed.Pod):
		s.engine.Observe(now, ev)
	case p != nil:
		s.assume(now, p)
		s.show(now, p.seen, p.assumed)
	}
}

// Throttled counts an answer of 429 to a pod that a policy in mode Shadow rules.
func (r Record) Throttled(now time.Time, policy string) {
	r.Of(now, policy).count(now, func(c *Counts) { c.Throttled++ })
}

// Decide decides as Enforce would have, and lets the pods go in its books. acts is the
// engine that acts: what it knows of the accounts is known here.
func (s *Shadow) Decide(now time.Time, acts *engine.Engine) engine.Decision {
	s.engine.Follow(now, acts, func(id core.AccountID, r engine.Readings) core.Units { return s.moves(now, id, r) })
	d := s.engine.Decide(now)
	for _, r := range d.Releases {
		for _, p := range s.choose(r) {
			s.engine.Observe(now, engine.Event{Released: &engine.Booking{Pod: p.id, Decision: d.ID}})
			s.letGo(now, p)
		}
	}
	s.count(now)
	return d
}

// choose picks the pods of a release, the oldest first, as the controller does.
func (s *Shadow) choose(r engine.Release) []*pod {
	var chosen []*pod
	for _, p := range slices.SortedFunc(maps.Values(s.groups[r.Group]), older) {
		if len(chosen) == r.Count {
			break
		}
		if p.pass.ForeignGate || (len(r.Pods) > 0 && !slices.Contains(r.Pods, p.id)) {
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen
}

func older(a, b *pod) int {
	return cmp.Or(a.seen.Created.Compare(b.seen.Created), cmp.Compare(a.id, b.id))
}

// letGo ends a hold: from now on the pod is seen as it is.
func (s *Shadow) letGo(now time.Time, p *pod) {
	s.end(now, p)
	p.released, p.seen.ReleasedAt = now, now
	if p.refused {
		s.assume(now, p)
	}
	s.show(now, p.seen, p.assumed)
	s.leave(now, p)
	s.judge(now, p)
}

// end notes the end of a hold.
func (s *Shadow) end(now time.Time, p *pod) {
	s.ungroup(p)
	p.held = false
	if p.counted {
		s.record.Of(now, p.pass.Policy).count(now, func(c *Counts) { c.hold(now.Sub(p.seen.Created), p.pass.Workload) })
	}
}

// count counts the pods that a decision left held for the first time, and those that
// would have been held for too long.
func (s *Shadow) count(now time.Time) {
	for _, p := range s.fresh {
		if !p.held {
			continue
		}
		p.counted = true
		_, known := s.rollouts[p.pass.Rollout]
		s.rollouts[p.pass.Rollout] = now
		s.record.Of(now, p.pass.Policy).holdOf(now, p.pass.Workload, !known)
		s.due = append(s.due, p)
		s.judge(now, p)
	}
	s.fresh = nil
	for len(s.due) > 0 && now.Sub(s.due[0].seen.Created) >= pageAfter {
		if p := s.due[0]; p.held {
			s.record.Of(now, p.pass.Policy).count(now, func(c *Counts) { c.Paged++ })
		}
		s.due = s.due[1:]
	}
	maps.DeleteFunc(s.rollouts, func(_ string, at time.Time) bool { return now.Sub(at) > 24*time.Hour })
}

// judge decides once, when a pod has started, whether it was held for nothing, and
// forgets it when nothing more can come of it.
func (s *Shadow) judge(now time.Time, p *pod) {
	if p.seen.Phase != engine.PodPulled {
		return
	}
	if p.counted && !p.judged {
		p.judged = true
		if !p.charged {
			s.record.Of(now, p.pass.Policy).count(now, func(c *Counts) { c.Nothing++ })
		}
	}
	if !p.held {
		delete(s.pods, p.id)
	}
}

// Keep lets go of the held pods that no policy in mode Shadow rules any more.
func (s *Shadow) Keep(now time.Time, rules func(core.PodID) bool) {
	for _, id := range slices.Sorted(maps.Keys(s.pods)) {
		if p := s.pods[id]; p.held && !rules(id) {
			s.letGo(now, p)
		}
	}
}

// Holds reports whether pods of a group would be held.
func (s *Shadow) Holds(id core.GroupID) bool { return len(s.groups[id]) > 0 }

// Held counts the pods of each namespace that would be held.
func (s *Shadow) Held() map[string]int {
	held := map[string]int{}
	for _, pods := range s.groups {
		for _, p := range pods {
			held[p.pass.Namespace] += len(pods) // a group is in one namespace
			break
		}
	}
	return held
}

// Oldest is since when a pod of a group would be held, and which policy holds it.
func (s *Shadow) Oldest(id core.GroupID) (since time.Time, policy string) {
	for _, p := range s.groups[id] {
		if policy == "" || p.seen.Created.Before(since) {
			since, policy = p.seen.Created, p.pass.Policy
		}
	}
	return since, policy
}
