package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// PodID names a pod as the core does.
func PodID(p *corev1.Pod) core.PodID {
	return core.PodID(p.Namespace + "/" + p.Name + "/" + string(p.UID))
}

// Pull is one image that a pod pulls.
type Pull struct {
	Image core.Image `json:"image"`
	Host  string     `json:"-"`
	// Always says that every start asks the registry.
	Always bool `json:"always,omitempty"`
}

// Pulls are the distinct images that a pod pulls: init containers first, then
// containers, then image volumes. Images that are never pulled and references
// that are none are left out.
func Pulls(spec *corev1.PodSpec) []Pull {
	var images []Pull
	add := func(ref string, policy corev1.PullPolicy) {
		image, host, ok := NormalImage(ref)
		if !ok || policy == corev1.PullNever {
			return
		}
		always := policy == corev1.PullAlways
		i := slices.IndexFunc(images, func(p Pull) bool { return p.Image == image })
		if i < 0 {
			images = append(images, Pull{Image: image, Host: host, Always: always})
			return
		}
		images[i].Always = images[i].Always || always
	}
	for _, c := range spec.InitContainers {
		add(c.Image, c.ImagePullPolicy)
	}
	for _, c := range spec.Containers {
		add(c.Image, c.ImagePullPolicy)
	}
	for _, v := range spec.Volumes {
		if v.Image != nil && v.Image.Reference != "" {
			add(v.Image.Reference, v.Image.PullPolicy)
		}
	}
	return images
}

// finished reports whether a pod will never pull again.
func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// podPhase is how far a pod is from needing no more pulls.
func podPhase(p *corev1.Pod) engine.PodPhase {
	switch {
	case gate.Gated(p):
		return engine.PodGated
	case p.Spec.NodeName != "":
		if allStarted(p) {
			return engine.PodPulled
		}
		return engine.PodBound
	case len(p.Spec.SchedulingGates) > 0:
		// Another owner holds it, for as long as that owner likes; its pulls must
		// not block others meanwhile.
		return engine.PodUnschedulable
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return engine.PodUnschedulable
		}
	}
	return engine.PodUnbound
}

// statusOf finds the status of a container by name.
func statusOf(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &statuses[i]
}

// hasStarted reports whether a container has its image: the runtime names it, or
// the container runs or ran.
func hasStarted(s *corev1.ContainerStatus) bool {
	return s != nil && (s.ImageID != "" || s.State.Running != nil || s.State.Terminated != nil)
}

// eachContainer calls visit for every container that pulls, with its status or nil.
func eachContainer(p *corev1.Pod, visit func(c *corev1.Container, s *corev1.ContainerStatus)) {
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		visit(c, statusOf(p.Status.InitContainerStatuses, c.Name))
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		visit(c, statusOf(p.Status.ContainerStatuses, c.Name))
	}
}

func allStarted(p *corev1.Pod) bool {
	all := true
	eachContainer(p, func(_ *corev1.Container, s *corev1.ContainerStatus) { all = all && hasStarted(s) })
	return all
}

// startedImages are the images of the containers that have started, sorted.
func startedImages(p *corev1.Pod) []core.Image {
	var images []core.Image
	eachContainer(p, func(c *corev1.Container, s *corev1.ContainerStatus) {
		if image, _, ok := NormalImage(c.Image); ok && hasStarted(s) {
			images = append(images, image)
		}
	})
	slices.Sort(images)
	return slices.Compact(images)
}

// systemPriority reports whether the pod is of those that keep the cluster alive.
func systemPriority(spec *corev1.PodSpec) bool {
	return strings.HasPrefix(spec.PriorityClassName, "system-")
}
