//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// The Deployments of the product.
const (
	controller = "pacer"
	failsafe   = "pacer-failsafe"
)

// kills end processes of the product with signal 9.
func kills() []fault {
	return []fault{
		{kind: "kill", name: "leader", weight: 4, do: func(ctx context.Context, r *round, _ *rand.Rand) (string, error) {
			leader, err := r.leader(ctx)
			if err != nil {
				return "", err
			}
			return leader, r.lab.KillPod(ctx, v1alpha1.Namespace, leader)
		}},
		{kind: "kill", name: "a replica", weight: 3, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			return r.kill(ctx, dice, controller, 1)
		}},
		{kind: "kill", name: "both replicas", weight: 2, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			return r.kill(ctx, dice, controller, 2)
		}},
		{kind: "kill", name: "failsafe", weight: 2, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			return r.kill(ctx, dice, failsafe, 1)
		}},
		{kind: "kill", name: "pod of the controller", weight: 2, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			pods, err := r.product(ctx, controller)
			if err != nil {
				return "", err
			}
			pod := one(dice, pods)
			return pod.Name, r.lab.Client.Delete(ctx, &pod, client.GracePeriodSeconds(0))
		}},
	}
}

// restarts stop parts for a while and start them again.
func restarts() []fault {
	return []fault{
		{kind: "restart", name: "controller rolled", weight: 2, do: func(ctx context.Context, r *round, _ *rand.Rand) (string, error) {
			return "", r.kubectl(ctx, "rollout", "restart", "deploy/"+controller, "-n", v1alpha1.Namespace)
		}},
		{kind: "restart", name: "controller scaled to 0", weight: 1, lane: "scale", do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			d := between(dice, time.Second, 8*time.Second)
			if err := r.kubectl(ctx, "scale", "deploy/"+controller, "-n", v1alpha1.Namespace, "--replicas=0"); err != nil {
				return "", err
			}
			wait(ctx, d)
			return d.String(), r.insist(ctx, "scale", "deploy/"+controller, "-n", v1alpha1.Namespace, "--replicas=2")
		}},
		{kind: "restart", name: "node without power", weight: 1, lane: "node", do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			node := one(dice, r.lab.Cluster.Nodes())
			// Its pods end: that is not Pace's doing.
			r.watch.hurtAll()
			if err := node.Kill(ctx); err != nil {
				return "", err
			}
			wait(ctx, between(dice, 0, 2*time.Second))
			defer r.watch.hurtAll()
			return node.Name(), node.Start(context.WithoutCancel(ctx))
		}},
		{kind: "restart", name: "node cut off", weight: 2, lane: "node", do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			node, d := one(dice, r.lab.Cluster.Nodes()), between(dice, time.Second, 6*time.Second)
			if err := node.Partition(ctx, true); err != nil {
				return "", err
			}
			wait(ctx, d)
			return fmt.Sprintf("%s for %s", node.Name(), d.Round(time.Millisecond)), node.Partition(context.WithoutCancel(ctx), false)
		}},
		{kind: "restart", name: "API server", weight: 1, lane: "api", do: func(ctx context.Context, r *round, _ *rand.Rand) (string, error) {
			return "", r.lab.Cluster.RestartAPIServer(context.WithoutCancel(ctx))
		}},
	}
}

// apiServer leaves requests without an answer.
func apiServer() []fault {
	return []fault{{kind: "pause", name: "API server", weight: 4, lane: "api", do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
		d := between(dice, 500*time.Millisecond, 6*time.Second)
		return d.Round(time.Millisecond).String(), r.lab.Cluster.FreezeAPIServer(ctx, d)
	}}}
}

// clocks step. That of the controller's process cannot be set for it alone; what it
// sees of a step is that its clock and those of others differ, and that can be had
// from the other side.
func clocks() []fault {
	return []fault{
		{kind: "clock", name: "of the registry", weight: 2, do: func(_ context.Context, r *round, dice *rand.Rand) (string, error) {
			d := between(dice, 200*time.Millisecond, 4*time.Second)
			r.clock.step(d)
			return "+" + d.Round(time.Millisecond).String(), nil
		}},
		{kind: "clock", name: "of the leader's heartbeat", weight: 2, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			d := between(dice, -2*time.Hour, 2*time.Hour).Round(time.Second)
			at := time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000000Z")
			return d.String(), r.kubectl(ctx, "patch", "lease", v1alpha1.Heartbeat, "-n", v1alpha1.Namespace, "--type=merge",
				"-p", `{"spec":{"renewTime":"`+at+`"}}`)
		}},
	}
}

// kill kills so many pods of a Deployment of the product.
func (r *round) kill(ctx context.Context, dice *rand.Rand, name string, n int) (string, error) {
	pods, err := r.product(ctx, name)
	if err != nil {
		return "", err
	}
	dice.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
	var killed []string
	var errs []error
	for _, pod := range pods[:min(n, len(pods))] {
		if err := r.lab.KillPod(ctx, pod.Namespace, pod.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		killed = append(killed, pod.Name)
	}
	if len(killed) == 0 {
		return "", errors.Join(errs...)
	}
	return strings.Join(killed, " "), nil
}

// product are the pods of a Deployment of the product, in order of their names.
func (r *round) product(ctx context.Context, name string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := r.lab.Client.List(ctx, &list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": name})
	if err == nil && len(list.Items) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("listing pods of %s: %w", name, err)
	}
	return list.Items, nil
}

// leader is the pod that takes turns.
func (r *round) leader(ctx context.Context) (string, error) {
	lease, err := r.lab.Cluster.Client().CoordinationV1().Leases(v1alpha1.Namespace).Get(ctx, "pullpace-leader", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("asking who leads: %w", err)
	}
	return holder(lease)
}

// holder is the pod in the identity that the library gives a leader: its name, an
// underscore and a random word.
func holder(lease *coordinationv1.Lease) (string, error) {
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return "", errors.New("nobody leads")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name, nil
}
