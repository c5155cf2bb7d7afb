//go:build linux

package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// The label that tells nodes which have no kubelet from all others. Karpenter's KWOK
// provider puts it on those that it makes.
const (
	LabelUnrun      = "kwok.x-k8s.io/node"
	LabelUnrunValue = "fake"
)

// AnnotationReadyAfter says, as a duration, how long after it was made such a node is
// Ready.
const AnnotationReadyAfter = "pace.test/ready-after"

// stages are what kwok does for nodes: a moment after they were made they are Ready, and
// stay it. It ends pods that are deleted and does nothing else for them.
//
//go:embed stages.yaml
var stages []byte

// StartAutoscaler starts Karpenter with its KWOK provider, which adds nodes that nobody
// runs, and kwok, which keeps such nodes Ready. Nothing starts their pods: that is the
// caller's.
func (c *Cluster) StartAutoscaler(ctx context.Context) error {
	built, err := c.startKwok(ctx)
	if err != nil {
		return err
	}
	err = c.applyCRDs(ctx,
		source{"karpenter", "sigs.k8s.io/karpenter", "pkg/apis/crds/*.yaml"},
		source{"karpenter", "sigs.k8s.io/karpenter", "kwok/apis/crds/*.yaml"},
	)
	if err != nil {
		return err
	}
	return c.fail(c.launchOther(ctx, "karpenter", []string{filepath.Join(built, "karpenter")},
		"KUBECONFIG="+c.kubeconfig, "DISABLE_LEADER_ELECTION=true", "SYSTEM_NAMESPACE=default",
		"METRICS_PORT=18080", "HEALTH_PROBE_PORT=18081", "KUBE_CLIENT_QPS=200", "KUBE_CLIENT_BURST=300",
		"LOG_LEVEL=info",
	))
}

// StartKwok starts kwok alone, with further arguments: nodes with the label LabelUnrun
// that somebody makes become Ready and stay it.
func (c *Cluster) StartKwok(ctx context.Context, args ...string) error {
	_, err := c.startKwok(ctx, args...)
	return err
}

// startKwok returns the folder of the programs.
func (c *Cluster) startKwok(ctx context.Context, args ...string) (built string, err error) {
	if err := c.controlled(); err != nil {
		return "", err
	}
	if built, err = c.builder.Autoscaler(ctx); err != nil {
		return "", err
	}
	file := c.path("stages.yaml")
	if err := os.WriteFile(file, stages, 0o644); err != nil {
		return "", fmt.Errorf("writing what kwok does: %w", err)
	}
	return built, c.fail(c.launchOther(ctx, "kwok", append([]string{
		filepath.Join(built, "kwok"), "--kubeconfig=" + c.kubeconfig, "--config=" + file,
		"--manage-all-nodes=false", "--manage-nodes-with-label-selector=" + LabelUnrun + "=" + LabelUnrunValue,
		"--node-lease-duration-seconds=40",
	}, args...)))
}
