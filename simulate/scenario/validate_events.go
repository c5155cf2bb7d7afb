package scenario

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pullpace/pace/simulate/report"
)

// exactlyOne refuses a mapping that says nothing, or several things at once.
func (d *decoder) exactlyOne(path string, said map[string]bool) {
	var has []string
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if said[name] {
			has = append(has, name)
		}
	}
	d.want(len(has) != 0 || d.failedBelow(path), path, "says nothing: want one of %s", strings.Join(slices.Sorted(maps.Keys(said)), ", "))
	d.want(len(has) <= 1, path, "says %s: want one of them", strings.Join(has, " and "))
}

// state is what the timeline has made of a scenario so far.
type state struct {
	replicas, revisions, nodes []int
	created                    int
}

func (d *decoder) validateTimeline(s *Spec, ix index) {
	now := state{revisions: make([]int, len(s.Workloads))}
	for _, w := range s.Workloads {
		now.replicas = append(now.replicas, w.Replicas)
		now.created += w.Replicas
	}
	for _, p := range s.NodePools {
		now.nodes = append(now.nodes, p.Nodes)
	}
	order := make([]int, len(s.Timeline))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.Timeline[a].At, s.Timeline[b].At) })
	for _, i := range order {
		e, path := s.Timeline[i], at("spec.timeline", i)
		d.duration(path+".at", e.At, 0, s.Horizon)
		d.validateEntry(path, e, s, ix, &now)
		d.exactlyOne(path, map[string]bool{
			"scale": e.Scale != nil, "setImage": e.SetImage != nil, "rollback": e.Rollback != nil,
			"addNodes": e.AddNodes != nil, "removeNodes": e.RemoveNodes != nil,
		})
		d.want(now.created <= maxPods, path, "makes %d pods in all, want %d at most", now.created, maxPods)
	}
}

func (d *decoder) validateEntry(path string, e Entry, s *Spec, ix index, now *state) {
	if e.Scale != nil {
		d.validateScale(path+".scale", e.Scale, s, ix, now)
	}
	if e.SetImage != nil {
		d.know(path+".setImage.image", e.SetImage.Image, ix.images)
		if field := path + ".setImage.workload"; d.know(field, e.SetImage.Workload, ix.workloads) {
			w := ix.workloads.index[e.SetImage.Workload]
			d.want(s.Workloads[w].Kind != Job, field, "is a Job, whose template cannot be changed")
			d.want(len(s.Workloads[w].Images) == 0, field, "has several images: which one is meant cannot be said")
			now.created += now.replicas[w]
			now.revisions[w]++
		}
	}
	if e.Rollback != nil {
		if field := path + ".rollback.workload"; d.know(field, e.Rollback.Workload, ix.workloads) {
			w := ix.workloads.index[e.Rollback.Workload]
			d.want(now.revisions[w] > 0, field, "has no earlier image at that time: no setImage comes before")
			now.created += now.replicas[w]
		}
	}
	if e.AddNodes != nil {
		d.between(path+".addNodes.count", e.AddNodes.Count, 1, maxFleet)
		if d.know(path+".addNodes.pool", e.AddNodes.Pool, ix.pools) {
			now.nodes[ix.pools.index[e.AddNodes.Pool]] += e.AddNodes.Count
			d.want(sum(now.nodes) <= maxFleet, path+".addNodes.count", "makes %d nodes in all, want %d at most", sum(now.nodes), maxFleet)
		}
	}
	if e.RemoveNodes != nil {
		d.validateRemoval(path+".removeNodes", e.RemoveNodes, s, ix, now)
	}
}

func (d *decoder) validateScale(path string, scale *Scale, s *Spec, ix index, now *state) {
	d.between(path+".replicas", scale.Replicas, 0, maxPods)
	if d.know(path+".workload", scale.Workload, ix.workloads) {
		w := ix.workloads.index[scale.Workload]
		d.want(s.Workloads[w].Kind != DaemonSet, path+".workload", "is a DaemonSet, which has no replicas")
		now.created += max(scale.Replicas-now.replicas[w], 0)
		now.replicas[w] = scale.Replicas
	}
}

func (d *decoder) validateRemoval(path string, r *RemoveNodes, s *Spec, ix index, now *state) {
	d.between(path+".count", r.Count, 1, maxFleet)
	if d.know(path+".pool", r.Pool, ix.pools) {
		p := ix.pools.index[r.Pool]
		pool, has := s.NodePools[p], now.nodes[p]
		d.want(pool.Autoscaler != nil || r.Count <= has, path+".count", "is %d, but the pool has %d nodes at that time", r.Count, has)
		now.created += min(r.Count, maxFleet) * min(pool.PodsPerNode, maxRoom)
		now.nodes[p] = max(has-r.Count, 0)
	}
}

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}

func (d *decoder) validateFaults(s *Spec, ix index) {
	for i, f := range s.Faults {
		path := at("spec.faults", i)
		d.duration(path+".at", f.At, 0, s.Horizon)
		d.duration(path+".for", f.For, 0, maxHorizon)
		d.validateFault(path, f, s, ix)
		d.exactlyOne(path, map[string]bool{
			"quota": f.Quota != nil, "outage": f.Outage != nil, "mirrorLoss": f.MirrorLoss != nil, "natCollapse": f.NATCollapse != nil,
			"cachePurge": f.CachePurge != nil, "headerLies": f.HeaderLies != nil, "controllerRestart": f.ControllerRestart != nil,
		})
		for j, earlier := range s.Faults[:i] {
			what := f.clash(earlier)
			d.want(what == "" || !f.meets(earlier), path, "and %s change %s at the same time: what it goes back to cannot be said", at("spec.faults", j), what)
		}
	}
}

// end is when a fault is over; the longest time there is without a for.
func (f Fault) end() time.Duration {
	if f.For == 0 {
		return 2 * maxHorizon
	}
	return f.At + f.For
}

// meets reports whether two faults last at the same time.
func (f Fault) meets(g Fault) bool { return f.At < g.end() && g.At < f.end() }

// clash is what two faults both change; empty: nothing.
func (f Fault) clash(g Fault) string {
	for _, what := range f.targets() {
		if slices.Contains(g.targets(), what) {
			return what
		}
	}
	if f.NATCollapse == nil || g.NATCollapse == nil {
		return ""
	}
	for _, one := range [][2]*NATCollapse{{f.NATCollapse, g.NATCollapse}, {g.NATCollapse, f.NATCollapse}} {
		if slices.Contains(one[0].From, one[1].To) {
			return "the way out of " + one[1].To
		}
	}
	return ""
}

// targets are what a fault changes for a time.
func (f Fault) targets() []string {
	switch {
	case f.Quota != nil:
		return []string{"the limit of " + at(f.Quota.Registry, f.Quota.Limiter)}
	case f.Outage != nil:
		return []string{"the answers of " + f.Outage.Registry}
	case f.HeaderLies != nil:
		return []string{"the headers of " + f.HeaderLies.Registry}
	case f.MirrorLoss != nil:
		return []string{"mirror " + f.MirrorLoss.Mirror}
	case f.ControllerRestart != nil:
		return []string{"the controller"}
	case f.NATCollapse != nil:
		var out []string
		for _, from := range f.NATCollapse.From {
			out = append(out, "the way out of "+from)
		}
		return out
	}
	return nil
}

func (d *decoder) validateFault(path string, f Fault, s *Spec, ix index) {
	if q := f.Quota; q != nil {
		if d.know(path+".quota.registry", q.Registry, ix.registries) {
			n := len(s.Registries[ix.registries.index[q.Registry]].Limiters)
			d.want(q.Limiter >= 0 && q.Limiter < n, path+".quota.limiter", "is %d, but the registry has %d limiters, counted from 0", q.Limiter, n)
		}
		d.units(path+".quota.limit", q.Limit)
	}
	if o := f.Outage; o != nil {
		d.know(path+".outage.registry", o.Registry, ix.registries)
		oneOf(d, path+".outage.mode", o.Mode, OutageTimeout, OutageReset, Outage503, HeadOnly429, OutageSlow)
		slow := o.Mode == OutageSlow
		d.want(slow || !d.given(path+".outage.factor"), path+".outage.factor", "is only for mode Slow")
		d.want(!slow || o.Factor >= 1 && o.Factor <= 1e6, path+".outage.factor", "is %v, want 1 to 1000000", o.Factor)
	}
	if f.MirrorLoss != nil {
		d.know(path+".mirrorLoss.mirror", f.MirrorLoss.Mirror, ix.mirrors)
	}
	if n := f.NATCollapse; n != nil {
		d.want(len(n.From) > 0, path+".natCollapse.from", "is empty")
		d.knowAll(path+".natCollapse.from", n.From, ix.egress)
		d.know(path+".natCollapse.to", n.To, ix.egress)
		d.want(!slices.Contains(n.From, n.To), path+".natCollapse.to", "is %q, which is one of those that collapse", n.To)
	}
	if c := f.CachePurge; c != nil {
		d.know(path+".cachePurge.pool", c.Pool, ix.pools)
		d.want(c.Fraction > 0 && c.Fraction <= 1, path+".cachePurge.fraction", "is %v, want above 0 and at most 1", c.Fraction)
	}
	if l := f.HeaderLies; l != nil {
		d.know(path+".headerLies.registry", l.Registry, ix.registries)
		oneOf(d, path+".headerLies.mode", l.Mode, LieOffset, LieStuck, LieMissing)
		d.want((l.Mode == LieOffset) == (l.By != 0), path+".headerLies.by", "is what Offset adds to what remains: want it with that mode, and with no other")
		d.want(l.By >= -maxUnits && l.By <= maxUnits, path+".headerLies.by", "is %d, want %d to %d", l.By, -maxUnits, maxUnits)
	}
}

func (d *decoder) validatePolicies(s *Spec, ix index) {
	for i, p := range s.Policies {
		path := at("spec.policies", i)
		said := map[string]bool{
			"unpaced": p.Unpaced != nil, "fixedParallelism": p.FixedParallelism != nil, "staticRate": p.StaticRate != nil, "pace": p.Pace != nil,
		}
		if f := p.FixedParallelism; f != nil {
			d.between(path+".fixedParallelism.nodes", f.Nodes, 1, maxFleet)
		}
		if r := p.StaticRate; r != nil {
			d.want(r.Burst >= 1 && r.Burst <= maxUnits, path+".staticRate.burst", "is %d, want 1 to %d", r.Burst, maxUnits)
		}
		if p.Pace != nil {
			d.validatePace(path+".pace", p.Pace, s, ix)
		}
		d.exactlyOne(path, said)
	}
}

// validatePace has the API's own rules judge its specs.
func (d *decoder) validatePace(path string, p *Pace, s *Spec, ix index) {
	d.adopt(path+".policy", p.Policy.Validate())
	for _, n := range slices.Sorted(maps.Keys(p.Budgets)) {
		field, budget := path+".budgets["+n+"]", p.Budgets[n]
		if !d.know(field, n, ix.registries) {
			continue
		}
		host := s.Registries[ix.registries.index[n]].Host
		d.want(canonical(budget.Registry) == canonical(host), field+".registry", "is %q, but the registry %s is %q", budget.Registry, n, host)
		d.adopt(field, budget.Validate())
	}
}

// adopt takes over what is wrong with a spec that is part of the file.
func (d *decoder) adopt(path string, errs field.ErrorList) {
	for _, e := range errs {
		d.want(false, path+strings.TrimPrefix(e.Field, "spec"), "%s", e.ErrorBody())
	}
}

func (d *decoder) validateGoals(s *Spec, ix index) {
	for i, g := range s.Goals {
		path := at("spec.goals", i)
		d.know(path+".policy", g.Policy, ix.policies)
		oneOf(d, path+".op", g.Op, report.Ops()...)
		metric, err := report.MetricOf(g.Metric)
		d.want(err == nil, path+".metric", "%v", err)
		d.want(err != nil || metric.Seconds() || !g.Value.Duration, path+".value", "is a duration, but %s counts %s", g.Metric, metric.Unit)
	}
}
