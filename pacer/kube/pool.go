package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// constraints are what limits a pod to some of the nodes.
type constraints struct {
	NodeSelector map[string]string    `json:"nodeSelector,omitempty"`
	Required     *corev1.NodeSelector `json:"required,omitempty"`
	Tolerations  []corev1.Toleration  `json:"tolerations,omitempty"`
}

// podConstraints returns the constraints of a pod and, where its affinity names
// one node, as that of a DaemonSet pod does, that node; the name is then not part
// of the constraints, so that the pods of a DaemonSet are alike.
func podConstraints(spec *corev1.PodSpec) (constraints, core.NodeID) {
	c := constraints{NodeSelector: spec.NodeSelector, Tolerations: slices.Clone(spec.Tolerations)}
	for i := range c.Tolerations {
		c.Tolerations[i].TolerationSeconds = nil
	}
	slices.SortFunc(c.Tolerations, func(a, b corev1.Toleration) int {
		return slices.Compare([]string{a.Key, string(a.Operator), a.Value, string(a.Effect)},
			[]string{b.Key, string(b.Operator), b.Value, string(b.Effect)})
	})
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return c, ""
	}
	c.Required = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if target := targetNode(c.Required); target != "" {
		c.Required = nil
		return c, target
	}
	return c, ""
}

// targetNode is the only node that every term of a selector allows by name.
func targetNode(s *corev1.NodeSelector) core.NodeID {
	if s == nil {
		return ""
	}
	target := ""
	for _, term := range s.NodeSelectorTerms {
		i := slices.IndexFunc(term.MatchFields, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1
		})
		if i < 0 || (target != "" && target != term.MatchFields[i].Values[0]) {
			return ""
		}
		target = term.MatchFields[i].Values[0]
	}
	return core.NodeID(target)
}

// id names the pool of nodes that the constraints allow.
func (c constraints) id() core.PoolID { return core.PoolID(digest(c)) }

// fits reports whether the scheduler may put a pod with these constraints on the
// node. Taints that a node wears only until it is ready do not count.
func (c constraints) fits(n *corev1.Node) bool { return c.matcher()(n) }

// matcher is fits for many nodes.
func (c constraints) matcher() func(*corev1.Node) bool {
	affinity := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: c.Required}}
	required := nodeaffinity.NewRequiredNodeAffinity(c.NodeSelector, affinity)
	return func(n *corev1.Node) bool {
		ok, err := required.Match(n)
		if err != nil || !ok {
			return false
		}
		taints := n.Spec.Taints
		if n.Spec.Unschedulable {
			taints = append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		}
		_, refused := schedcorev1.FindMatchingUntoleratedTaint(logr.Discard(), taints, c.Tolerations, repels, true)
		return !refused
	}
}

// isPassing reports whether a taint is one that a node wears while it starts, is held
// or is not reachable for a moment; a pod waits for it rather than being refused.
func isPassing(key string) bool {
	switch key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeNetworkUnavailable,
		"node.cloudprovider.kubernetes.io/uninitialized", taintUnregistered, v1alpha1.Taint:
		return true
	}
	// Those of node-readiness-controller, and those by which cluster-autoscaler knows
	// that a node starts.
	return strings.HasPrefix(key, "readiness.k8s.io/") || strings.HasPrefix(key, "startup-taint.cluster-autoscaler.kubernetes.io/")
}

// repels reports whether a taint keeps pods off a node for good.
func repels(t *corev1.Taint) bool {
	return t.Effect != corev1.TaintEffectPreferNoSchedule && !isPassing(t.Key)
}

// digest is a short name for a value by its content. Map keys are sorted by
// encoding/json, so that equal values have equal names.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		// Only values of this package are named, and all of them can be encoded.
		return "unnamed"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
