package kube

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Trimmer makes pods small for an informer's cache: it leaves what pulls, where it may
// run, what it asks for, what marks it and how it stands, which is all that anybody here
// reads, and has pods of one owner share what they are made of. What is trimmed may be
// patched by what differs between two sights of it, and never be written whole. It is safe
// for concurrent use.
type Trimmer struct {
	mu sync.Mutex
	// last is the pod of each owner that others share with.
	last map[types.UID]*corev1.Pod
}

// maxShared bounds the owners whose pods are remembered.
const maxShared = 1 << 14

// NewTrimmer knows no pods yet.
func NewTrimmer() *Trimmer { return &Trimmer{last: map[types.UID]*corev1.Pod{}} }

// Pod trims a pod that nobody else has yet. Other objects stay as they are.
func (t *Trimmer) Pod(object any) (any, error) {
	p, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	p.ManagedFields = nil
	delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	trimSpec(&p.Spec)
	trimStatus(&p.Status)
	t.share(p)
	return p, nil
}

func trimSpec(spec *corev1.PodSpec) {
	spec.InitContainers, spec.Containers = trimContainers(spec.InitContainers), trimContainers(spec.Containers)
	for i, c := range spec.EphemeralContainers {
		spec.EphemeralContainers[i] = corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: c.Name, Image: c.Image, ImagePullPolicy: c.ImagePullPolicy}}
	}
	var volumes []corev1.Volume
	for _, v := range spec.Volumes {
		if v.Image != nil {
			volumes = append(volumes, v)
		}
	}
	spec.Volumes = volumes
	spec.SecurityContext, spec.TopologySpreadConstraints, spec.HostAliases, spec.DNSConfig = nil, nil, nil, nil
}

// trimContainers leaves of containers what they are called, run and ask for.
func trimContainers(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range containers {
		out = append(out, corev1.Container{Name: c.Name, Image: c.Image, ImagePullPolicy: c.ImagePullPolicy, Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	return slices.Clip(out)
}

func trimStatus(status *corev1.PodStatus) {
	var conditions []corev1.PodCondition
	for _, c := range status.Conditions {
		if c.Type == corev1.PodScheduled || c.Type == v1alpha1.ConditionHeld {
			conditions = append(conditions, c)
		}
	}
	status.Conditions, status.PodIPs, status.HostIPs = conditions, nil, nil
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range statuses {
			s := &statuses[i]
			s.AllocatedResources, s.AllocatedResourcesStatus, s.Resources, s.VolumeMounts, s.User = nil, nil, nil, nil, nil
		}
	}
}

// share has a pod use what is the same in another one of its owner.
func (t *Trimmer) share(p *corev1.Pod) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return
	}
	t.mu.Lock()
	other := t.last[owner.UID]
	if len(t.last) >= maxShared {
		clear(t.last)
	}
	t.last[owner.UID] = p
	t.mu.Unlock()
	if other == nil {
		return
	}
	p.Namespace = other.Namespace
	if maps.Equal(p.Labels, other.Labels) {
		p.Labels = other.Labels
	}
	same(&p.OwnerReferences, other.OwnerReferences)
	same(&p.Spec.InitContainers, other.Spec.InitContainers)
	same(&p.Spec.Containers, other.Spec.Containers)
	same(&p.Spec.Volumes, other.Spec.Volumes)
	same(&p.Spec.NodeSelector, other.Spec.NodeSelector)
	same(&p.Spec.Affinity, other.Spec.Affinity)
	same(&p.Spec.Tolerations, other.Spec.Tolerations)
	same(&p.Spec.ImagePullSecrets, other.Spec.ImagePullSecrets)
	same(&p.Spec.SchedulingGates, other.Spec.SchedulingGates)
}

// same makes a value that equals another that very one.
func same[T any](value *T, other T) {
	if reflect.DeepEqual(*value, other) {
		*value = other
	}
}
