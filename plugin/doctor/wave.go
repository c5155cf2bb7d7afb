package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// waveLead is how long before a refusal pods may have been created that drew on the
// same limit.
const waveLead = 15 * time.Minute

// wave is the pods that wanted images of a registry at about the same time.
type wave struct {
	from         time.Time
	pods         []*corev1.Pod
	nodes        map[string]bool
	got, refused int
}

// waveOf is the wave that failures are of: pods that pull from the registry and were
// created after waveLead before the first of them.
func (e *exam) waveOf(host string, failures []failure) wave {
	w := wave{nodes: map[string]bool{}}
	refused := map[podKey]bool{}
	for _, f := range failures {
		refused[podKey{f.namespace, f.pod}] = true
		if p := e.pods[podKey{f.namespace, f.pod}]; p != nil {
			w.from = earliest(w.from, p.CreationTimestamp.Time)
		}
		w.from = earliest(w.from, f.from)
	}
	if w.from.IsZero() {
		return w
	}
	begin := w.from.Add(-waveLead)
	w.from = time.Time{}
	for i := range e.Pods {
		p := &e.Pods[i]
		key := podKey{p.Namespace, p.Name}
		if p.Spec.NodeName == "" || !e.pullsFrom(p, host) || p.CreationTimestamp.Time.Before(begin) && !refused[key] {
			continue
		}
		w.pods = append(w.pods, p)
		w.nodes[p.Spec.NodeName] = true
		w.from = earliest(w.from, p.CreationTimestamp.Time)
		switch {
		case started(p):
			w.got++
		case refused[key]:
			w.refused++
		}
	}
	return w
}

// pullsFrom reports whether a pod has an image of a registry.
func (e *exam) pullsFrom(p *corev1.Pod, host string) bool {
	return slices.ContainsFunc(e.pullsOf(p), func(x kube.Pull) bool { return x.Host == host })
}

// started reports whether a pod has all its images.
func started(p *corev1.Pod) bool {
	want := len(p.Spec.InitContainers) + len(p.Spec.Containers)
	have := 0
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.ImageID != "" || s.State.Running != nil || s.State.Terminated != nil {
			have++
		}
	}
	return have >= want
}

// pulling are the pods that pull now: bound, and not all their images are there.
func (e *exam) pulling() view.Pulling {
	var pods []*corev1.Pod
	nodes := map[string]bool{}
	for i := range e.Pods {
		p := &e.Pods[i]
		if p.Spec.NodeName == "" || finished(p) || started(p) || !e.scope.has(p) {
			continue
		}
		pods = append(pods, p)
		nodes[p.Spec.NodeName] = true
	}
	return view.Pulling{Pods: len(pods), Nodes: len(nodes), Causes: causes(e, pods)}
}

// The kinds of a cause.
const (
	newNodes    = "NewNodes"
	rollout     = "Rollout"
	scaleUp     = "ScaleUp"
	newWorkload = "NewWorkload"
	recreated   = "Recreated"
	bare        = "Bare"
)

// soon is how long after its ReplicaSet or node a pod is of its making.
const soon = 10 * time.Minute

// causes tells why pods pull, from the ages of their nodes and of the ReplicaSets
// that own them.
func causes(e *exam, pods []*corev1.Pod) []view.Cause {
	sets := map[podKey]*metav1.PartialObjectMetadata{}
	newest := map[podKey]int{}
	for i := range e.ReplicaSets {
		rs := &e.ReplicaSets[i]
		sets[podKey{rs.Namespace, rs.Name}] = rs
		if ref := metav1.GetControllerOf(rs); ref != nil {
			newest[podKey{rs.Namespace, ref.Name}]++
		}
	}
	type key struct {
		kind  string
		owner kube.Owner
	}
	found := map[key]*view.Cause{}
	on := map[key]map[string]bool{}
	for _, p := range pods {
		k := key{owner: kube.OwnerOf(p)}
		var since time.Time
		k.kind, since = e.causeOf(p, sets, newest)
		c := found[k]
		if c == nil {
			c = &view.Cause{Kind: k.kind, Workload: workloadName(k.owner)}
			found[k], on[k] = c, map[string]bool{}
		}
		c.Pods++
		c.Since = earliest(c.Since, since)
		on[k][p.Spec.NodeName] = true
	}
	out := make([]view.Cause, 0, len(found))
	for k, c := range found {
		c.Nodes = len(on[k])
		c.Text = causeText(*c)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b view.Cause) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// causeOf tells why a pod was created, and when that began.
func (e *exam) causeOf(p *corev1.Pod, sets map[podKey]*metav1.PartialObjectMetadata, revisions map[podKey]int) (kind string, since time.Time) {
	created := p.CreationTimestamp.Time
	if n := e.nodes[p.Spec.NodeName]; n != nil && created.Sub(n.CreationTimestamp.Time) < soon {
		return newNodes, n.CreationTimestamp.Time
	}
	owner := kube.OwnerOf(p)
	ref := metav1.GetControllerOf(p)
	switch {
	case ref == nil:
		return bare, created
	case ref.Kind != "ReplicaSet":
		return recreated, created
	}
	rs := sets[podKey{p.Namespace, ref.Name}]
	if rs == nil {
		return recreated, created
	}
	switch {
	case created.Sub(rs.CreationTimestamp.Time) >= soon:
		return scaleUp, created
	case revisions[podKey{p.Namespace, owner.Name}] > 1:
		return rollout, rs.CreationTimestamp.Time
	}
	return newWorkload, rs.CreationTimestamp.Time
}

// causeText says a cause.
func causeText(c view.Cause) string {
	n := fmt.Sprintf("%s: %s on %s", c.Workload, count(c.Pods, "pod"), count(c.Nodes, "node"))
	switch c.Kind {
	case newNodes:
		return n + " that came lately"
	case rollout:
		return n + ", a rollout"
	case newWorkload:
		return n + ", a new workload"
	case scaleUp:
		return n + ", scaled up or replaced"
	case bare:
		return n + ", made by hand or by a pipeline"
	}
	return n + ", replaced"
}
