package kube

import (
	"slices"
	"strings"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
)

// Fleet is the nodes of a cluster and what is known to be on them, read once and
// kept ready for prices, so that a price walks nodes and neither their lists of
// images nor the pods. Objects are kept and never written to. It is safe for
// concurrent use.
type Fleet struct {
	mu    sync.RWMutex
	nodes map[string]*fleetNode
	// pods is what each living pod started where.
	pods map[core.PodID]startedPod
	// names are references as nodes list them; a cluster lists the same ones on
	// many nodes.
	names map[string]listedImage
}

// fleetNode is a node with its images: those it lists, and those that containers of
// living pods have started from there. Both are short and looked through.
type fleetNode struct {
	object      *corev1.Node // nil: only its pods were seen yet
	listed      []listedImage
	truncated   bool
	alwaysCosts bool
	started     []startedImage
}

// startedImage is an image with how many living pods have started from it.
type startedImage struct {
	image listedImage
	pods  int
}

// listedImage is an image's name, kept once for all nodes.
type listedImage = unique.Handle[core.Image]

type startedPod struct {
	node   string
	images []listedImage
}

// maxNames bounds the remembered references.
const maxNames = 1 << 16

// NewFleet returns a fleet that knows nothing.
func NewFleet() *Fleet {
	return &Fleet{nodes: map[string]*fleetNode{}, pods: map[core.PodID]startedPod{}, names: map[string]listedImage{}}
}

// FleetOf is a fleet of listed objects.
func FleetOf(nodes []corev1.Node, pods []corev1.Pod) *Fleet {
	f := NewFleet()
	for i := range nodes {
		f.Node(&nodes[i])
	}
	for i := range pods {
		f.Pod(&pods[i])
	}
	return f
}

// Node takes in a node.
func (f *Fleet) Node(n *corev1.Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.node(n.Name)
	if known.object == nil || !sameImages(known.object, n) {
		known.listed = f.listed(n)
	}
	known.object = n
	known.truncated = len(n.Status.Images) >= listedImages
	known.alwaysCosts = strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, crioRuntime)
}

func (f *Fleet) node(name string) *fleetNode {
	n := f.nodes[name]
	if n == nil {
		n = &fleetNode{}
		f.nodes[name] = n
	}
	return n
}

// sameImages reports whether two sights of a node list the same images.
func sameImages(a, b *corev1.Node) bool {
	return slices.EqualFunc(a.Status.Images, b.Status.Images, func(x, y corev1.ContainerImage) bool { return slices.Equal(x.Names, y.Names) })
}

// listed are all names under which the node lists images.
func (f *Fleet) listed(n *corev1.Node) []listedImage {
	var out []listedImage
	for _, image := range n.Status.Images {
		for _, name := range image.Names {
			known, ok := f.names[name]
			if !ok {
				normal, _, _ := NormalImage(name)
				known = unique.Make(normal) // the empty name where it is no reference
				if len(f.names) >= maxNames {
					clear(f.names)
				}
				f.names[name] = known
			}
			if known.Value() != "" {
				out = append(out, known)
			}
		}
	}
	return out
}

// NodeGone takes in the end of a node.
func (f *Fleet) NodeGone(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[name]
	if n == nil {
		return
	}
	if n.object = nil; len(n.started) == 0 {
		delete(f.nodes, name)
	}
}

// Pod takes in a pod.
func (f *Fleet) Pod(p *corev1.Pod) {
	var next startedPod
	if p.Spec.NodeName != "" && !finished(p) {
		next.node = p.Spec.NodeName
		for _, image := range startedImages(p) {
			next.images = append(next.images, unique.Make(image))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(PodID(p), next)
}

// PodGone takes in the end of a pod.
func (f *Fleet) PodGone(id core.PodID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(id, startedPod{})
}

// replace counts what a pod has started.
func (f *Fleet) replace(id core.PodID, next startedPod) {
	last := f.pods[id]
	if last.node == next.node && slices.Equal(last.images, next.images) {
		return
	}
	f.count(last, -1)
	f.count(next, 1)
	if len(next.images) == 0 {
		delete(f.pods, id)
	} else {
		f.pods[id] = next
	}
}

func (f *Fleet) count(p startedPod, by int) {
	if len(p.images) == 0 {
		return
	}
	n := f.node(p.node)
	for _, image := range p.images {
		n.start(image, by)
	}
	if n.object == nil && len(n.started) == 0 {
		delete(f.nodes, p.node)
	}
}

// start counts pods of an image.
func (n *fleetNode) start(image listedImage, by int) {
	i := slices.IndexFunc(n.started, func(s startedImage) bool { return s.image == image })
	if i < 0 {
		n.started = append(n.started, startedImage{image: image, pods: by})
		return
	}
	if n.started[i].pods += by; n.started[i].pods <= 0 {
		n.started = slices.Delete(n.started, i, i+1)
	}
}

// has reports whether the node has the image, as far as is known.
func (n *fleetNode) has(image listedImage) bool {
	return slices.Contains(n.listed, image) || slices.ContainsFunc(n.started, func(s startedImage) bool { return s.image == image })
}

// fitting are the nodes that pods may use.
func (f *Fleet) fitting(spec *corev1.PodSpec) []*fleetNode {
	c, target := podConstraints(spec)
	fits := c.matcher()
	var nodes []*fleetNode
	for name, n := range f.nodes {
		if n.object != nil && (target == "" || string(target) == name) && fits(n.object) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
