package cluster

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// The edits of a NodePool, as a person runs them. To change the taints of its template
// makes every node of it drift, and Karpenter replaces what drifted: StopDrift goes
// first. Paths of lists end in "-", the place behind the last.

// StopDrift keeps Karpenter from replacing nodes that drifted.
func (p KarpenterPool) StopDrift() string {
	return p.patch(`{"op":"add","path":"/spec/disruption/budgets/-","value":{"nodes":"0","reasons":["Drifted"]}}`)
}

// Declare has new nodes register with our taint.
func (p KarpenterPool) Declare() string {
	taint := fmt.Sprintf(`{"key":%q,"effect":"NoSchedule"}`, v1alpha1.Taint)
	if len(p.Template.StartupTaints) == 0 {
		return p.patch(`{"op":"add","path":"/spec/template/spec/startupTaints","value":[` + taint + `]}`)
	}
	return p.patch(`{"op":"add","path":"/spec/template/spec/startupTaints/-","value":` + taint + `}`)
}

// Withdraw takes our taint out again, wherever it is.
func (p KarpenterPool) Withdraw() []string {
	var edits []string
	for _, field := range []struct {
		name   string
		taints []corev1.Taint
	}{{"startupTaints", p.Template.StartupTaints}, {"taints", p.Template.Taints}} {
		if i := slices.IndexFunc(field.taints, isOurTaint); i >= 0 {
			path := fmt.Sprintf("/spec/template/spec/%s/%d", field.name, i)
			edits = append(edits, p.patch(fmt.Sprintf(`{"op":"test","path":"%s/key","value":%q},{"op":"remove","path":%q}`, path, v1alpha1.Taint, path)))
		}
	}
	return edits
}

// Resume lets Karpenter replace nodes again: our budget and our mark go. A list that would
// be empty goes too, since none at all stands for the default.
func (p KarpenterPool) Resume() string {
	mark := fmt.Sprintf(`{"op":"remove","path":"/metadata/annotations/%s"}`, strings.ReplaceAll(v1alpha1.AnnotationDisruption, "/", "~1"))
	switch {
	case p.Ours < 0:
		return p.patch(mark)
	case p.Budgets == 1:
		return p.patch(mark + `,{"op":"remove","path":"/spec/disruption/budgets"}`)
	}
	path := fmt.Sprintf("/spec/disruption/budgets/%d", p.Ours)
	return p.patch(fmt.Sprintf(`%s,{"op":"test","path":%q,"value":{"nodes":"0"}},{"op":"remove","path":%q}`, mark, path, path))
}

func (p KarpenterPool) patch(operations string) string {
	return "kubectl patch nodepool " + p.Name + " --type json -p '[" + operations + "]'"
}
