package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core/feedback"
)

// rememberFor is how long a revision without pods is remembered as failing.
const rememberFor = time.Hour

// revisionKey names a revision of a workload, whatever its pods are for.
type revisionKey struct{ workload, revision string }

func (k revisionKey) String() string { return k.workload + "@" + k.revision }

func (k revisionKey) compare(o revisionKey) int {
	return cmp.Or(cmp.Compare(k.workload, o.workload), cmp.Compare(k.revision, o.revision))
}

// revision is what the groups of a revision share. It outlives its pods, so that those
// that are created again do not begin anew.
type revision struct {
	key     revisionKey
	name    string // of the key
	breaker feedback.Breaker
	rate    feedback.Rate
	pauseOn feedback.Threshold
	trial   trial
	// failing counts its pods whose last pull failed, groups the groups of it.
	failing, groups int
}

// failsOfItself takes in a failure that waiting does not cure: of the revision, or of
// the node where others of the revision pulled well.
func (e *Engine) failsOfItself(now time.Time, p *pod, f PullFailed) {
	if p == nil {
		return
	}
	g, n := p.group.of(), p.node.of()
	if g == nil {
		return
	}
	cause := feedback.Cause{Class: f.Class}
	if n != nil {
		g.of.rate.Fail(f.At, f.Pod, feedback.Where{Node: n.ID, Revision: g.of.name, Egress: n.Egress}, f.Class)
		worked := g.past > 0 || g.of.rate.Passed(now, g.PauseOn) > 0
		if worked && g.of.breaker.Closed() && !g.of.rate.Several(feedback.BlameNode) && e.fleet.size() > 1 {
			e.blameNode(n, f, cause)
			return
		}
	}
	e.openRevision(g.of, f, cause)
}

func (e *Engine) openRevision(r *revision, f PullFailed, c feedback.Cause) {
	s := feedback.Settings{}.WithDefaults()
	w := feedback.Wait{Base: s.Base, Max: s.Max, Lot: e.lot(r.name, r.breaker.Opened, r.breaker.Failed)}
	e.setOpen(r)
	if r.trial.pod != "" && r.trial.pod == f.Pod {
		r.trial = trial{}
		r.breaker.TryFailed(f.At, c, w)
		return
	}
	r.breaker.Open(f.At, c, w)
}

// setOpen lists a revision among those that are open.
func (e *Engine) setOpen(r *revision) {
	if !slices.Contains(e.open, r) {
		e.open = append(e.open, r)
		slices.SortFunc(e.open, func(a, b *revision) int { return a.key.compare(b.key) })
	}
}

// keepOpen forgets the revisions with the cluster, but for those that fail.
func (e *Engine) keepOpen() {
	e.revisions = map[string]*revision{}
	for _, r := range e.open {
		r.failing, r.groups = 0, 0
		r.rate.Clear()
		e.revisions[r.name] = r
	}
}

// join makes a group one of its revision.
func (e *Engine) join(g *group) {
	g.of = e.revisionOf(g.Workload, g.Revision)
	g.of.pauseOn = g.PauseOn
	g.of.groups++
}

// part takes a group out of its revision, which is remembered while it fails.
func (e *Engine) part(g *group) {
	if g.of.groups--; g.of.groups == 0 && g.of.breaker.Closed() {
		delete(e.revisions, g.of.name)
	}
}

// closes closes the breaker of a revision of which no pod fails any more, once one that
// failed got its image.
func (r *revision) closes(now time.Time) {
	if r.failing == 0 && r.breaker.Passed > 0 {
		r.breaker.Close(now)
		r.trial = trial{}
	}
}

// revisionOf is a revision of a workload.
func (e *Engine) revisionOf(workload, name string) *revision {
	key := revisionKey{workload, name}
	r := e.revisions[key.String()]
	if r == nil {
		r = &revision{key: key, name: key.String()}
		e.revisions[r.name] = r
	}
	return r
}
