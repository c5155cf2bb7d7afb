package policy

import (
	"fmt"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// seat is the place of what paces one cluster among those of several, in the order of
// the scenario. Timers and probes of each have numbers of their own, by which they
// find back.
type seat int32

// How many numbers each has. Timers of sixteen fit into what an event carries.
const (
	timersEach = 1 << 20
	refsEach   = 1 << 21
)

func (s seat) timerRef(n int32) int32 { return int32(s)*timersEach + n }

func (s seat) probeRef(n int32) int32 { return int32(s)*refsEach + n }

// clusters paces several clusters, each by a pacer of its own that sees of the world what
// its cluster shows, and nothing of the others.
type clusters struct {
	names     []string
	members   []model.Pacer
	pools     []int // by pool, the member that paces it
	workloads []int
	world     *model.World
}

func newClusters(spec *scenario.Spec, p scenario.Policy) (*clusters, error) {
	f := &clusters{names: spec.Clusters}
	of := map[string]int{}
	for i, name := range spec.Clusters {
		member, err := newMember(spec, p, seat(i))
		if err != nil {
			return nil, err
		}
		f.members = append(f.members, member)
		of[name] = i
	}
	for _, pool := range spec.NodePools {
		f.pools = append(f.pools, of[pool.Cluster])
	}
	for _, w := range spec.Workloads {
		f.workloads = append(f.workloads, of[w.Cluster])
	}
	return f, nil
}

// Begin gives each its part of the world.
func (f *clusters) Begin(w *model.World) {
	f.world = w
	for _, m := range f.members {
		m.Begin(w)
	}
}

// Gate asks the pacer of the pod's cluster.
func (f *clusters) Gate(pod model.PodID) bool { return f.ofPod(pod).Gate(pod) }

// GateNode asks the pacer of the node's cluster, if it holds nodes at all.
func (f *clusters) GateNode(node model.NodeID) bool {
	g, ok := f.members[f.pools[f.world.Node(node).Pool]].(model.NodeGate)
	return ok && g.GateNode(node)
}

// AskStep asks the pacer of the Rollout's cluster; without gates they are open.
func (f *clusters) AskStep(s model.Step) {
	if g, ok := f.members[f.workloads[s.Workload]].(model.StepGate); ok {
		g.AskStep(s)
		return
	}
	f.world.AnswerStep(s, model.Answer{Allow: true}, 0)
}

// Observe tells those that see it.
func (f *clusters) Observe(e model.Event) {
	switch e.Kind {
	case model.TimerFired:
		m := f.members[e.Timer/timersEach]
		e.Timer %= timersEach
		m.Observe(e)
	case model.ControllerLost, model.ControllerBack:
		for _, m := range f.members {
			m.Observe(e)
		}
	case model.WorkloadChanged, model.StepTaken:
		f.members[f.workloads[e.Workload]].Observe(e)
	case model.NodeComing:
		f.members[f.pools[e.Pool]].Observe(e)
	case model.PodUnschedulable, model.PodGone:
		f.ofPod(e.Pod).Observe(e)
	default: // it is on a node
		f.members[f.pools[f.world.Node(e.Node).Pool]].Observe(e)
	}
}

// Answer brings an answer to who asked.
func (f *clusters) Answer(r model.Reading) {
	m := f.members[r.Ref/refsEach]
	r.Ref %= refsEach
	m.Answer(r)
}

func (f *clusters) ofPod(pod model.PodID) model.Pacer {
	return f.members[f.workloads[f.world.Pod(pod).Workload]]
}

// Notes are those of all, each with its cluster's name.
func (f *clusters) Notes() []string {
	var out []string
	for i, m := range f.members {
		n, ok := m.(interface{ Notes() []string })
		if !ok {
			continue
		}
		for _, note := range n.Notes() {
			out = append(out, fmt.Sprintf("cluster %s: %s", f.names[i], note))
		}
	}
	return out
}
