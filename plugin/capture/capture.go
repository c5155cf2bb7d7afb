package capture

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// Cluster is what was read of a cluster.
type Cluster struct {
	Nodes       []corev1.Node
	Pods        []corev1.Pod
	Deployments []appsv1.Deployment
	// Rollouts are those of Argo, where the cluster has it.
	Rollouts []unstructured.Unstructured
	Budgets  []v1alpha1.PullBudget
	// Policies, the oldest first.
	Policies []v1alpha1.PacePolicy
	// Kubelets are the configurations of some nodes, by name.
	Kubelets map[string]Kubelet
	// Unread says what could not be read, in words.
	Unread []string
	// Now is when it was read.
	Now time.Time
}

// capture is a cluster on its way into a file.
type capture struct {
	Cluster
	names Names
	rules *kube.Rules
	// nodes are those that ordinary pods may use, by name, as their place in pools.
	pools []*pool
	nodes map[string]*pool
	// left are the nodes that they may not use.
	left      int
	images    map[core.Image]*image
	workloads map[kube.Owner]*workload
	pending   int
}

// image is what pods pull.
type image struct {
	name string
	host string
	size int64
}

// workload is pods of one owner.
type workload struct {
	owner    kube.Owner
	replicas int
	sample   *corev1.Pod
	pools    map[*pool]bool
}

// Scenario writes the cluster as a scenario file of a name.
func Scenario(c Cluster, name string, names Names) []byte {
	s := &capture{
		Cluster: c, names: names, nodes: map[string]*pool{},
		images: map[core.Image]*image{}, workloads: map[kube.Owner]*workload{},
	}
	// Budgets and policies that cannot be used are in no account either.
	s.rules, _ = kube.NewRules(c.Budgets, c.Policies)
	s.readNodes()
	s.readPods()
	s.readSizes()
	s.measureRoom()
	return s.write(name)
}

// readPods sorts the pods that run into DaemonSets and workloads.
func (s *capture) readPods() {
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil || isStatic(p) {
			continue
		}
		if p.Spec.NodeName == "" {
			s.pending++
			continue
		}
		on := s.nodes[p.Spec.NodeName]
		if on == nil {
			continue
		}
		owner := kube.OwnerOf(p)
		if owner.Kind == "DaemonSet" {
			on.daemon(p, owner)
			continue
		}
		on.pods[p.Spec.NodeName]++
		w := s.workloads[owner]
		if w == nil {
			w = &workload{owner: owner, sample: p, pools: map[*pool]bool{}}
			s.workloads[owner] = w
		}
		if p.CreationTimestamp.After(w.sample.CreationTimestamp.Time) {
			w.sample = p
		}
		w.replicas++
		w.pools[on] = true
	}
	for _, w := range s.workloads {
		s.use(w.sample)
	}
	for _, p := range s.pools {
		for _, d := range p.daemons {
			s.use(d.sample)
		}
	}
}

// isStatic reports whether a pod is of a kubelet's own files.
func isStatic(p *corev1.Pod) bool {
	_, mirrored := p.Annotations[corev1.MirrorPodAnnotationKey]
	return mirrored
}

// use notes the images of a pod.
func (s *capture) use(p *corev1.Pod) {
	for _, pull := range kube.Pulls(&p.Spec) {
		if s.images[pull.Image] == nil {
			s.images[pull.Image] = &image{name: s.names.of("image", string(pull.Image)), host: pull.Host}
		}
	}
}

// readSizes takes the sizes of images from where they are.
func (s *capture) readSizes() {
	for i := range s.Nodes {
		for _, listed := range s.Nodes[i].Status.Images {
			for _, ref := range listed.Names {
				if name, _, ok := kube.NormalImage(ref); ok && s.images[name] != nil {
					s.images[name].size = max(s.images[name].size, listed.SizeBytes)
				}
			}
		}
	}
}

// imageNames are the names of what a pod pulls, in order.
func (s *capture) imageNames(p *corev1.Pod) []string {
	var out []string
	for _, pull := range kube.Pulls(&p.Spec) {
		out = append(out, s.images[pull.Image].name)
	}
	return out
}

// hosts are the registries of all images and budgets, by the names of the file.
func (s *capture) hosts() []string {
	seen := map[string]bool{}
	for _, i := range s.images {
		seen[i.host] = true
	}
	for _, b := range s.Budgets {
		seen[kube.Host(b.Spec.Registry)] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return strings.Compare(s.names.host(a), s.names.host(b)) })
}

// ordered are the values of a map by a name that the file shows, so that the order
// tells nothing that the names do not.
func ordered[K comparable, V any](m map[K]V, name func(V) string) []V {
	return slices.SortedFunc(maps.Values(m), func(a, b V) int { return cmp.Compare(name(a), name(b)) })
}
