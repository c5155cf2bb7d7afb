package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// poolLabels are the labels by which nodes of a pool are known, as those who make the
// nodes set them; the first that fits counts.
var poolLabels = []string{
	kube.LabelNodePool,
	"eks.amazonaws.com/nodegroup",
	"alpha.eksctl.io/nodegroup-name",
	"cloud.google.com/gke-nodepool",
	"kubernetes.azure.com/agentpool",
	"agentpool",
	"doks.digitalocean.com/node-pool",
	"node.kubernetes.io/instance-group",
	"kops.k8s.io/instancegroup",
	"cluster.x-k8s.io/deployment-name",
}

// PoolLabels are the labels by which nodes of a pool are known.
func PoolLabels() []string { return slices.Clone(poolLabels) }

// PoolOfNode names the pool of a node by its labels; empty: none of them is there.
func PoolOfNode(n *corev1.Node) string {
	for _, key := range poolLabels {
		if value := n.Labels[key]; value != "" {
			return key + "=" + value
		}
	}
	return ""
}

// Pool is nodes that are made alike.
type Pool struct {
	Name string
	// By is what makes it a pool: "Karpenter NodePool", or the label that its nodes
	// share.
	By string
	// Nodes are those that are there.
	Nodes []corev1.Node
	// Next is what a new node of it will look like, as far as is known.
	Next kube.NodeTemplate
	// Most is how many nodes limits.nodes of a Karpenter NodePool allows; nil: any.
	Most *int64
	// Unknown are the things about it that could not be known.
	Unknown []string
}

// PoolOf finds a node pool by name: a NodePool of Karpenter, or else the nodes
// that share a label with that value. label names the label; empty: any that is known.
func PoolOf(ctx context.Context, c client.Reader, name, label string) (Pool, error) {
	pool := Pool{Name: name}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return pool, fmt.Errorf("listing nodes: %w", err)
	}
	var declared []KarpenterPool
	if label == "" || label == kube.LabelNodePool {
		var err error
		if declared, err = KarpenterPools(ctx, c); apierrors.IsForbidden(err) {
			pool.Unknown = append(pool.Unknown, "what NodePools of Karpenter declare: they may not be listed")
		} else if err != nil {
			return pool, err
		}
	}
	if i := slices.IndexFunc(declared, func(p KarpenterPool) bool { return p.Name == name }); i >= 0 {
		pool.By, pool.Most = "Karpenter NodePool", declared[i].Most
		pool.Nodes = labelled(nodes.Items, kube.LabelNodePool, name)
		pool.Next = declared[i].next(pool.Nodes)
		if len(pool.Nodes) == 0 {
			pool.Unknown = append(pool.Unknown, "labels that the cloud gives its nodes: none is there yet, so that DaemonSets which choose by them are left out")
		}
		return pool, nil
	}
	for _, key := range searched(label) {
		if pool.Nodes = labelled(nodes.Items, key, name); len(pool.Nodes) > 0 {
			pool.By, pool.Next = "label "+key, (KarpenterPool{Name: name}).next(pool.Nodes)
			return pool, nil
		}
	}
	return pool, noPool(name, label, nodes.Items, declared)
}

func searched(label string) []string {
	if label != "" {
		return []string{label}
	}
	return poolLabels
}

func labelled(nodes []corev1.Node, key, value string) []corev1.Node {
	var out []corev1.Node
	for _, n := range nodes {
		if n.Labels[key] == value {
			out = append(out, n)
		}
	}
	return out
}

// noPool says which pools there are, and what to do.
func noPool(name, label string, nodes []corev1.Node, declared []KarpenterPool) error {
	var there []string
	for _, p := range declared {
		there = append(there, p.Name)
	}
	for i := range nodes {
		for _, key := range searched(label) {
			if value := nodes[i].Labels[key]; value != "" {
				there = append(there, value)
			}
		}
	}
	slices.Sort(there)
	if there = slices.Compact(there); len(there) == 0 {
		return fmt.Errorf("no node says which pool it is of: looked for NodePools of Karpenter and for the labels %s; name the label that nodes of %s share with --pool-label",
			strings.Join(searched(label), ", "), name)
	}
	const most = 10
	more := ""
	if len(there) > most {
		there, more = there[:most], fmt.Sprintf(" and %d more", len(there)-most)
	}
	return fmt.Errorf("there is no node pool %q; there are %s%s. A node group that has no node yet is not known: price one that is like it, or name another label with --pool-label",
		name, strings.Join(there, ", "), more)
}

// KarpenterPool is what a NodePool of Karpenter says.
type KarpenterPool struct {
	Name string
	// Most is limits.nodes; nil: any number.
	Most *int64
	// Template is the node that it makes.
	Template kube.NodeTemplate
	// Paused says that Pace keeps Karpenter from replacing its nodes, by the budget Ours of
	// its disruption budgets, of which there are Budgets; -1: it is not there any more.
	Paused        bool
	Ours, Budgets int
}

// Registers reports whether new nodes register with our taint.
func (p KarpenterPool) Registers() bool {
	return slices.ContainsFunc(slices.Concat(p.Template.StartupTaints, p.Template.Taints), isOurTaint)
}

func isOurTaint(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }

// KarpenterPools are the NodePools of Karpenter by name; none where it is not
// installed.
func KarpenterPools(ctx context.Context, c client.Reader) ([]KarpenterPool, error) {
	kind := kube.NodePoolKind()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := c.List(ctx, list); err != nil {
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("listing node pools: %w", err)
	}
	var out []KarpenterPool
	for i := range list.Items {
		pool, err := readPool(&list.Items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, pool)
	}
	slices.SortFunc(out, func(a, b KarpenterPool) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// readPool reads a NodePool; a field of another type than Karpenter's is an error.
func readPool(obj *unstructured.Unstructured) (KarpenterPool, error) {
	pool := KarpenterPool{Name: obj.GetName(), Paused: gate.DisruptionPaused(obj)}
	pool.Ours, pool.Budgets = gate.PausedBudget(obj)
	var err error
	if pool.Template, err = kube.NodePoolTemplate(obj); err != nil {
		return pool, err
	}
	limits, _, err := unstructured.NestedMap(obj.Object, "spec", "limits")
	if err != nil {
		return pool, fmt.Errorf("reading NodePool %q: %w", pool.Name, err)
	}
	if value, ok := limits["nodes"]; ok {
		most, err := resource.ParseQuantity(fmt.Sprint(value))
		if err != nil {
			return pool, fmt.Errorf("reading limits.nodes of NodePool %q: %w", pool.Name, err)
		}
		pool.Most = new(most.Value())
	}
	return pool, nil
}

// next is what a new node will look like: like the youngest that is there, with the
// taints that the pool says and without those that nodes wear for a while.
func (p KarpenterPool) next(there []corev1.Node) kube.NodeTemplate {
	if len(there) == 0 {
		return p.Template
	}
	youngest := slices.MaxFunc(there, func(a, b corev1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(b.Name, a.Name))
	})
	t := kube.TemplateOfNode(&youngest)
	t.Name, t.Labels = "", maps.Clone(t.Labels)
	delete(t.Labels, corev1.LabelHostname)
	t.StartupTaints = p.Template.StartupTaints
	t.Taints = slices.DeleteFunc(t.Taints, func(taint corev1.Taint) bool { return forAWhile(taint) || has(t.StartupTaints, taint) })
	for _, taint := range p.Template.Taints {
		if !has(t.Taints, taint) {
			t.Taints = append(t.Taints, taint)
		}
	}
	return t
}

func has(taints []corev1.Taint, one corev1.Taint) bool {
	return slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&one) })
}

// passingPrefixes begin the keys of taints that nodes wear until they are ready, while
// they are drained, or while something about them is wrong.
var passingPrefixes = []string{
	"node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "karpenter.sh/", "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler",
	"ignore-taint.cluster-autoscaler.kubernetes.io/",
}

func forAWhile(t corev1.Taint) bool {
	return slices.ContainsFunc(passingPrefixes, func(prefix string) bool { return strings.HasPrefix(t.Key, prefix) })
}
