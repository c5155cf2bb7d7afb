package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// PullFailure is a container that waits because a pull failed.
type PullFailure struct {
	Container string
	// Image is what could not be pulled: the container's, or that of a volume. Host is
	// its registry; both are empty where the reference is none.
	Image core.Image
	Host  string
	// Reason is the kubelet's, Message its words: those of a registry, and so of
	// anybody. They are cut to maxWords and otherwise as they came.
	Reason, Message string
	// Attempt says that the status tells of an attempt itself and not of the
	// back-off after it.
	Attempt bool
	feedback.Failure
}

// maxWords bounds what is kept of a kubelet's message.
const maxWords = 1024

// pullReasons are the waiting reasons of a failed pull. Source: kubelet 1.37,
// pkg/kubelet/images/types.go; the second two came before from the runtime.
var pullReasons = map[string]bool{
	"ErrImagePull": true, "ImagePullBackOff": true, "RegistryUnavailable": true, "SignatureValidationFailed": true,
	"ImageInspectError": true, "ErrImageNeverPull": true, "InvalidImageName": true,
}

// backOff is the waiting reason between two attempts.
const backOff = "ImagePullBackOff"

// Failing are the containers of a pod whose last pull failed, in the order in which
// they start: init containers and sidecars, containers, ephemeral containers. One that
// ran before and is started again is among them when its image is asked for anew.
func Failing(p *corev1.Pod) []PullFailure {
	var failures []PullFailure
	visit := func(name, ref string, statuses []corev1.ContainerStatus) {
		s := statusOf(statuses, name)
		if s == nil || s.State.Waiting == nil || !pullReasons[s.State.Waiting.Reason] {
			return
		}
		w := s.State.Waiting
		f := PullFailure{Container: name, Reason: w.Reason, Message: cutWords(w.Message), Attempt: w.Reason != backOff}
		f.Image, f.Host, _ = NormalImage(volumeIn(p, w.Message, ref))
		f.Failure = feedback.Classify(w.Reason, w.Message, f.Host)
		failures = append(failures, f)
	}
	for i := range p.Spec.InitContainers {
		visit(p.Spec.InitContainers[i].Name, p.Spec.InitContainers[i].Image, p.Status.InitContainerStatuses)
	}
	for i := range p.Spec.Containers {
		visit(p.Spec.Containers[i].Name, p.Spec.Containers[i].Image, p.Status.ContainerStatuses)
	}
	for i := range p.Spec.EphemeralContainers {
		visit(p.Spec.EphemeralContainers[i].Name, p.Spec.EphemeralContainers[i].Image, p.Status.EphemeralContainerStatuses)
	}
	return failures
}

// volumeIn is the reference of the volume whose pull a message tells of: kubelets tell
// of it in the status of the container that mounts it. Without one it is the container's.
func volumeIn(p *corev1.Pod, message, own string) string {
	for _, v := range p.Spec.Volumes {
		if v.Image != nil && v.Image.Reference != "" && v.Image.Reference != own &&
			strings.Contains(message, `"`+v.Image.Reference+`"`) && !strings.Contains(message, `"`+own+`"`) {
			return v.Image.Reference
		}
	}
	return own
}

// cutWords keeps the beginning of a message and its end, where the cause is.
func cutWords(message string) string {
	if len(message) <= maxWords {
		return message
	}
	const head = maxWords / 2
	return message[:head] + " ... " + message[len(message)-(maxWords-head-5):]
}
