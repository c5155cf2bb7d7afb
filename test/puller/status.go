package puller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status is that of a pod of which those containers wait: Running and Ready when none
// does.
func (m *machine) status(p *corev1.Pod, waits map[string]corev1.ContainerStateWaiting) corev1.PodStatus {
	now := metav1.Now()
	s := corev1.PodStatus{Phase: corev1.PodRunning, StartTime: p.Status.StartTime, QOSClass: p.Status.QOSClass}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	starting := false // an init container waits: nothing after it has begun
	for _, c := range p.Spec.InitContainers {
		wait, waiting := waits[c.Name]
		state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		switch {
		case waiting:
			state = corev1.ContainerState{Waiting: &wait}
		case starting:
			state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
		}
		starting = starting || waiting
		s.InitContainerStatuses = append(s.InitContainerStatuses, m.running(p, c, state))
	}
	for _, c := range p.Spec.Containers {
		wait, waiting := waits[c.Name]
		state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
		switch {
		case waiting:
			state = corev1.ContainerState{Waiting: &wait}
		case starting:
			state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
		}
		s.ContainerStatuses = append(s.ContainerStatuses, m.running(p, c, state))
	}
	ready := corev1.ConditionTrue
	if len(waits) > 0 {
		s.Phase, ready = corev1.PodPending, corev1.ConditionFalse
	}
	initialized := corev1.ConditionTrue
	if starting {
		initialized = corev1.ConditionFalse
	}
	s.Conditions = []corev1.PodCondition{
		{Type: corev1.PodInitialized, Status: initialized, LastTransitionTime: now},
		{Type: corev1.ContainersReady, Status: ready, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: ready, LastTransitionTime: now},
	}
	return s
}

// running is the status of one container in a state.
func (m *machine) running(p *corev1.Pod, c corev1.Container, state corev1.ContainerState) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: state, Started: new(bool)}
	if state.Waiting != nil {
		return s
	}
	got := m.held[c.Image]
	s.ImageID = got.repo + "@" + got.digest
	s.ContainerID = "containerd://" + string(p.UID) + "-" + c.Name
	*s.Started, s.Ready = state.Running != nil, true
	return s
}

// images is what the node says it holds, in the order of their names.
func (m *machine) images() []corev1.ContainerImage {
	var list []corev1.ContainerImage
	for _, i := range m.held {
		list = append(list, corev1.ContainerImage{Names: []string{i.repo + "@" + i.digest, i.ref}, SizeBytes: i.size})
	}
	slices.SortFunc(list, func(a, b corev1.ContainerImage) int { return slices.Compare(a.Names, b.Names) })
	return list
}
