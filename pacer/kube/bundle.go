package kube

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// ToBundle is a node, there or to come, and what would run on it. Objects are only
// read.
type ToBundle struct {
	Node NodeTemplate
	// DaemonSets are all of the cluster, in any order.
	DaemonSets []*appsv1.DaemonSet
	Rules      *Rules
	// NamespaceLabels are those of a namespace; nil: none are known.
	NamespaceLabels func(namespace string) map[string]string
	// Sandbox is the image of the runtime's sandboxes where it is known; empty: it is
	// not, and is not counted.
	Sandbox string
	// accounts are those that pulls from a host to any node may draw on; nil: only that
	// of this node is wanted.
	accounts func(host string, spec *corev1.PodSpec, namespaceLabels map[string]string) []core.AccountID
}

// Bundle is what a node pulls for itself, before any workload comes to it.
type Bundle struct {
	Images []BundleImage
	// Leaks are the DaemonSets of the bundle that a held node does not keep off: they
	// tolerate its taint, as those do that tolerate everything.
	Leaks []Owner
	// DaemonSets are all that would run there, sorted.
	DaemonSets []Owner
}

// BundleImage is one image of a bundle.
type BundleImage struct {
	Pull
	// Accounts are those that a pull to some node may draw on, in order of preference;
	// Account is that of this very node and Budget the PullBudget that declares it.
	// All are empty where no budget paces it.
	Accounts []core.AccountID
	Account  core.AccountID
	Budget   string
	// Present says that the node need not ask for it.
	Present bool
	// For are the DaemonSets that pull it; none: the runtime does.
	For []Owner
}

// BundleOf is what such a node pulls for itself: the distinct images of all DaemonSets
// whose pods would run there once it is ready, init containers first, in the order of
// the DaemonSets by namespace and name.
func BundleOf(in ToBundle) Bundle {
	if in.Rules == nil {
		in.Rules = &Rules{}
	}
	if in.NamespaceLabels == nil {
		in.NamespaceLabels = func(string) map[string]string { return nil }
	}
	var b Bundle
	node := in.Node.ready()
	for _, set := range sortedSets(in.DaemonSets) {
		if !runsOn(set, node) {
			continue
		}
		owner := Owner{Kind: "DaemonSet", Namespace: set.Namespace, Name: set.Name}
		b.DaemonSets = append(b.DaemonSets, owner)
		if toleratesHold(&set.Spec.Template.Spec) {
			b.Leaks = append(b.Leaks, owner)
		}
		for _, pull := range Pulls(&set.Spec.Template.Spec) {
			b.add(in.image(pull, &set.Spec.Template.Spec, set.Namespace, node), owner)
		}
	}
	if image, host, ok := NormalImage(in.Sandbox); ok && in.Sandbox != "" {
		b.add(in.image(Pull{Image: image, Host: host}, &corev1.PodSpec{}, "", node), Owner{})
	}
	return b
}

// Cold are the images that the node is still to pull.
func (b Bundle) Cold() []BundleImage {
	var cold []BundleImage
	for _, image := range b.Images {
		if !image.Present {
			cold = append(cold, image)
		}
	}
	return cold
}

// add counts an image in, once however many DaemonSets pull it.
func (b *Bundle) add(image BundleImage, owner Owner) {
	i := slices.IndexFunc(b.Images, func(known BundleImage) bool { return known.Image == image.Image })
	if i < 0 {
		i = len(b.Images)
		b.Images = append(b.Images, image)
	}
	known := &b.Images[i]
	known.Always = known.Always || image.Always
	known.Present = known.Present && image.Present
	if known.Account == "" {
		known.Accounts, known.Account, known.Budget = image.Accounts, image.Account, image.Budget
	}
	if owner != (Owner{}) {
		known.For = append(known.For, owner)
	}
}

// image says what is known of one image on the node.
func (in ToBundle) image(pull Pull, spec *corev1.PodSpec, namespace string, node *corev1.Node) BundleImage {
	out := BundleImage{Pull: pull, Present: slices.Contains(in.Node.Images, pull.Image) && !(pull.Always && in.Node.AlwaysCosts)}
	budgets := in.Rules.covering(pull.Host, spec, in.NamespaceLabels(namespace))
	if b, group := drawsOn(budgets, node); b != nil {
		out.Account, out.Budget = b.accountID(group), b.name
		out.Accounts = []core.AccountID{out.Account}
	}
	if in.accounts != nil {
		out.Accounts = in.accounts(pull.Host, spec, in.NamespaceLabels(namespace))
	}
	return out
}

func sortedSets(sets []*appsv1.DaemonSet) []*appsv1.DaemonSet {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *appsv1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return sets
}

// runsOn reports whether the DaemonSet controller runs a pod of the set on a node.
func runsOn(set *appsv1.DaemonSet, node *corev1.Node) bool {
	spec := &set.Spec.Template.Spec
	if set.DeletionTimestamp != nil || spec.NodeName != "" && spec.NodeName != node.Name {
		return false
	}
	c, target := podConstraints(spec)
	c.Tolerations = append(slices.Clone(c.Tolerations), daemonTolerations(spec)...)
	return (target == "" || string(target) == node.Name) && c.fits(node)
}

// daemonTolerations are those that the DaemonSet controller adds to its pods.
func daemonTolerations(spec *corev1.PodSpec) []corev1.Toleration {
	tolerate := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	added := []corev1.Toleration{
		tolerate(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute),
		tolerate(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute),
		tolerate(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule),
	}
	if spec.HostNetwork {
		added = append(added, tolerate(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule))
	}
	return added
}

// toleratesHold reports whether pods go to a node that we hold.
func toleratesHold(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
		if t.Key != "" && t.Key != v1alpha1.Taint || t.Effect != "" && t.Effect != corev1.TaintEffectNoSchedule {
			return false
		}
		return t.Operator == corev1.TolerationOpExists || t.Key == v1alpha1.Taint && t.Value == ""
	})
}

// NodeTemplate is what of a node, there or to come, decides what runs on it and what
// it has.
type NodeTemplate struct {
	// Name is empty for a node to come.
	Name   string
	Labels map[string]string
	// Taints stay, StartupTaints go when the node is ready, and keep nobody off then.
	Taints, StartupTaints []corev1.Taint
	// Images are those that it has; Truncated says that there may be more.
	Images    []core.Image
	Truncated bool
	// AlwaysCosts says that its runtime asks by GET for images that it has.
	AlwaysCosts bool
}

// TemplateOfNode is a node that is there as a template.
func TemplateOfNode(n *corev1.Node) NodeTemplate {
	t := NodeTemplate{Name: n.Name, Labels: n.Labels, Images: nodeImages(n), Truncated: len(n.Status.Images) >= listedImages,
		AlwaysCosts: strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, crioRuntime)}
	for _, taint := range n.Spec.Taints {
		if isPassing(taint.Key) {
			t.StartupTaints = append(t.StartupTaints, taint)
		} else {
			t.Taints = append(t.Taints, taint)
		}
	}
	return t
}

// ready is the node as it is once it is ready and nobody holds it.
func (t NodeTemplate) ready() *corev1.Node {
	n := &corev1.Node{}
	n.Name, n.Labels = t.Name, t.Labels
	for _, taint := range t.Taints {
		if !slices.ContainsFunc(t.StartupTaints, func(s corev1.Taint) bool { return s.MatchTaint(&taint) }) {
			n.Spec.Taints = append(n.Spec.Taints, taint)
		}
	}
	return n
}
