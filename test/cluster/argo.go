//go:build linux

package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ArgoNamespace is where the controller of Argo Rollouts looks for its settings.
const ArgoNamespace = "argo-rollouts"

// StartArgo applies the CRDs of Argo Rollouts and starts its controller, which runs beside
// the control plane and is no pod.
func (c *Cluster) StartArgo(ctx context.Context) error {
	if err := c.controlled(); err != nil {
		return err
	}
	built, err := c.builder.Argo(ctx)
	if err != nil {
		return err
	}
	if err := c.applyCRDs(ctx, source{"argo", "github.com/argoproj/argo-rollouts", "manifests/crds/*-crd.yaml"}); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ArgoNamespace}}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making namespace %q: %w", ArgoNamespace, err)
	}
	return c.fail(c.launchOther(ctx, "argo-rollouts", []string{
		filepath.Join(built, "rollouts-controller"), "--kubeconfig=" + c.kubeconfig, "--leader-elect=false",
		"--metricsPort=18090", "--healthzPort=18091", "--qps=200", "--burst=300",
	}, "POD_NAMESPACE="+ArgoNamespace))
}
