package policy

import (
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// The pace of the controller. Sources: turnDebounce and turnIdle of
// pacer/controller/turn.go, probesPerSecond and shapesPerSecond of its probe.go, and
// how late a node lists what it pulled (a kubelet looks every 30 s and reports every
// 10 s).
const (
	debounce        = 50 * time.Millisecond
	idle            = 5 * time.Second
	probesPerSecond = 10
	shapesPerSecond = 5
	nodeStatus      = 30 * time.Second
)

// at is a time of the run as engines know it: runs begin with the year 2026.
func at(d time.Duration) time.Time { return time.Unix(1767225600, int64(d)).UTC() }

// since is its inverse.
func since(t time.Time) time.Duration { return t.Sub(at(0)) }

// host is the controller in a simulated world.
type host struct {
	seat
	spec *scenario.Spec
	// cluster that it is the controller of, where the scenario has several.
	cluster string
	policy  v1alpha1.PacePolicySpec // with its defaults
	enforce bool
	maxHeld int  // in a namespace
	capped  bool // the policy itself says so
	world   *model.World
	// make makes an engine, which decides.
	make   func(seed uint64) decider
	engine decider
	down   bool
	saved  engine.State // that the last controller wrote down

	accounts   []*account
	byRegistry [][]*account // in the order in which a pull looks at them
	images     []core.Image
	registryOf []model.RegistryID // by image
	shaped     []bool             // asked for what it is made of, or not paced
	unshaped   []model.ImageID
	workloads  []*workload
	groups     []*group
	pods       []podState
	names      names
	started    map[model.PodID][]core.Image // of pods with several images, those that started
	namespaces map[string]*int              // pods held in it
	// tooMany and despaired count pods that admission let pass for these reasons,
	// mostHeld is how many of a namespace it held at once.
	tooMany, despaired, mostHeld int
	anyHopeless                  bool // an account is, as the last turn said

	nodes     []core.NodeID
	pools     []*pool
	daemons   map[daemonKey]bool // whether it still pulls
	bundles   map[model.PoolID]*bundle
	heldNodes map[model.NodeID]*heldNode
	claims    map[model.PoolID][]int // nodes that are asked for, by number, the oldest first
	claimed   int
	steps     steps         // of Rollouts, at their gates
	nodeHold  time.Duration // how long a node is held at most; 0: none is
	// nodesPassed counts nodes that were not held because of the others.
	nodesPassed int
	statuses    []status // of nodes that will report, the first due first
	noted       []bool   // by node: it is among them

	dirty    []model.PodID
	changed  []model.WorkloadID
	failures []failure          // since the last turn
	failing  map[pullOf]failure // that pods show
	news     []engine.Event     // of nodes and probes
	probes   *limiter.Limiter
	shapes   *limiter.Limiter

	signalled bool          // something changed since the last turn
	writing   time.Duration // when the last release will be written
	finishing bool          // a turn waits for that
	due       time.Duration // of the next turn
	timer     int32         // that is waited for
	scratch   engine.Pod    // what the engine is told of
	reported  engine.Node
	booking   engine.Booking
}

// decider is what the host needs of an engine.
type decider interface {
	Observe(now time.Time, ev engine.Event)
	Decide(now time.Time) engine.Decision
	Replace(now time.Time, w engine.World)
	Export() engine.State
	Restore(now time.Time, s engine.State)
}

// status is a node that will report its images.
type status struct {
	node model.NodeID
	at   time.Duration
}

// newHost reads the policy and the budgets. What they select by labels is refused:
// nothing in a scenario has any.
func newHost(spec *scenario.Spec, p *scenario.Pace, of seat) (*host, error) {
	h := &host{seat: of, spec: spec, policy: *p.Policy.DeepCopy(), started: map[model.PodID][]core.Image{}, failing: map[pullOf]failure{},
		namespaces: map[string]*int{}, daemons: map[daemonKey]bool{},
		bundles: map[model.PoolID]*bundle{}, heldNodes: map[model.NodeID]*heldNode{}, claims: map[model.PoolID][]int{},
		make: func(seed uint64) decider { return engine.New(engine.Config{Seed: seed}) }}
	if len(spec.Clusters) > 0 {
		h.cluster = spec.Clusters[of]
	}
	if h.policy.NamespaceSelector != nil || h.policy.PodSelector != nil {
		return nil, fmt.Errorf("reading the policy: nothing in a scenario has labels to select by")
	}
	if h.policy.DeleteFirst == v1alpha1.PauseRollout {
		return nil, fmt.Errorf("reading the policy: deleteFirst %s is not simulated", v1alpha1.PauseRollout)
	}
	h.capped = h.policy.MaxGatedPerNamespace != nil
	h.policy.Default()
	h.enforce, h.maxHeld = h.policy.Mode == v1alpha1.Enforce, int(*h.policy.MaxGatedPerNamespace)
	if most, holds := h.policy.HoldsNodes(); holds {
		h.nodeHold = most
	}
	if err := h.readBudgets(p.Budgets); err != nil {
		return nil, err
	}
	h.probes, h.shapes = perSecond(probesPerSecond), perSecond(shapesPerSecond)
	h.nameImages()
	return h, nil
}

// perSecond is a client's limit of n requests a second, n of them at once.
func perSecond(n int64) *limiter.Limiter {
	l, err := limiter.New(limiter.Config{Type: limiter.TokenBucket, Limit: n, Refill: n, Every: time.Second})
	if err != nil {
		panic(err) // the numbers are those of this file
	}
	return l
}

// Begin gives the engine the world as it stands.
func (h *host) Begin(w *model.World) {
	h.world = w
	h.engine = h.make(w.Seed(int(h.seat)))
	h.pods, h.dirty = make([]podState, 0, w.Room()), make([]model.PodID, 0, w.Room())
	h.nodes, h.noted = make([]core.NodeID, 0, w.Nodes()), make([]bool, 0, w.Nodes())
	h.meetWorkloads()
	for n := range w.Nodes() {
		h.meetNode(model.NodeID(n))
	}
	for id := range w.Pods() {
		h.meetPod(model.PodID(id))
	}
	h.past()
	h.due = never
	h.signal()
}

// history is how long the controller has been there when the run begins: long enough
// for the readings that tell a registry that says nothing from one that was not
// asked yet.
const history = 20 * time.Minute

// past is what the controller went through before the start: it met the world, and
// asked each registry at the pace of one that nobody waits for. All accounts were
// full.
func (h *host) past() {
	h.engine.Replace(at(-history), engine.World{Events: h.everything()})
	for _, a := range h.accounts {
		for sent := -history + time.Minute; sent < 0; sent += (history - 2*time.Minute) / 3 {
			h.engine.Observe(at(sent), engine.Event{Reading: &engine.Reading{Account: a.id, Observation: a.full(sent)}})
		}
	}
	for image, id := range h.images {
		if id != "" {
			h.look(model.ImageID(image))
		}
	}
}

// Gate is admission: it holds pods that the policy rules and a budget paces. The rules
// are those of pacer/kube's Judge that a scenario can meet. The cap of what is held in
// a namespace is one that a scenario must write: without it a scenario asks what
// pacing makes of all its pods, and is told what cap a cluster then needs.
func (h *host) Gate(id model.PodID) bool {
	w := h.meetPod(id)
	held := h.enforce && w.paced && !w.neverHeld && !w.rollout
	switch {
	case w.rollout:
		h.ofStep(id)
	case !held:
	case h.capped && *w.held >= h.maxHeld:
		h.tooMany++
		held = false
	case h.hopeless(w.id, h.world.Pod(id).Revision):
		h.despaired++
		held = false
	}
	if held {
		h.hold(id)
		h.mostHeld = max(h.mostHeld, *w.held)
	}
	h.note(id)
	return held
}

// Notes are what a reader of the result should know of the policy.
func (h *host) Notes() []string {
	var out []string
	if h.tooMany > 0 {
		out = append(out, fmt.Sprintf("%d pods were not held because maxGatedPerNamespace (%d) others of their namespace were", h.tooMany, h.maxHeld))
	}
	if !h.capped && h.mostHeld > h.maxHeld {
		out = append(out, fmt.Sprintf("%d pods of a namespace were held at once: a cluster lets those beyond %d go, unless its PacePolicy sets maxGatedPerNamespace to %d", h.mostHeld, h.maxHeld, h.mostHeld))
	}
	if h.despaired > 0 {
		out = append(out, fmt.Sprintf("%d pods were not held because more was asked of their registry than it gives in any wait", h.despaired))
	}
	if h.nodesPassed > 0 {
		out = append(out, fmt.Sprintf("%d new nodes were not held: no more than half of a pool is, and two nodes of the cluster take pods at any time", h.nodesPassed))
	}
	if !h.enforce {
		out = append(out, fmt.Sprintf("nothing was held: the policy's mode is %s", h.policy.Mode))
	}
	return out
}

// hopeless reports whether no wait helps a workload's pod, as the last turn said.
func (h *host) hopeless(id model.WorkloadID, revision int32) bool {
	if !h.anyHopeless {
		return false
	}
	any := false
	for _, image := range h.world.Images(id, revision) {
		for _, a := range h.drawnBy(image) {
			if !a.hopeless {
				return false
			}
			any = true
		}
	}
	return any
}

// Observe takes in what a controller would see of an event.
func (h *host) Observe(e model.Event) {
	switch e.Kind {
	case model.TimerFired:
		if e.Timer == h.timer && !h.down {
			h.turn()
		}
		return
	case model.ControllerLost:
		h.lose()
		return
	case model.ControllerBack:
		h.recover()
		return
	}
	if h.down {
		return
	}
	switch e.Kind {
	case model.NodeAdded:
		h.meetNode(e.Node)
		h.join(e.Node)
	case model.NodeGone:
		h.leave(e.Node)
	case model.NodeComing:
		h.claim(e.Pool)
	case model.NodePurged:
		h.willReport(e.Node)
	case model.PullBegan:
		h.daemonPulls(e)
	case model.PullFailed:
		h.failed(e)
	case model.PullFinished:
		h.finished(e)
	case model.PodBound, model.PullsDone, model.PodUnschedulable, model.PodReady, model.PodGone:
		h.moved(e)
	case model.WorkloadChanged:
		h.changed = append(h.changed, e.Workload)
		h.workloads[e.Workload].observe(h.world.Workload(e.Workload))
		h.signal()
	case model.StepTaken:
		h.changed = append(h.changed, e.Workload)
		h.signal()
	}
}

// Answer takes in what a registry answered.
func (h *host) Answer(r model.Reading) {
	if h.down {
		return
	}
	if image := model.ImageID(r.Ref) - shapeRef; image >= 0 {
		if r.Status == 200 {
			h.look(image)
		}
		h.signal()
		return
	}
	a := h.accounts[r.Ref]
	a.answers = append(a.answers, engine.Event{Reading: &engine.Reading{Account: a.id, Observation: a.observation(r)}})
	if a.twice { // right after the first, and both are taken in together
		a.twice = false
		h.ask(a)
		return
	}
	a.asked = false
	h.news = append(h.news, a.answers...)
	a.answers = nil
	h.signal()
}

// shapeRef is added to the image of a request for what it is made of.
const shapeRef = 1 << 20

// look tells the engine what an image is made of.
func (h *host) look(image model.ImageID) {
	manifests := 1
	if h.spec.Images[image].MultiArch {
		manifests = 2
	}
	shape := engine.Event{Shape: &engine.ImageShape{Image: h.images[image], Manifests: manifests}}
	if h.world.Now() == 0 && !h.signalled {
		h.engine.Observe(at(0), shape)
		return
	}
	h.news = append(h.news, shape)
}
