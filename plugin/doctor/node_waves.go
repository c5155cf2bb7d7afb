package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// autoscalerPatience is how long cluster-autoscaler takes a node that has not become
// usable for one that starts: --max-node-provision-time and --max-node-startup-time by
// default. After that it adds another and backs off.
const autoscalerPatience = 15 * time.Minute

// overdueAfter is how long past its bound a node may be held before somebody must look:
// the failsafe looks at bounds every few seconds.
const overdueAfter = time.Minute

// heldNode is a node with our taint.
type heldNode struct {
	name  string
	since time.Time
	// until is its bound; zero where nobody gave it one.
	until time.Time
}

// holding are the nodes of the scope with our taint.
func (e *exam) holding() []heldNode {
	var out []heldNode
	for i := range e.Nodes {
		n := &e.Nodes[i]
		j := slices.IndexFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint })
		if j < 0 || !e.onScope(n.Name) {
			continue
		}
		h := heldNode{name: n.Name, since: n.CreationTimestamp.Time, until: gate.HoldUntil(n)}
		if added := n.Spec.Taints[j].TimeAdded; added != nil {
			h.since = added.Time
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b heldNode) int { return strings.Compare(a.name, b.name) })
	return out
}

// late reports whether nobody has freed a node that should be free: its bound passed, or
// it has none for as long as the longest that a hold lasts by default.
func (h heldNode) late(now time.Time) bool {
	until := h.until
	if until.IsZero() {
		until = h.since.Add(v1alpha1.DefaultNodeHold)
	}
	return now.After(until.Add(overdueAfter))
}

// overdue are the names of nodes that should be free by now.
func (e *exam) overdue() []string {
	var names []string
	for _, h := range e.holding() {
		if h.late(e.Now) {
			names = append(names, h.name)
		}
	}
	return names
}

// heldNodes are nodes that wear our taint: within their bound, or beyond it.
func (e *exam) heldNodes() []view.Finding {
	held := e.holding()
	if len(held) == 0 {
		return nil
	}
	var names []string
	f := view.Finding{Check: CheckNodesHeld, Severity: warn, Now: true, Nodes: len(held), From: held[0].since, To: e.Now, Facts: []view.Fact{}}
	var last time.Time
	for _, h := range held {
		names = append(names, h.name)
		f.From, last = earliest(f.From, h.since), latest(last, h.until)
	}
	f.Objects = some(names)
	f.Text = fmt.Sprintf("Pace holds %s until the registry allows what it pulls", count(len(held), "new node"))
	if !last.IsZero() {
		f.Facts = append(f.Facts, view.Fact{Name: "at the latest", Text: "the last is let go at " + last.UTC().Format("15:04:05"), Source: string(Nodes)})
	}
	f.Fix = "wait; `kubectl pace explain node/NAME` says for what, `kubectl pace release node/NAME --reason ...` lets one go"
	if late := e.overdue(); len(late) > 0 {
		f.Severity, f.Nodes, f.Objects = fail, len(late), some(late)
		f.Text = fmt.Sprintf("Pace still holds %s past the bound, which neither the controller nor the failsafe freed", count(len(late), "node"))
		f.Facts = append(f.Facts, view.Fact{Name: "controller", Text: e.controller(), Source: string(Budgets)})
		f.Fix = "free them (the taint is all that holds them), then look at the logs of the failsafe"
	}
	return []view.Finding{f}
}

// freeNodes takes our taint off nodes by hand.
func freeNodes(names []string) []string {
	var out []string
	for _, name := range names {
		if safe(name) && len(out) < maxPatches {
			out = append(out, "kubectl taint node "+name+" "+v1alpha1.Taint+"-")
		}
	}
	return out
}

// leftPaused are the NodePools whose nodes Pace keeps from being replaced although nobody
// asks for it any more, or nobody would end it.
func (e *exam) leftPaused() []cluster.KarpenterPool {
	asked := slices.ContainsFunc(e.Policies, func(p v1alpha1.PacePolicy) bool {
		return p.Spec.Mode == v1alpha1.Enforce && p.Spec.Nodes != nil && p.Spec.Nodes.PauseDisruption
	})
	if asked && e.Controller.Alive(e.Now) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.NodePools), func(p cluster.KarpenterPool) bool { return !p.Paused })
}

// stillPaused are NodePools with a disruption budget that Pace left behind.
func (e *exam) stillPaused() []view.Finding {
	pools := e.leftPaused()
	if !e.scope.whole() || len(pools) == 0 {
		return nil
	}
	var names []string
	nodes := 0
	for _, p := range pools {
		names = append(names, p.Name)
		nodes += e.nodesOf(p.Name)
	}
	return []view.Finding{{
		Check: CheckDisruption, Severity: warn, Now: true, Nodes: nodes, Objects: some(names),
		Text:  fmt.Sprintf("Karpenter replaces no node of %s: a disruption budget of 0 nodes is there that Pace left behind", count(len(pools), "NodePool")),
		Facts: []view.Fact{{Name: "controller", Text: e.controller(), Source: string(Budgets)}},
		Fix:   "take the budget and the annotation " + v1alpha1.AnnotationDisruption + " off",
	}}
}

// resume lets Karpenter replace nodes again.
func (e *exam) resume() []string {
	var out []string
	for _, p := range e.leftPaused() {
		if safe(p.Name) && len(out) < maxPatches {
			out = append(out, p.Resume())
		}
	}
	return out
}

// undeclaredPools are the NodePools whose nodes do not register with our taint.
func (e *exam) undeclaredPools() []cluster.KarpenterPool {
	return slices.DeleteFunc(slices.Clone(e.NodePools), func(p cluster.KarpenterPool) bool { return p.Template.DeclaresHold() })
}

// undeclared are NodePools of Karpenter that do not know the taint, where a policy holds
// nodes. Karpenter would take a node with a taint that it does not know for full, and
// make another: such nodes are not held, and pods are in their place.
func (e *exam) undeclared() []view.Finding {
	pools := e.undeclaredPools()
	if !e.HoldsNodes() || !e.scope.whole() || len(pools) == 0 {
		return nil
	}
	var names []string
	drifts := 0
	f := view.Finding{Check: CheckTaint, Severity: warn, Now: true, Facts: []view.Fact{}}
	for _, p := range pools {
		names = append(names, p.Name)
		n := e.nodesOf(p.Name)
		drifts += n
		f.Facts = append(f.Facts, view.Fact{Name: p.Name, Text: count(n, "node") + " would drift", Source: string(NodePools)})
	}
	f.Nodes, f.Objects = drifts, some(names)
	f.Text = fmt.Sprintf("policy %s holds new nodes, and %s of Karpenter does not declare the startup taint %s: its nodes are not held, pods are held instead. To declare it drifts %s",
		e.holders()[0].Name, count(len(pools), "NodePool"), v1alpha1.Taint, count(drifts, "node"))
	f.Fix = `first a disruption budget of nodes "0" for the reason Drifted, then the taint, and the budget out when nodes may be replaced; or leave it as it is`
	return []view.Finding{f}
}

func (e *exam) nodesOf(pool string) int {
	n := 0
	for i := range e.Nodes {
		n += oneIf(e.Nodes[i].Labels[kube.LabelNodePool] == pool)
	}
	return n
}

// declare has NodePools declare the taint without replacing their nodes.
func (e *exam) declare() []string {
	var out []string
	for _, p := range e.undeclaredPools() {
		if safe(p.Name) && len(out) < maxPatches {
			out = append(out, fmt.Sprintf("# NodePool %s: %s would drift. Nothing is replaced while the budget is there; take it out when they may be.", p.Name, count(e.nodesOf(p.Name), "node")),
				p.StopDrift(), p.Declare())
		}
	}
	return out
}

// tolerated are the DaemonSets that a held node does not keep off.
func (e *exam) tolerated() []view.Finding {
	if !e.HoldsNodes() || !e.scope.whole() {
		return nil
	}
	var names []string
	for i := range e.DaemonSets {
		d := &e.DaemonSets[i]
		if kube.ToleratesHold(&d.Spec.Template.Spec) && e.paced(&d.Spec.Template.Spec) {
			names = append(names, d.Namespace+"/"+d.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []view.Finding{{
		Check: CheckTolerates, Severity: warn, Now: true, Workloads: len(names), Objects: some(names),
		Text:  fmt.Sprintf("held or not, a new node pulls the paced images of %s at once, by its toleration of the taint %s", count(len(names), "DaemonSet"), v1alpha1.Taint),
		Facts: []view.Fact{{Name: "daemonsets", Text: list(names), Source: string(DaemonSets)}},
		Fix:   "name the taints to tolerate in place of all of them (operator Exists without a key), bake the image into the nodes, or accept it: the pulls are counted",
	}}
}

// paced reports whether a pod pulls from a registry that some PullBudget paces.
func (e *exam) paced(spec *corev1.PodSpec) bool {
	hosts := map[string]bool{}
	for _, b := range e.Budgets {
		for _, host := range append([]string{b.Spec.Registry}, b.Spec.UpstreamOf...) {
			hosts[kube.Host(host)] = true
		}
	}
	return slices.ContainsFunc(kube.Pulls(spec), func(p kube.Pull) bool { return hosts[p.Host] })
}

// longHolds are policies that hold nodes for longer than cluster-autoscaler waits for
// one. Karpenter waits for as long as it takes.
func (e *exam) longHolds() []view.Finding {
	others := 0
	for i := range e.Nodes {
		others += oneIf(e.Nodes[i].Labels[kube.LabelNodePool] == "")
	}
	if others == 0 || !e.scope.whole() {
		return nil
	}
	var out []view.Finding
	for _, p := range e.holders() {
		if longest, _ := p.Spec.HoldsNodes(); longest >= autoscalerPatience {
			out = append(out, view.Finding{
				Check: CheckNodeHold, Severity: warn, Now: true, Objects: []string{p.Name},
				Text:  fmt.Sprintf("policy %s may hold a node for %s: cluster-autoscaler waits %s for a node, then adds another and backs off, and 5m later removes it", p.Name, short(longest), short(autoscalerPatience)),
				Facts: []view.Fact{{Name: "nodes", Text: count(others, "node") + " not of Karpenter, which waits for as long as it takes", Source: string(Nodes)}},
				Fix:   "nodes.maxHold below 15m, or raise --max-node-provision-time and --max-node-startup-time above it",
			})
		}
	}
	return out
}
