package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// listedImages is how many images a kubelet lists by default (nodeStatusMaxImages);
// at that length the list may have been cut, largest first.
const listedImages = 50

// crioRuntime begins the version of a runtime that asks by GET for what it has.
const crioRuntime = "cri-o://"

// node translates a Node; egress is the egress group that it belongs to.
func node(n *corev1.Node, egress string) engine.Node {
	return engine.Node{
		ID:           core.NodeID(n.Name),
		Egress:       egress,
		Zone:         n.Labels[corev1.LabelTopologyZone],
		BootID:       n.Status.NodeInfo.BootID,
		Images:       nodeImages(n),
		Truncated:    len(n.Status.Images) >= listedImages,
		DiskPressure: nodeCondition(n, corev1.NodeDiskPressure),
		AlwaysCosts:  strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, crioRuntime),
	}
}

// nodeImages are all names under which the node lists images, sorted.
func nodeImages(n *corev1.Node) []core.Image {
	var images []core.Image
	for _, listed := range n.Status.Images {
		for _, name := range listed.Names {
			if image, _, ok := NormalImage(name); ok {
				images = append(images, image)
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

func nodeCondition(n *corev1.Node, t corev1.NodeConditionType) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}

// nodeFacts is what decides whether pods fit a node, kept to tell whether pools
// must be looked at again.
func nodeFacts(n *corev1.Node) *corev1.Node {
	kept := &corev1.Node{}
	kept.Name, kept.Labels = n.Name, n.Labels
	kept.Spec.Taints, kept.Spec.Unschedulable = n.Spec.Taints, n.Spec.Unschedulable
	return kept
}
