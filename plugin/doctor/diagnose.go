package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// The verdicts.
const (
	RateLimited     = "RateLimited"
	WasRateLimited  = "WasRateLimited"
	NotRateLimiting = "NotRateLimiting"
	Warnings        = "Warnings"
	Healthy         = "Healthy"
	Unknown         = "Unknown"
)

// Diagnose looks at a snapshot.
func Diagnose(s *Snapshot, scope Scope) view.Diagnosis {
	e := newExam(s, scope)
	d := view.Diagnosis{
		Scope: cmp.Or(scope.Name, "cluster"), Namespace: scope.Namespace, At: s.Now,
		Cluster: e.cluster(), Evidence: e.evidence(), Pulling: e.pulling(), Held: e.held(),
		Findings: []view.Finding{}, Clear: []string{}, Unknown: []view.UnknownCheck{}, Fixes: []view.Fix{},
	}
	if !s.read(Pods) {
		d.Verdict, d.Summary = Unknown, "pods could not be read, and without them nothing can be told: "+s.Unread[Pods]
		return d
	}
	d.Findings = append(d.Findings, e.failed()...)
	for _, check := range []func() []view.Finding{e.hopeless, e.anonymous, e.shared, e.always, e.moved, e.pruned, e.cut, e.costly, e.heldNodes, e.undeclared, e.tolerated, e.longHolds, e.stillPaused} {
		d.Findings = append(d.Findings, check()...)
	}
	cause := ""
	if f := e.refusedFirst(d.Findings); f != nil {
		cause = f.Registry // its credentials are what throttles follow from
	}
	slices.SortStableFunc(d.Findings, func(a, b view.Finding) int {
		return cmp.Or(cmp.Compare(oneIf(!leads(a, cause)), oneIf(!leads(b, cause))), cmp.Compare(rank(a), rank(b)), cmp.Compare(slices.Index(order, a.Check), slices.Index(order, b.Check)))
	})
	d.Unknown = e.unknown()
	d.Clear = clear(d)
	d.Verdict, d.Summary = e.verdict(d.Findings)
	d.Fixes = e.fixes(d.Findings)
	return d
}

// leads reports whether a finding is of the credentials that a registry refuses.
func leads(f view.Finding, registry string) bool {
	return registry != "" && f.Check == CheckAuth && f.Registry == registry
}

// rank puts what fails now first.
func rank(f view.Finding) int {
	switch {
	case f.Severity == fail && f.Now:
		return 0
	case f.Severity == fail:
		return 1
	}
	return 2
}

// verdict says the whole in a word and a sentence.
func (e *exam) verdict(findings []view.Finding) (word, text string) {
	of := ""
	if f := e.refusedFirst(findings); f != nil {
		return NotRateLimiting, fmt.Sprintf("the password is refused; pulls then go out as anonymous and meet that limit (%s)", reached(*f))
	}
	if !e.scope.whole() {
		of = " of " + e.scope.Name
	}
	var first *view.Finding
	for i := range findings {
		f := &findings[i]
		if f.Check == CheckThrottled && f.Now {
			return RateLimited, fmt.Sprintf("%s (%s)", f.Text, reached(*f))
		}
		if first == nil && f.Class != "" && f.Now {
			first = f
		}
	}
	if first != nil {
		return NotRateLimiting, fmt.Sprintf("pulls%s fail, and not of a limit: %s (%s)", of, first.Text, reached(*first))
	}
	for _, f := range findings {
		if f.Check == CheckThrottled {
			return WasRateLimited, fmt.Sprintf("no pull%s fails now; %s (%s)", of, f.Text, reached(f))
		}
	}
	if len(findings) > 0 {
		more := ""
		if len(findings) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(findings)-1)
		}
		return Warnings, fmt.Sprintf("no pull%s fails now; %s%s", of, findings[0].Text, more)
	}
	return Healthy, fmt.Sprintf("no pull%s fails, and nothing was found that would make one fail", of)
}

// refusedFirst is the finding of credentials that a registry refuses, which is the
// cause where the same pods are then throttled as anonymous.
func (e *exam) refusedFirst(findings []view.Finding) *view.Finding {
	for i := range findings {
		if f := &findings[i]; f.Check == CheckAuth && f.Now && slices.ContainsFunc(e.downgradedPulls(), func(d failure) bool { return d.host == f.Registry }) {
			return f
		}
	}
	return nil
}

func reached(f view.Finding) string {
	return fmt.Sprintf("%s, %s, %s", count(f.Pods, "pod"), count(f.Nodes, "node"), count(f.Workloads, "workload"))
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// clear are the checks that looked and found nothing.
func clear(d view.Diagnosis) []string {
	out := []string{}
	for _, check := range order {
		found := slices.ContainsFunc(d.Findings, func(f view.Finding) bool { return f.Check == check })
		unknown := slices.ContainsFunc(d.Unknown, func(u view.UnknownCheck) bool { return u.Check == check })
		if !found && !unknown && !slices.Contains(neverClear, check) {
			out = append(out, check)
		}
	}
	return out
}

// neverClear are names under which only what is not known is told.
var neverClear = []string{CheckMirrorInUse, CheckWindow, CheckManyAtOnce, CheckKubeletConfig}

// cluster sums up what was looked at.
func (e *exam) cluster() view.DiagnosedCluster {
	c := view.DiagnosedCluster{Name: e.Context, Version: e.Version, Controller: e.controller()}
	arch, runtimes := map[string]int{}, map[string]int{}
	for i := range e.Nodes {
		n := &e.Nodes[i]
		if e.scope.Node != "" && n.Name != e.scope.Node {
			continue
		}
		c.Nodes++
		arch[cmp.Or(n.Status.NodeInfo.Architecture, "unknown")]++
		runtimes[cmp.Or(n.Status.NodeInfo.ContainerRuntimeVersion, "unknown")]++
	}
	c.Architectures = counted(arch)
	c.Runtimes = []view.RuntimeCost{}
	for _, r := range counted(runtimes) {
		c.Runtimes = append(c.Runtimes, costOf(r.Name, r.Count))
	}
	return c
}

// held counts the pods of the scope that Pace holds, by Reason.
func (e *exam) held() []view.Counted {
	counts := map[string]int{}
	for i := range e.Pods {
		if p := &e.Pods[i]; gate.Gated(p) && e.scope.has(p) {
			counts[cmp.Or(cluster.HoldOf(p).Reason, "unknown")]++
		}
	}
	return counted(counts)
}

func (e *exam) controller() string {
	switch {
	case !e.Controller.Installed:
		return "absent"
	case e.Controller.Alive(e.Now):
		return "working"
	}
	return "silent"
}

// evidence is what was read, and what was not.
func (e *exam) evidence() []view.Evidence {
	type evidence struct {
		part Part
		n    int
	}
	counts := []evidence{
		{Pods, len(e.Pods)}, {Nodes, len(e.Nodes)}, {Events, len(e.Events)}, {ReplicaSets, len(e.ReplicaSets)}, {Deployments, len(e.Deployments)},
		{Secrets, len(e.Secrets)}, {ServiceAccounts, len(e.ServiceAccounts)}, {Budgets, len(e.Budgets)}, {Kubelets, len(e.Kubelets)},
	}
	if e.HoldsNodes() {
		counts = append(counts, []evidence{{DaemonSets, len(e.DaemonSets)}, {NodePools, len(e.NodePools)}}...)
	}
	out := make([]view.Evidence, 0, len(counts))
	for _, c := range counts {
		ev := view.Evidence{Part: string(c.part), Count: c.n}
		ev.Unread = strings.Join(filled(e.Unread[c.part], e.Cut[c.part]), "; ")
		if c.part == Events {
			for i := range e.Events {
				ev.Oldest = earliest(ev.Oldest, eventTime(&e.Events[i]))
			}
			ev.Unread = strings.Join(filled(ev.Unread, e.Unread[Pulled], e.Cut[Pulled]), "; ")
		}
		out = append(out, ev)
	}
	return out
}

func filled(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}
