package plugin

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// explainFailing adds the pulls of pods that fail, one line for each image and class.
func explainFailing(model *view.Explanation, pods []corev1.Pod) {
	type alike struct {
		image string
		class feedback.Class
	}
	at := map[alike]int{}
	for i := range pods {
		for _, f := range kube.Failing(&pods[i]) {
			key := alike{string(f.Image), f.Class}
			if n, known := at[key]; known {
				model.Failing[n].Pods++
				continue
			}
			at[key] = len(model.Failing)
			model.Failing = append(model.Failing, failing(f))
		}
	}
	slices.SortStableFunc(model.Failing, func(a, b view.FailingPull) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Class, b.Class))
	})
}

// failing shows one failing pull.
func failing(f kube.PullFailure) view.FailingPull {
	info := f.Class.Info()
	return view.FailingPull{Container: f.Container, Image: string(f.Image), Class: string(f.Class), Kind: string(f.Kind),
		Also: string(f.Also), Words: f.Message, Text: info.Text, Pauses: info.Pauses, Remedy: info.Remedy, Pods: 1}
}

// hintedBy takes in what Events tell of pulls whose status does not say why they fail.
func hintedBy(model *view.Explanation, pod *corev1.Pod, events []eventsv1.Event) {
	const failed = "Failed to pull image "
	slices.SortFunc(events, func(a, b eventsv1.Event) int { return cluster.EventTime(&b).Compare(cluster.EventTime(&a)) })
	for _, e := range events {
		if e.Regarding.UID != pod.UID || e.Reason != "Failed" || !strings.HasPrefix(e.Note, failed) {
			continue
		}
		for i, known := range model.Failing {
			if known.Class != string(feedback.Unknown) || e.Regarding.FieldPath != "spec.containers{"+known.Container+"}" {
				continue
			}
			next := kube.PullFailure{Container: known.Container, Message: e.Note, Failure: feedback.Classify("", e.Note, "")}
			model.Failing[i] = failing(next)
			model.Failing[i].Image = known.Image
		}
	}
}
