package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// podState is what the controller knows of a pod besides what the world shows.
type podState struct {
	group    int32 // None: not of any
	flags    podFlags
	released time.Duration // its release mark, where it went
}

type podFlags uint8

const (
	podDirty  podFlags = 1 << iota // it changed since the last turn
	podKnown                       // the engine knows it
	podHeld                        // it counts among the held
	podWent                        // it was let go
	podNoRoom                      // the scheduler found no node
	podReady                       // it serves
	podGone
)

// workload is what the controller knows of a workload.
type workload struct {
	id        model.WorkloadID
	name      string // Kind/namespace/name
	namespace string
	class     core.Class
	hold      time.Duration
	weight    int
	always    bool
	pool      *pool
	paced     bool // an image of it draws on an account
	neverHeld bool
	rollout   bool  // of Argo: its steps are held, its pods never
	held      *int  // pods held in its namespace
	groups    []int // in the order in which they came
	// revision is the current one, been those that were, back whether it was current
	// before another.
	revision int32
	been     map[int32]bool
	back     bool
	serving  []serving // by revision
	several  bool      // pods have more than one image
}

// serving is how many pods of a revision are Ready, and the most that were at once.
type serving struct{ ready, most int }

// of is the one of a revision.
func (w *workload) of(revision int32) *serving {
	for len(w.serving) <= int(revision) {
		w.serving = append(w.serving, serving{})
	}
	return &w.serving[revision]
}

// group is pods alike, as the engine knows them.
type group struct {
	workload  *workload
	revision  int32
	lane      engine.Lane
	announced engine.Group
	known     bool // to the engine
	line      line
	held      int // that the gate holds and nobody lets go
	pods      int
}

// kindOf is how Kubernetes calls a workload.
func kindOf(l *scenario.Workload) string {
	if l.Kind == "" {
		return string(scenario.Deployment)
	}
	return string(l.Kind)
}

// meetWorkloads reads the workloads of the scenario.
func (h *host) meetWorkloads() {
	h.workloads = make([]*workload, len(h.spec.Workloads))
	for i := range h.spec.Workloads {
		l := &h.spec.Workloads[i]
		if l.Cluster != h.cluster {
			continue
		}
		class := h.policy.ClassOf("")
		if l.Class != "" {
			class = l.Class.Core()
		}
		w := &workload{
			id: model.WorkloadID(i), name: fmt.Sprintf("%s/%s/%s", kindOf(l), l.Namespace, l.Name), namespace: l.Namespace, class: class,
			hold: h.policy.HoldFor(class), weight: h.policy.WeightOf(l.Namespace), always: l.ImagePullPolicy == scenario.Always,
			pool: h.poolOf(l.NodePools), been: map[int32]bool{}, rollout: l.Kind == scenario.Rollout,
		}
		if h.namespaces[l.Namespace] == nil {
			h.namespaces[l.Namespace] = new(int)
		}
		w.held = h.namespaces[l.Namespace]
		view := h.world.Workload(w.id)
		w.revision = view.Revision
		w.been[view.Revision] = true
		h.workloads[i] = w
		h.readImages(w)
		h.guard(w, l)
	}
}

// readImages notes whether a workload's pods draw on an account, and have several
// images.
func (h *host) readImages(w *workload) {
	images := h.world.Images(w.id, w.revision)
	w.several, w.paced = len(images) > 1, false
	for _, image := range images {
		w.paced = w.paced || len(h.drawnBy(image)) > 0
	}
}

// guard keeps the old pods of a Deployment that would delete them first, as
// admission does.
func (h *host) guard(w *workload, l *scenario.Workload) {
	deletesFirst := l.Kind == scenario.Deployment && l.Strategy.MaxUnavailable.Number > 0
	if !deletesFirst || !h.enforce || !w.paced {
		return
	}
	if h.policy.DeleteFirst == "Never" {
		w.neverHeld = true
		return
	}
	h.world.SurgeOnly(w.id)
}

// observe takes in a change of the workload.
func (w *workload) observe(view model.Workload) {
	if view.Revision != w.revision {
		w.revision, w.back = view.Revision, w.been[view.Revision]
		w.been[view.Revision] = true
	}
	s := w.of(view.Revision)
	s.most = min(s.most, view.Replicas)
}

// meetPod takes in a pod that came, and returns its workload; nil for those of
// DaemonSets, which the engine knows by their pulls, and of other clusters.
func (h *host) meetPod(id model.PodID) *workload {
	for len(h.pods) <= int(id) {
		h.pods = append(h.pods, podState{group: model.None})
	}
	p := h.world.Pod(id)
	if p.Daemon || p.Workload == model.None || p.Phase == model.PodDeleted {
		return nil
	}
	w := h.workloads[p.Workload]
	if w == nil { // of another cluster
		return nil
	}
	if p.Revision != w.revision {
		w.observe(h.world.Workload(w.id))
		h.readImages(w)
	}
	lane := engine.LaneNormal
	if p.Created >= 0 && p.Phase < model.PodBinding && h.enforce && !w.rollout {
		view := h.world.Workload(w.id)
		lane = engine.LaneOf(w.back && view.Rolling && p.Revision == view.Revision, view.Current, w.of(p.Revision).most)
	}
	h.pods[id].group = int32(h.groupOf(w, p.Revision, lane))
	h.groups[h.pods[id].group].pods++
	if p.Phase == model.PodRunning {
		h.serves(w, p.Revision, id)
	}
	return w
}

// serves counts a Ready pod.
func (h *host) serves(w *workload, revision int32, id model.PodID) {
	h.pods[id].flags |= podReady
	s := w.of(revision)
	s.ready++
	s.most = max(s.most, s.ready)
}

// groupOf is the group of pods of a revision in a lane.
func (h *host) groupOf(w *workload, revision int32, lane engine.Lane) int {
	for _, i := range w.groups {
		if g := h.groups[i]; g.revision == revision && g.lane == lane {
			return i
		}
	}
	i := len(h.groups)
	g := &group{workload: w, revision: revision, lane: lane}
	g.announced = engine.Group{
		ID: core.GroupID(fmt.Sprintf("%s/%d%s", w.name, revision, lane)), Namespace: w.namespace, Workload: w.name,
		Revision: strconv.Itoa(int(revision)), Class: w.class, Weight: w.weight, Lane: lane, Whole: w.rollout, Pool: w.pool.id, Waves: h.policy.EngineWaves(), PauseOn: h.policy.EnginePauseOn(),
	}
	for _, image := range h.world.Images(w.id, revision) {
		g.announced.Images = append(g.announced.Images, h.use(image, w.always))
		if !h.shaped[image] && len(h.drawnBy(image)) > 0 {
			h.shaped[image] = true
			h.unshaped = append(h.unshaped, image)
		}
	}
	h.groups = append(h.groups, g)
	w.groups = append(w.groups, i)
	return i
}

// hold counts a pod among those that the gate holds.
func (h *host) hold(id model.PodID) {
	p := &h.pods[id]
	p.flags |= podHeld
	g := h.groups[p.group]
	g.line.push(id)
	g.held++
	*g.workload.held++
}

// unhold counts it out.
func (h *host) unhold(id model.PodID) {
	p := &h.pods[id]
	if p.flags&podHeld != 0 {
		p.flags &^= podHeld
		h.groups[p.group].held--
		*h.groups[p.group].workload.held--
	}
}

// moved takes in that a pod is somewhere else now.
func (h *host) moved(e model.Event) {
	if e.Pod == model.None || int(e.Pod) >= len(h.pods) || h.pods[e.Pod].group == model.None {
		return
	}
	p := &h.pods[e.Pod]
	g := h.groups[p.group]
	switch e.Kind {
	case model.PodReady:
		h.serves(g.workload, g.revision, e.Pod)
		return // no pod needs pulls less for it
	case model.PodUnschedulable:
		p.flags |= podNoRoom
	case model.PodBound:
		p.flags &^= podNoRoom
	case model.PullsDone:
		if g.workload.several {
			delete(h.started, e.Pod)
		}
	case model.PodGone:
		h.unhold(e.Pod)
		if p.flags&podReady != 0 {
			g.workload.of(g.revision).ready--
		}
		p.flags |= podGone
		h.forgetFailures(e.Pod)
	}
	h.note(e.Pod)
}

// finished takes in that an image is on a node.
func (h *host) finished(e model.Event) {
	h.willReport(e.Node)
	if e.Pod == model.None || int(e.Pod) >= len(h.pods) || h.pods[e.Pod].group == model.None {
		h.daemonDone(e)
		h.nodePulled(e.Node)
		return
	}
	delete(h.failing, pullOf{e.Pod, e.Image})
	p := &h.pods[e.Pod]
	if g := h.groups[p.group]; len(g.announced.Images) > 1 {
		h.started[e.Pod] = append(h.started[e.Pod], h.images[e.Image])
		h.note(e.Pod)
	}
}

// note marks a pod as changed.
func (h *host) note(id model.PodID) {
	if p := &h.pods[id]; p.flags&podDirty == 0 {
		p.flags |= podDirty
		h.dirty = append(h.dirty, id)
	}
	h.signal()
}

// The names of pods and nodes in the engine are a prefix and a number, and sort by
// age.
const (
	podPrefix  = "pod-"
	nodePrefix = "node-"
)

// names are those of pods, made many at a time and kept in long strings.
type names struct{ blocks []string }

const (
	namesPerBlock = 1024
	podDigits     = 8
	nodeDigits    = 6
	nameLength    = len(podPrefix) + podDigits
)

// appendDigits appends a number with zeros before it.
func appendDigits(to []byte, number, digits int) []byte {
	var scratch [20]byte
	tail := strconv.AppendInt(scratch[:0], int64(number), 10)
	for range digits - len(tail) {
		to = append(to, '0')
	}
	return append(to, tail...)
}

// increment makes a name that ends with a number that of the next.
func increment(name []byte) {
	i := len(name) - 1
	for ; name[i] == '9'; i-- {
		name[i] = '0'
	}
	name[i]++
}

// of is the name of a pod.
func (n *names) of(id model.PodID) core.PodID {
	for len(n.blocks) <= int(id)/namesPerBlock {
		var block strings.Builder
		block.Grow(namesPerBlock * nameLength)
		name := appendDigits([]byte(podPrefix), len(n.blocks)*namesPerBlock, podDigits)
		for range namesPerBlock {
			block.Write(name)
			increment(name)
		}
		n.blocks = append(n.blocks, block.String())
	}
	from := int(id) % namesPerBlock * nameLength
	return core.PodID(n.blocks[int(id)/namesPerBlock][from : from+nameLength])
}

// see describes a pod as its object shows it.
func (h *host) see(id model.PodID, out *engine.Pod) {
	p, state := h.world.Pod(id), &h.pods[id]
	*out = engine.Pod{}
	out.ID, out.Group, out.Created = h.names.of(id), h.groups[state.group].announced.ID, at(p.Created)
	if state.flags&podWent != 0 {
		out.ReleasedAt = at(state.released)
	}
	switch p.Phase {
	case model.PodGated:
		out.Phase, out.HoldUntil = engine.PodGated, at(p.Created+h.groups[state.group].workload.hold)
	case model.PodPending:
		out.Phase = engine.PodUnbound
		if state.flags&podNoRoom != 0 {
			out.Phase = engine.PodUnschedulable
		}
	case model.PodBinding:
		out.Phase, out.Node = engine.PodBound, h.nodes[p.Node]
		out.Started = slices.Clone(h.started[id])
	default:
		out.Phase, out.Node = engine.PodPulled, h.nodes[p.Node]
	}
}
