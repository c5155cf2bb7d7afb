//go:build linux

package ground

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Namespace makes a namespace; paced opts it in.
func (g *Ground) Namespace(ctx context.Context, name string, paced bool) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if paced {
		ns.Labels = map[string]string{"pullpace.dev/pace": "enabled"}
	}
	if _, err := g.Cluster.Client().CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making namespace %q: %w", name, err)
	}
	return nil
}

// Deployment is a Deployment of one container "app" that idles, one pod of a
// revision on a node, all of which may surge at once and none may be missing.
func Deployment(namespace, name, image string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	grace := int64(0)
	zero, all := intstr.FromInt32(0), intstr.FromString("100%")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &zero, MaxSurge: &all},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					AutomountServiceAccountToken:  new(bool),
					DNSPolicy:                     corev1.DNSDefault,
					Containers:                    []corev1.Container{{Name: "app", Image: image}},
					TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
						MaxSkew: 1, TopologyKey: corev1.LabelHostname,
						WhenUnsatisfiable: corev1.DoNotSchedule,
						LabelSelector:     &metav1.LabelSelector{MatchLabels: labels},
						MatchLabelKeys:    []string{appsv1.DefaultDeploymentUniqueLabelKey},
					}},
				},
			},
		},
	}
}

// Create makes a Deployment.
func (g *Ground) Create(ctx context.Context, d *appsv1.Deployment) error {
	_, err := g.Cluster.Client().AppsV1().Deployments(d.Namespace).Create(ctx, d, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making deployment %q: %w", d.Name, err)
	}
	return nil
}

// AwaitRollout returns when all replicas of a Deployment run its newest template
// and are ready, and no others are left.
func (g *Ground) AwaitRollout(ctx context.Context, namespace, name string) error {
	client := g.Cluster.Client().AppsV1().Deployments(namespace)
	var last appsv1.DeploymentStatus
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		d, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, nil // the API server may be on its way back
		}
		last = d.Status
		n := *d.Spec.Replicas
		return last.ObservedGeneration >= d.Generation && last.UpdatedReplicas == n &&
			last.Replicas == n && last.AvailableReplicas == n, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for deployment %s/%s: %w (updated %d, ready %d of %d)",
			namespace, name, err, last.UpdatedReplicas, last.ReadyReplicas, last.Replicas)
	}
	return nil
}
