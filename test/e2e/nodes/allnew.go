//go:build linux

package nodes

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// allNew takes every node of the cluster away at once and gives it others, which register
// with the taint: Pace comes up on them, lets them go, and what every cluster needs, which
// does not tolerate the taint, comes up after it.
func allNew(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	dns := critical()
	if err := s.Create(ctx, dns); err != nil {
		return err
	}
	if err := s.AwaitRollout(ctx, dns.Namespace, dns.Name); err != nil {
		return err
	}
	for _, n := range s.Cluster.Nodes() {
		if err := n.Kill(ctx); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"delete", "nodepools", "--all", "--wait=false"}, {"delete", "nodes", "--all", "--wait=false"},
		// Their kubelets are gone, and the collector of garbage takes a minute.
		{"delete", "pods", "--all", "-n", v1alpha1.Namespace, "--force", "--grace-period=0"},
		{"delete", "pods", "--all", "-n", dns.Namespace, "--force", "--grace-period=0"},
	} {
		if out := s.Kubectl(ctx, args...); out.Code != 0 {
			return fmt.Errorf("taking all nodes away: %s", out)
		}
	}
	group, booting := errgroup.WithContext(ctx)
	for i, machine := range stage.Machines(machines) {
		machine.Name, machine.Taints = fmt.Sprintf("%s-%d", s.Name, i+1), []string{v1alpha1.Taint + ":NoSchedule"}
		group.Go(func() error {
			_, err := s.Cluster.AddNode(booting, machine)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	err := all(s.AwaitRollout(ctx, v1alpha1.Namespace, "pacer"), s.AwaitRollout(ctx, dns.Namespace, dns.Name))
	if err != nil {
		return err
	}
	return stage.Poll(ctx, "all nodes to be free", func(ctx context.Context) (bool, string, error) {
		var list corev1.NodeList
		if err := s.Client.List(ctx, &list); err != nil {
			return false, "", err
		}
		held := 0
		for i := range list.Items {
			if nodeHeld(&list.Items[i]) {
				held++
			}
		}
		return held == 0 && len(list.Items) >= machines, fmt.Sprintf("%d of %d are held", held, len(list.Items)), nil
	})
}

// critical is what names resolve by in other clusters: it tolerates what such things do,
// and nothing of Pace.
func critical() *appsv1.Deployment {
	d := ground.Deployment("kube-system", "names", stage.Unmetered, 2)
	pod := &d.Spec.Template.Spec
	pod.PriorityClassName = "system-cluster-critical"
	pod.TopologySpreadConstraints = nil
	pod.Tolerations = []corev1.Toleration{{Key: "CriticalAddonsOnly", Operator: corev1.TolerationOpExists}}
	return d
}
