package policy

import "github.com/pullpace/pace/simulate/model"

// parallel lets a number of nodes pull at a time, as pre-pullers do: a node's turn
// begins when a pod goes to it that needs a pull, and ends when none of its pods
// needs one any more. It looks at nothing else.
type parallel struct {
	seat
	most   int
	world  *model.World
	line   line
	states []turnState // by pod
	pods   []int32     // by node: how many pull there
	taken  int         // pods that go and nodes that pull
	waking bool        // a timer is set
}

// turnState is where a pod is.
type turnState uint8

const (
	turnNone    turnState = iota
	turnGoing             // it was let go and is on no node yet
	turnPulling           // it pulls
)

func (p *parallel) Begin(w *model.World) { p.world = w }

func (p *parallel) Gate(id model.PodID) bool {
	p.states = grown(p.states, int(id))
	p.line.push(id)
	if !p.waking { // it is held from after this call on
		p.waking = true
		p.world.SetTimer(p.world.Now(), p.timerRef(0))
	}
	return true
}

// grown is s with room for index i.
func grown[T any](s []T, i int) []T {
	if i < len(s) {
		return s
	}
	return append(s, make([]T, i+1-len(s))...)
}

func (p *parallel) Observe(e model.Event) {
	switch e.Kind {
	case model.PodBound, model.PodUnschedulable, model.PullsDone, model.PodGone:
		if int(e.Pod) >= len(p.states) || e.Pod == model.None {
			return
		}
		p.end(e.Pod)
		if e.Kind == model.PodBound && !warm(p.world, e.Pod, e.Node) {
			p.begin(e.Pod, e.Node)
		}
	case model.TimerFired:
		p.waking = false
	default:
		return
	}
	p.admit()
}

func (p *parallel) Answer(model.Reading) {}

// begin takes a turn for the node of a pod, unless it has one.
func (p *parallel) begin(id model.PodID, node model.NodeID) {
	p.states[id] = turnPulling
	p.pods = grown(p.pods, int(node))
	if p.pods[node]++; p.pods[node] == 1 {
		p.taken++
	}
}

// end ends what a pod has.
func (p *parallel) end(id model.PodID) {
	switch p.states[id] {
	case turnGoing:
		p.taken--
	case turnPulling:
		node := p.world.Pod(id).Node
		if p.pods[node]--; p.pods[node] == 0 {
			p.taken--
		}
	}
	p.states[id] = turnNone
}

// admit lets go while there are turns. A pod that finds no node gives its turn back.
func (p *parallel) admit() {
	for p.taken < p.most {
		id := p.line.first(p.world)
		if id == model.None {
			return
		}
		p.line.pop()
		p.states[id] = turnGoing
		p.taken++
		p.world.Release(id, nil)
	}
}
