package policy

import (
	"slices"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// New makes what paces a world of the scenario by one of its policies; nil: nothing
// does. It serves one run.
func New(spec *scenario.Spec, p scenario.Policy) (model.Pacer, error) {
	if p.Unpaced != nil {
		return nil, nil
	}
	if len(spec.Clusters) > 1 {
		return newClusters(spec, p)
	}
	return newMember(spec, p, 0)
}

// newMember makes what paces one cluster of a scenario.
func newMember(spec *scenario.Spec, p scenario.Policy, of seat) (model.Pacer, error) {
	switch {
	case p.FixedParallelism != nil:
		return &parallel{seat: of, most: p.FixedParallelism.Nodes}, nil
	case p.StaticRate != nil:
		return newRated(of, p.StaticRate)
	case p.Pace != nil:
		return newHost(spec, p.Pace, of)
	}
	return nil, nil
}

// line is held pods in the order in which they came.
type line struct {
	pods []model.PodID
	head int
}

func (l *line) push(id model.PodID) {
	if len(l.pods) == cap(l.pods) { // by twice, which leaves less behind than append does
		l.pods = slices.Grow(l.pods, len(l.pods)+1)
	}
	l.pods = append(l.pods, id)
}

// first is the oldest pod that the gate holds still; None if there is none.
func (l *line) first(w *model.World) model.PodID {
	for l.head < len(l.pods) {
		if id := l.pods[l.head]; w.Pod(id).Phase == model.PodGated {
			return id
		}
		l.pop()
	}
	return model.None
}

// pop takes the oldest off.
func (l *line) pop() {
	if l.head++; l.head == len(l.pods) {
		l.pods, l.head = l.pods[:0], 0
	}
}

// warm reports whether a node has all that a pod runs.
func warm(w *model.World, id model.PodID, node model.NodeID) bool {
	p := w.Pod(id)
	for _, image := range w.Images(p.Workload, p.Revision) {
		if !w.Holds(node, image) {
			return false
		}
	}
	return true
}
