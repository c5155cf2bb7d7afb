package controller

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// explainNodes says on the nodes of a group that wear our taint why they wait.
func (e *explainer) explainNodes(t *kube.Tracker, id core.GroupID, holds []engine.Hold, causes []string) {
	for _, n := range t.HeldNodes(id) {
		e.tellNode(n, explanation{reason: holds[0].Reason, held: true, message: cut(messageOf("node", holds[0], causes[0], gate.HoldUntil(n)), maxMessage)})
	}
}

// grantsAtOnce bounds the nodes that one turn looks at that do not say yet that they
// were let go.
const grantsAtOnce = 50

// grantNodes says on nodes that they were let go, or that nobody held them: whoever
// waits for the condition must not wait for nodes that are none of our business.
func (e *explainer) grantNodes(t *kube.Tracker) {
	for _, n := range t.Untold(grantsAtOnce) {
		reason, _ := t.Granted(n.Name)
		what := "let go: " + nodeText(reason)
		if why := t.WhyNotHeld(n.Name); why != "" {
			what = "not held: " + why
		}
		e.tellNode(n, explanation{reason: reason, message: what})
	}
}

// tellNode queues what a node should say of itself.
func (e *explainer) tellNode(n *corev1.Node, x explanation) {
	x.node, x.name, x.uid = true, n.Name, n.UID
	e.enqueue(kube.NodePodID(n), x, true)
}

// writeOnNode sets the condition of one node.
func (e *explainer) writeOnNode(ctx context.Context, x explanation) error {
	status := corev1.ConditionTrue
	if x.held {
		status = corev1.ConditionFalse
	}
	now := metav1.NewTime(e.clock.Now())
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": x.uid},
		"status": map[string]any{"conditions": []corev1.NodeCondition{{
			Type: v1alpha1.ConditionPullBudgetGranted, Status: status, Reason: string(x.reason), Message: x.message,
			LastTransitionTime: now, LastHeartbeatTime: now,
		}}},
	})
	if err != nil {
		return fmt.Errorf("encoding a condition: %w", err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: x.name}}
	err = e.client.Status().Patch(ctx, node, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another node of the same name
	}
	return err
}
