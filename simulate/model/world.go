package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// The kinds of what is due in the queue.
const (
	dueStart    uint8 = iota // what is pending at zero is created
	dueCreate                // the controllers' client may create again
	dueSchedule              // the scheduler's client may bind again
	dueRelease               // a pod's gate comes off
	duePod                   // a pod's sandbox stands, it looks again for its image, or it is ready
	duePull                  // the answer to a request of a pull
	dueLayer                 // the answer to a request for a layer
	dueUnpack                // a pull has unpacked a layer
	dueLink                  // a flow of a link ends
	dueBatch                 // an autoscaler looks at pods without room
	dueNode                  // a node of a pool joins
	dueLetGo                 // a held node may take pods
	dueStep                  // a Rollout's pause ends, or its gate is answered or asks again
	dueDrain                 // a Rollout need not keep what was stable any more
	dueTimeline              // an entry of the timeline
	dueFault                 // a fault begins
	dueRepair                // a fault ends
	dueForeign               // others draw on an account
	dueProbe                 // the answer to a probe
	dueTimer                 // a timer of the pacer
)

// background reports whether a kind goes on without end and moves no pod by itself.
func background(kind uint8) bool { return kind >= dueForeign }

// World is a run under way.
type World struct {
	spec    *scenario.Spec
	streams kernel.Streams
	pacer   Pacer
	lost    bool // the controller is away: it sees and does nothing
	looks   uint64
	// drawsRTT says that some answer takes a time that is drawn.
	drawsRTT bool

	now     kernel.Time
	horizon kernel.Time
	queue   *kernel.Queue
	digest  *kernel.Digest
	events  int64
	check   *checker // only where tests ask for it

	names      names
	registries []registry
	egresses   []egress
	addresses  []address
	mirrors    []mirror
	links      []link
	cards      int32 // link that nodes' cards alone bound
	foreigns   []foreign
	pools      []pool
	zoneCount  int32
	images     []image
	layers     []int64 // sizes
	nodes      []node
	caches     caches
	pulls      []pull
	freePulls  int32
	// begun is when a first manifest was granted to pulls that failed after it.
	begun     map[place]kernel.Time
	loads     []load
	freeLoads int32

	workloads  []workload
	sets       []set
	pods       []pod
	dirty      []WorkloadID
	planes     []plane // by cluster
	scalers    []scaler
	probes     []probe
	freeProbes []int32
	held       int64 // pods that the gate holds
	ahead      int   // entries of the timeline and faults to come
	open       int   // pods that are not Running, of DaemonSets too
	rolling    int   // Rollouts under way
	out        Outcome
	series     recorder
}

// Run plays one replication of a scenario, paced by a pacer or, with nil, by
// nobody.
func Run(spec *scenario.Spec, replication int, pacer Pacer) *Outcome {
	w := newWorld(spec, replication, pacer)
	w.begin()
	w.run()
	return w.outcome()
}

// RunChecked is Run for tests of whatever paces worlds: at every event it checks,
// counting anew, that nothing is lost or made, and says what was. It takes many
// times as long.
func RunChecked(spec *scenario.Spec, replication int, pacer Pacer) (*Outcome, error) {
	w := newWorld(spec, replication, pacer)
	w.begin()
	w.check = newChecker(int64(1 + (len(w.nodes)+len(w.pods))/100))
	w.run()
	w.check.end(w)
	return w.outcome(), w.check.err
}

// run handles what is due until nothing is, or the horizon.
func (w *World) run() {
	for {
		e, ok := w.queue.Pop()
		if !ok {
			break
		}
		if e.At > w.horizon {
			w.now = w.horizon
			break
		}
		if w.check != nil {
			w.check.before(w, e.At)
		}
		if e.At >= w.series.next {
			w.series.until(w, e.At)
		}
		w.now = e.At
		if background(e.Kind()) && w.quiet() {
			break
		}
		w.handle(e)
		w.settle()
		if w.check != nil {
			w.check.after(w)
		}
	}
}

// quiet reports whether nothing can change any more but what others draw.
func (w *World) quiet() bool {
	if w.open > 0 || w.ahead > 0 || w.rolling > 0 {
		return false
	}
	for i := range w.planes {
		if w.planes[i].creating.count > 0 {
			return false
		}
	}
	for i := range w.pools {
		if w.pools[i].booting > 0 || w.pools[i].held > 0 {
			return false
		}
	}
	return true
}

func (w *World) handle(e kernel.Event) {
	i := e.Index()
	switch e.Kind() {
	case dueStart:
		w.ahead--
		w.start()
	case dueCreate:
		if c := &w.planes[i]; c.creation == e.Ticket() {
			c.creation = kernel.NoTicket
		}
	case dueSchedule:
		if s := &w.planes[i].scheduler; s.timer == e.Ticket() {
			s.timer = kernel.NoTicket
		}
	case dueRelease:
		w.ungate(PodID(i))
	case duePod:
		if w.pods[i].timer == e.Ticket() {
			w.pods[i].timer = kernel.NoTicket
			w.podDue(PodID(i))
		}
	case duePull:
		if w.pulls[i].timer == e.Ticket() {
			w.pulls[i].timer = kernel.NoTicket
			w.answered(int32(i))
		}
	case dueLayer:
		w.loadAnswered(int32(i))
	case dueUnpack:
		w.unpacked(int32(i))
	case dueLink:
		w.linkDue(int32(i), e.Ticket())
	case dueBatch:
		w.batchDue(int32(i), e.Ticket())
	case dueNode:
		w.pools[i].booting--
		w.join(PoolID(i))
	case dueLetGo:
		w.unhold(int32(i))
	case dueStep:
		if r := w.workloads[i].canary; r.timer == e.Ticket() {
			r.timer = kernel.NoTicket
			w.stepDue(WorkloadID(i))
		}
	case dueDrain:
		w.touch(WorkloadID(i))
	case dueTimeline:
		w.ahead--
		w.happen(i)
	case dueFault:
		w.ahead--
		w.breakdown(i)
	case dueRepair:
		w.ahead--
		w.repair(i)
	case dueForeign:
		w.foreignDue(i)
	case dueProbe:
		w.probeDue(i)
	case dueTimer:
		w.observe(Event{Kind: TimerFired, Timer: int32(i)})
	}
}

// settle lets the controllers and the scheduler act on what has just happened. They
// act here and not where it happens, so that nothing calls itself.
func (w *World) settle() {
	for again := true; again; {
		again = false
		for len(w.dirty) > 0 {
			last := len(w.dirty) - 1
			id := w.dirty[last]
			w.dirty = w.dirty[:last]
			w.workloads[id].dirty = false
			w.sync(id)
		}
		for i := range w.planes {
			if w.planes[i].act(w) {
				again = true
				break
			}
		}
	}
}

// record adds to the digest of what happened.
func (w *World) record(kind uint8, index int32, value int64) {
	w.events++
	w.digest.Add(w.now, kind, int(index), value)
}

func (w *World) observe(e Event) {
	if w.pacer != nil && !w.lost {
		w.pacer.Observe(e)
	}
}

func (w *World) after(d time.Duration) kernel.Time { return w.now.Add(d) }

// The kinds of records in the digest.
const (
	recCreated uint8 = iota
	recReleased
	recBound
	recBegan
	recAccepted
	recDenied
	recFailed
	recFinished
	recReady
	recGone
	recNode
	recForeign
	recProbe
	recEntry
	recFault
	recLetGo
	recStep
)
