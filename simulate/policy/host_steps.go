package policy

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/simulate/model"
)

// How the gate answers. Sources: firstAnswerWithin of pacer/controller/gate.go, claimTTL
// of its claims.go.
const (
	firstAnswerWithin = 700 * time.Millisecond
	claimTTL          = 5 * time.Minute
)

// steps are the gates of Rollouts that wait, or went and whose pods did not all come yet.
type steps struct {
	claims []*stepClaim // the oldest first
	// asked are questions that the next turn answers.
	asked []model.Step
	made  int
}

// stepClaim is a step that waits at its gate, as pods that stand for those which passing
// it brings about; each goes as a real one comes.
type stepClaim struct {
	model.Step
	number   int
	workload *workload
	group    *group
	since    time.Duration
	standIns int
	went     bool
	released time.Duration
	// heard is when a pod of it came or went last, idle that this is long ago: they must
	// not block others any more.
	heard time.Duration
	idle  bool
	why   core.Reason
}

// of is the claim of a step; nil: there is none.
func (s *steps) of(step model.Step) *stepClaim {
	if i := slices.IndexFunc(s.claims, func(c *stepClaim) bool { return c.Step == step }); i >= 0 {
		return s.claims[i]
	}
	return nil
}

// held is the claim that is held in a group; nil: none is.
func (s *steps) held(id core.GroupID) *stepClaim {
	if i := slices.IndexFunc(s.claims, func(c *stepClaim) bool { return !c.went && c.group.announced.ID == id }); i >= 0 {
		return s.claims[i]
	}
	return nil
}

// AskStep is POST /v1/gate: what is claimed already is answered from what the last turn
// said, all else by the next one, or with a hold where that takes too long.
func (h *host) AskStep(s model.Step) {
	switch c := h.steps.of(s); {
	case h.down:
		return
	case c != nil:
		h.world.AnswerStep(s, c.answer(), 0)
		return
	}
	h.steps.asked = append(h.steps.asked, s)
	h.signal()
	if h.due > h.world.Now()+firstAnswerWithin {
		h.world.AnswerStep(s, model.Answer{Why: string(core.WaitingForReading)}, firstAnswerWithin)
	}
}

func (c *stepClaim) answer() model.Answer { return model.Answer{Allow: c.went, Why: string(c.why)} }

// takeSteps brings the pods that stand for those of steps up to date, and looks at the
// steps that somebody asked about.
func (h *host) takeSteps(now time.Duration, tell func(engine.Event)) {
	if len(h.steps.claims)+len(h.steps.asked) == 0 {
		return
	}
	for _, c := range h.steps.claims {
		switch {
		case h.spent(c):
			h.setStandIns(now, c, 0, false, tell)
		case c.went && !c.idle && now-c.heard > claimTTL:
			c.idle = true
			h.setStandIns(now, c, h.standIns(c.Step), true, tell)
		default:
			h.setStandIns(now, c, h.standIns(c.Step), false, tell)
		}
	}
	h.steps.claims = slices.DeleteFunc(h.steps.claims, h.spent)
	for _, s := range h.steps.asked {
		if h.steps.of(s) == nil {
			h.claimStep(now, s, tell)
		}
	}
}

// claimStep decides whether a step is held, by the rules of pacer/kube's Judge that a
// scenario can meet; where it is not, nothing of it is kept.
func (h *host) claimStep(now time.Duration, s model.Step, tell func(engine.Event)) {
	r, _ := h.world.Rollout(s.Workload)
	if r.Waits == nil || r.Waits.Step != s {
		return
	}
	w := h.workloads[s.Workload]
	w.observe(h.world.Workload(s.Workload))
	h.readImages(w)
	allow := core.Reason("")
	switch want := h.standIns(s); {
	case !w.paced:
		allow = core.NoBudget
	case h.capped && *w.held >= h.maxHeld:
		h.tooMany += want
		allow = core.Excluded
	case h.hopeless(s.Workload, s.Revision):
		h.despaired += want
		allow = core.Hopeless
	case !h.enforce:
		allow = core.Shadow
	case want == 0:
		allow = core.Warm
	}
	if allow != "" {
		h.world.AnswerStep(s, model.Answer{Allow: true, Why: string(allow)}, 0)
		return
	}
	c := h.newClaim(s, r.Waits.Since)
	h.setStandIns(now, c, h.standIns(s), true, tell)
	h.mostHeld = max(h.mostHeld, *w.held)
}

// newClaim is a claim with no pods yet.
func (h *host) newClaim(s model.Step, since time.Duration) *stepClaim {
	h.steps.made++
	w := h.workloads[s.Workload]
	view := h.world.Workload(s.Workload)
	lane := engine.LaneOf(w.back && view.Rolling && s.Revision == view.Revision, math.MaxInt, w.of(s.Revision).most)
	c := &stepClaim{Step: s, number: h.steps.made, workload: w, group: h.groups[h.groupOf(w, s.Revision, lane)], since: since, why: core.WaitingForReading}
	h.steps.claims = append(h.steps.claims, c)
	return c
}

// standIns is how many pods stand for those that a step makes.
func (h *host) standIns(s model.Step) int {
	opens, _, _ := h.world.Opens(s)
	return plan.StandIns(opens, h.world.Workload(s.Workload).Current)
}

// spent reports whether a Rollout has no more use for a claim: it is at another revision or
// has left the step. One that was let go is needed until the step that makes its pods is
// behind.
func (h *host) spent(c *stepClaim) bool {
	r, _ := h.world.Rollout(c.Workload)
	_, by, ok := h.world.Opens(c.Step)
	switch {
	case !ok, !r.Underway, h.world.Workload(c.Workload).Revision != c.Revision:
		return true
	case !c.went:
		return r.Waits == nil || r.Waits.Step != c.Step
	}
	return r.Step > by
}

// setStandIns has so many pods stand for those of a step. Where all of them are to be
// told, those that the engine knows are, too.
func (h *host) setStandIns(now time.Duration, c *stepClaim, want int, all bool, tell func(engine.Event)) {
	g, had := c.group, c.standIns
	if had != want {
		c.heard = now
	}
	c.standIns = want
	g.pods += want - had
	if !c.went {
		*c.workload.held += want - had
	}
	if want > had && !g.known {
		h.announce(g, tell)
	}
	for i := range max(had, want) {
		switch {
		case i >= want:
			tell(engine.Event{PodGone: c.pod(i)})
		case all || i >= had:
			h.seeStandIn(c, i, &h.scratch)
			tell(engine.Event{Pod: &h.scratch})
		}
	}
	if g.pods == 0 && g.known {
		g.known = false
		tell(engine.Event{GroupGone: g.announced.ID})
	}
}

// announce tells the engine of a group.
func (h *host) announce(g *group, tell func(engine.Event)) {
	g.known = true
	g.announced.More, g.announced.Back = h.stateNow(g)
	g.announced.Room = h.room(g.workload.pool)
	next := g.announced
	tell(engine.Event{Group: &next})
}

// pod names one of those that stand for a step's pods.
func (c *stepClaim) pod(i int) core.PodID {
	return core.PodID(fmt.Sprintf("step-%06d-%04d", c.number, i))
}

// seeStandIn describes a pod that stands for one of a step: held while the step is; let
// go, and on its way, afterwards.
func (h *host) seeStandIn(c *stepClaim, i int, out *engine.Pod) {
	*out = engine.Pod{ID: c.pod(i), Group: c.group.announced.ID, Created: at(c.since), Phase: engine.PodGated, HoldUntil: at(c.since + c.workload.hold)}
	if !c.went {
		return
	}
	out.Phase, out.HoldUntil, out.ReleasedAt = engine.PodUnbound, time.Time{}, at(c.released)
	if c.idle {
		out.Phase = engine.PodUnschedulable
	}
}

// goStep carries out that a step goes, with all of its pods.
func (h *host) goStep(now time.Duration, c *stepClaim, r engine.Release, decision string) {
	*c.workload.held -= c.standIns
	c.went, c.released, c.heard, c.why = true, now, now, r.Reason
	for i := range c.standIns {
		h.engine.Observe(at(now), engine.Event{Released: &engine.Booking{Pod: c.pod(i), Decision: decision}})
	}
	for i := range c.standIns {
		h.seeStandIn(c, i, &h.scratch)
		h.engine.Observe(at(now), engine.Event{Pod: &h.scratch})
	}
}

// ofStep notes that a pod of a Rollout is of a step that was let go.
func (h *host) ofStep(id model.PodID) {
	p := h.world.Pod(id)
	for _, c := range h.steps.claims {
		if c.went && c.Workload == p.Workload && c.Revision == p.Revision && p.Created >= c.released {
			h.pods[id].flags |= podWent
			h.pods[id].released = c.released
			return
		}
	}
}

// answerSteps answers the questions that the turn has looked at, and keeps why others
// wait. It says when a step may have been quiet for too long.
func (h *host) answerSteps(d engine.Decision, consider func(time.Duration)) {
	if len(h.steps.claims) > 0 {
		holds := map[core.GroupID]core.Reason{}
		for _, hold := range d.Holds {
			holds[hold.Group] = hold.Reason
		}
		for _, c := range h.steps.claims {
			if reason, held := holds[c.group.announced.ID]; held && !c.went {
				c.why = reason
			}
			if c.went && !c.idle {
				consider(c.heard + claimTTL + 1)
			}
		}
	}
	for _, s := range h.steps.asked {
		if c := h.steps.of(s); c != nil {
			h.world.AnswerStep(s, c.answer(), 0)
		}
	}
	h.steps.asked = h.steps.asked[:0]
}

// claimStepsAgain finds the steps that wait and those that were let go, as a controller
// does that begins: from the AnalysisRuns.
func (h *host) claimStepsAgain() {
	h.steps = steps{}
	for i, w := range h.workloads {
		if w == nil || !w.rollout {
			continue
		}
		r, _ := h.world.Rollout(model.WorkloadID(i))
		for _, g := range r.Passed {
			h.restoreStep(g)
		}
		if r.Waits != nil {
			h.steps.asked = append(h.steps.asked, r.Waits.Step)
		}
	}
	if len(h.steps.claims) == 0 {
		return
	}
	for id := range h.pods {
		if g := h.pods[id].group; g != model.None && h.groups[g].workload.rollout {
			h.ofStep(model.PodID(id))
		}
	}
}

// restoreStep claims a step that was let go before this controller began. What of its
// pods is there already is not booked again.
func (h *host) restoreStep(g model.Gate) {
	c := h.newClaim(g.Step, g.Since)
	c.went, c.released, c.heard, c.why = true, g.Through, h.world.Now(), core.Budget
	if h.spent(c) {
		h.steps.claims = h.steps.claims[:len(h.steps.claims)-1]
		return
	}
	c.standIns = h.standIns(g.Step)
	c.group.pods += c.standIns
}

// everyStep adds the pods that stand for those of steps.
func (h *host) everyStep(add func(engine.Event)) {
	for _, c := range h.steps.claims {
		for i := range c.standIns {
			seen := &engine.Pod{}
			h.seeStandIn(c, i, seen)
			add(engine.Event{Pod: seen})
		}
	}
}
