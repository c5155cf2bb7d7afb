package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/view"
)

// HeldPods lists the pods that Pace holds, oldest first; namespace "" is all.
func HeldPods(ctx context.Context, c client.Reader, namespace string) ([]corev1.Pod, error) {
	var held []corev1.Pod
	for next := ""; ; {
		var page corev1.PodList
		err := c.List(ctx, &page, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelHeld: "true"},
			client.Limit(500), client.Continue(next))
		if err != nil {
			return nil, fmt.Errorf("listing pods: %w", err)
		}
		for _, pod := range page.Items {
			if gate.Gated(&pod) && pod.DeletionTimestamp == nil {
				held = append(held, pod)
			}
		}
		if next = page.Continue; next == "" {
			break
		}
	}
	slices.SortFunc(held, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return held, nil
}

// Groups sums held pods up by workload and reason, in the order of namespace,
// workload and reason.
func Groups(pods []corev1.Pod) []view.HeldGroup {
	type key struct{ namespace, workload, reason string }
	groups := map[key]*view.HeldGroup{}
	for i := range pods {
		pod, hold := &pods[i], HoldOf(&pods[i])
		k := key{pod.Namespace, OwnerOf(pod), hold.Reason}
		g := groups[k]
		if g == nil {
			g = &view.HeldGroup{Namespace: k.namespace, Workload: k.workload, Reason: k.reason, Since: hold.Since}
			groups[k] = g
		}
		g.Pods++
		g.Message = hold.Message
		g.Since = earlier(g.Since, hold.Since)
		if hold.Until.After(g.Until) {
			g.Until = hold.Until
		}
	}
	list := make([]view.HeldGroup, 0, len(groups))
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b view.HeldGroup) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// HoldReason is what the controller says on an object of why it is held, where it has
// no condition for that: "Reason: words".
func HoldReason(obj client.Object) (reason, message string) {
	reason, message, known := strings.Cut(obj.GetAnnotations()[v1alpha1.AnnotationHoldReason], ": ")
	if !known {
		return "", "the controller has not said why yet"
	}
	return reason, message
}

// HeldNodes lists the nodes that carry our taint.
func HeldNodes(ctx context.Context, c client.Reader) ([]view.HeldNode, error) {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var held []view.HeldNode
	for _, node := range nodes.Items {
		for _, taint := range node.Spec.Taints {
			if taint.Key != v1alpha1.Taint {
				continue
			}
			h := view.HeldNode{Name: node.Name, Since: node.CreationTimestamp.Time, Until: gate.HoldUntil(&node)}
			if taint.TimeAdded != nil {
				h.Since = taint.TimeAdded.Time
			}
			h.Reason, h.Message = HoldReason(&node)
			held = append(held, h)
		}
	}
	return held, nil
}
