package setup

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// What else may give new nodes the taint, or wait for what Pace says of nodes. Either
// keeps every new node unusable once nobody frees it.
var (
	nodePolicies   = schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicyList"}
	readinessRules = schema.GroupVersionKind{Group: "readiness.node.x-k8s.io", Version: "v1alpha1", Kind: "NodeReadinessRuleList"}
)

// How many kubelets are asked which taints they register with, and for how long.
const (
	maxKubelets = 8
	kubeletTime = 3 * time.Second
)

// Blocked says what would be broken by the removal: whatever starts nodes with our
// taint, or waits for our condition on them, would leave every new node to nobody, and a
// Rollout that asks Pace before a step would wait for ever. It names the edits in the
// order in which they do no harm.
func Blocked(ctx context.Context, c *cluster.Cluster) (view.Blockers, error) {
	b := blocking{cluster: c}
	if err := each(ctx, c.Client, &corev1.NodeList{}, func(obj client.Object) {
		if n, ok := obj.(*corev1.Node); ok {
			b.nodes = append(b.nodes, *n)
		}
	}); err != nil {
		return b.found, fmt.Errorf("listing nodes: %w", err)
	}
	if err := b.all(ctx, b.nodePools, b.policies, b.registered, b.kubelets); err != nil {
		return b.found, err
	}
	taints := len(b.found.Blocked)
	if err := b.all(ctx, b.rules, b.gates); err != nil {
		return b.found, err
	}
	b.found.FailsafeFrees = taints > 0 && taints == len(b.found.Blocked)
	return b.found, nil
}

// blocking is a search for what keeps Pace from going.
type blocking struct {
	cluster *cluster.Cluster
	nodes   []corev1.Node
	found   view.Blockers
}

// all looks for several things.
func (b *blocking) all(ctx context.Context, looks ...func(context.Context) error) error {
	for _, look := range looks {
		if err := look(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *blocking) add(why string, edits ...string) {
	b.found.Blocked = append(b.found.Blocked, why)
	b.found.Edits = append(b.found.Edits, edits...)
}

// nodePools looks for the taint in NodePools of Karpenter. To take it out is a change
// of the template, by which every node of the pool drifts: that is stopped first.
func (b *blocking) nodePools(ctx context.Context) error {
	pools, err := cluster.KarpenterPools(ctx, b.cluster.Client)
	if err != nil {
		return err
	}
	for _, pool := range pools {
		if !pool.Registers() {
			continue
		}
		drifts := 0
		for i := range b.nodes {
			if b.nodes[i].Labels[kube.LabelNodePool] == pool.Name {
				drifts++
			}
		}
		b.add(fmt.Sprintf("NodePool %s declares %s: without Pace every new node of it stays unusable. To take it out drifts the %d nodes that it has: Karpenter replaces them, unless a budget stops that first",
			pool.Name, v1alpha1.Taint, drifts), append([]string{pool.StopDrift()}, pool.Withdraw()...)...)
		b.found.Later = append(b.found.Later, fmt.Sprintf("NodePool %s: take the budget out again when its %d nodes may be replaced", pool.Name, drifts))
	}
	return nil
}

// policies looks for admission policies that put the taint on.
func (b *blocking) policies(ctx context.Context) error {
	return b.mentions(ctx, nodePolicies, v1alpha1.Taint, func(obj *unstructured.Unstructured) {
		b.add("MutatingAdmissionPolicy "+obj.GetName()+" puts "+v1alpha1.Taint+" on every new node: without Pace each stays unusable",
			"kubectl delete mutatingadmissionpolicy "+obj.GetName())
	})
}

// rules looks for rules of node-readiness-controller that wait for our condition.
func (b *blocking) rules(ctx context.Context) error {
	return b.mentions(ctx, readinessRules, v1alpha1.ConditionPullBudgetGranted, func(obj *unstructured.Unstructured) {
		b.add("NodeReadinessRule "+obj.GetName()+" waits for the condition "+v1alpha1.ConditionPullBudgetGranted+", which nobody sets without Pace: every new node stays unusable",
			"kubectl delete nodereadinessrule "+obj.GetName())
	})
}

// gates looks for Rollouts of Argo's that ask Pace before a step, by the templates of its
// manifests. The templates themselves go with Pace.
func (b *blocking) gates(ctx context.Context) error {
	templates, err := ofPace(ctx, b.cluster.Client, gateTemplates)
	if apierrors.IsForbidden(err) {
		b.found.Unknown = append(b.found.Unknown, "whether Rollouts ask Pace before a step: ClusterAnalysisTemplates may not be listed")
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range templates {
		used := fmt.Sprintf(`"templateName":%q`, t.GetName())
		err := b.mentions(ctx, gateTemplates.GroupVersion().WithKind("RolloutList"), used, func(obj *unstructured.Unstructured) {
			b.add(fmt.Sprintf("rollout %s/%s asks Pace by the template %s, and without it waits for an answer that never comes", obj.GetNamespace(), obj.GetName(), t.GetName()),
				fmt.Sprintf("take the analysis of %s out: kubectl edit rollout %s -n %s", t.GetName(), obj.GetName(), obj.GetNamespace()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mentions calls found for each object of a kind that contains a text. A kind that is
// not there has none; one that may not be listed is noted.
func (b *blocking) mentions(ctx context.Context, kind schema.GroupVersionKind, text string, found func(obj *unstructured.Unstructured)) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind)
	err := b.cluster.Client.List(ctx, list)
	what := strings.TrimSuffix(kind.Kind, "List")
	switch {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		b.found.Unknown = append(b.found.Unknown, "whether a "+what+" waits for Pace: they may not be listed")
		return nil
	case err != nil:
		return fmt.Errorf("listing objects of kind %s: %w", what, err)
	}
	for i := range list.Items {
		obj := &list.Items[i]
		spec, err := json.Marshal(obj.Object["spec"])
		if err != nil {
			return fmt.Errorf("reading %s %s: %w", what, obj.GetName(), err)
		}
		if strings.Contains(string(spec), text) {
			found(obj)
		}
	}
	return nil
}

// registered looks for nodes with the taint that Pace did not put there: they came with
// it, and so will the next ones.
func (b *blocking) registered(context.Context) error {
	var names []string
	for i := range b.nodes {
		n := &b.nodes[i]
		_, ours := n.Annotations[v1alpha1.AnnotationHoldUntil]
		if !ours && !b.declared(n) && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }) {
			names = append(names, n.Name)
		}
	}
	if len(names) > 0 {
		b.add(fmt.Sprintf("%s registered with the taint %s: whatever starts such nodes gives it to them (--register-with-taints, or the template of the node group)", some(names), v1alpha1.Taint),
			"take "+v1alpha1.Taint+" out of what starts these nodes, then: kubectl taint nodes --all "+v1alpha1.Taint+"-")
	}
	return nil
}

// declared reports whether a NodePool that is blocked already explains a node's taint.
func (b *blocking) declared(n *corev1.Node) bool {
	pool := n.Labels[kube.LabelNodePool]
	return pool != "" && slices.ContainsFunc(b.found.Blocked, func(why string) bool { return strings.HasPrefix(why, "NodePool "+pool+" ") })
}

// kubelets asks one kubelet of each pool which taints it registers with.
func (b *blocking) kubelets(ctx context.Context) error {
	if b.cluster.Kubelet == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, kubeletTime)
	defer cancel()
	samples := b.youngest()
	var names []string
	for _, node := range samples[:min(len(samples), maxKubelets)] {
		text, err := b.cluster.Kubelet(bounded, node)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			b.found.Unknown = append(b.found.Unknown, "whether kubelets register with the taint: to ask one takes get on nodes/proxy")
			return nil
		}
		config, err := capture.ReadKubelet(text)
		if err == nil && slices.ContainsFunc(config.RegisterWithTaints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }) {
			names = append(names, node)
		}
	}
	if len(names) > 0 {
		b.add(fmt.Sprintf("the kubelet of %s registers its node with the taint %s", some(names), v1alpha1.Taint),
			"take "+v1alpha1.Taint+" out of registerWithTaints of these kubelets and of what makes such nodes")
	}
	return nil
}

// youngest is the youngest node of each pool, by name.
func (b *blocking) youngest() []string {
	byPool := map[string]*corev1.Node{}
	for i := range b.nodes {
		n := &b.nodes[i]
		pool := cluster.PoolOfNode(n)
		if have := byPool[pool]; have == nil || n.CreationTimestamp.After(have.CreationTimestamp.Time) {
			byPool[pool] = n
		}
	}
	var names []string
	for _, pool := range slices.Sorted(maps.Keys(byPool)) {
		names = append(names, byPool[pool].Name)
	}
	return names
}

// some names a few of many.
func some(names []string) string {
	const most = 5
	slices.Sort(names)
	if len(names) > most {
		return "nodes " + strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	if len(names) == 1 {
		return "node " + names[0]
	}
	return "nodes " + strings.Join(names, ", ")
}
