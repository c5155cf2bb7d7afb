package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// tracePath is where the controller serves what it was told and decided.
const tracePath = "/v1/trace"

// ErrNoTrace says that the controller does not keep what it is told.
var ErrNoTrace = errors.New("the controller keeps no trace")

// Trace reads what the controller was told and decided from the replica that takes the
// turns.
func (c *Cluster) Trace(ctx context.Context) ([]byte, error) {
	var lease coordinationv1.Lease
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat}, &lease)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading the heartbeat: %w", err)
	}
	if err != nil || lease.Spec.HolderIdentity == nil {
		return nil, ErrNoController
	}
	pod := types.NamespacedName{Namespace: v1alpha1.Namespace, Name: *lease.Spec.HolderIdentity}
	text, err := c.Ask(ctx, pod, v1alpha1.TracePort, tracePath)
	if answer, ok := errors.AsType[*AnswerError](err); ok && answer.Code == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%w: pod %s does not take the turns any more; try again", err, pod)
	}
	if err != nil && strings.Contains(err.Error(), "connection refused") {
		return nil, ErrNoTrace
	}
	return text, err
}
