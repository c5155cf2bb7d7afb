package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// releaseOptions are the flags of release.
type releaseOptions struct {
	*order
	all bool
	now bool
}

func newRelease(s *session) *cobra.Command {
	o := &releaseOptions{order: &order{s: s, verb: "release"}}
	cmd := &cobra.Command{
		Use:   "release [TYPE/NAME | --all] [--now] --reason TEXT",
		Short: "Let held pods go before the budget allows it",
		Long: "Let the held pods of a Deployment, the step of an Argo Rollout, one Job, one pod, one node or everything go.\n\n" +
			"The controller lets them go at the rate at which the registry refills, and stops\n" +
			"at the first 429. With --now the gates are taken off from here, all at once and\n" +
			"without a working controller; expect pulls to be refused.",
		Example: s.examples(`release pod/api-7d9f8c6b5-x2lqp -n shop --reason "needed for the demo"`,
			`release deploy/api -n shop --reason "customers wait"`, `release --all --now --reason "incident 4711"`),
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			if o.all == (len(args) == 1) {
				return usagef("name one object or say --all; usage: %s", cmd.UseLine())
			}
			if o.all {
				return o.releaseAll(cmd.Context())
			}
			t, err := o.target(args[0], cluster.Deployment, cluster.Rollout, cluster.Job, cluster.Pod, cluster.Node)
			if err != nil {
				return err
			}
			return o.releaseOne(cmd.Context(), t)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.all, "all", false, "everything that is held, in every namespace")
	cmd.Flags().BoolVar(&o.now, "now", false, "at once, not at the rate of the refill")
	return cmd
}

func (o *releaseOptions) releaseOne(ctx context.Context, t cluster.Target) error {
	g, err := o.start(ctx)
	if err != nil {
		return err
	}
	obj, err := g.get(ctx, t)
	if err != nil {
		return err
	}
	held, err := isHeld(ctx, g, t, obj)
	if err != nil {
		return err
	}
	if !held {
		return fmt.Errorf("%s is not held; nothing was changed", t)
	}
	served, err := o.served(ctx, g)
	if err != nil {
		return err
	}
	if !served && t.Kind == cluster.Rollout {
		return fmt.Errorf("%s: %s. Nothing was changed", t, asksOn(t, obj.GetNamespace()))
	}
	if job, ok := obj.(*batchv1.Job); !served && (t.Kind == cluster.Deployment || ok && !gate.Suspended(job)) {
		if err := o.ungate(ctx, g, obj.GetNamespace(), t.String()); err != nil {
			return err
		}
		return g.show()
	}
	if err := o.let(ctx, g, t, obj, served); err != nil {
		return err
	}
	return g.show()
}

// isHeld reports whether a pod, Job or node is held; of others it is not asked.
func isHeld(ctx context.Context, g *giver, t cluster.Target, obj client.Object) (bool, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		return gate.Gated(o), nil
	case *corev1.Node:
		return slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }), nil
	case *batchv1.Job:
		if gate.Suspended(o) {
			return true, nil
		}
		pods, err := cluster.HeldPods(ctx, g.cluster.Client, o.Namespace)
		return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return cluster.OwnerOf(&p) == t.String() }), err
	}
	return true, nil
}

// served reports whether the controller carries orders out. Without one only
// --now helps, which then takes the gates off from here.
func (o *releaseOptions) served(ctx context.Context, g *giver) (bool, error) {
	controller, err := cluster.ControllerOf(ctx, g.cluster.Client)
	if err != nil {
		return false, err
	}
	err = o.s.refuseSkew(controller)
	if err == nil {
		err = cluster.Working(controller, o.s.env.Now(), o.s.env.program())
	}
	if err != nil {
		if o.now {
			return false, nil
		}
		return false, fmt.Errorf("%w. --now takes the gates off from here", err)
	}
	return true, nil
}

// nodeTries is how often a node is read again that others wrote to meanwhile: in its
// first seconds kubelet, controllers and autoscalers all do, and no order to let it go
// depends on what they write.
const nodeTries = 10

// let writes the order on one object, or frees it when nobody else would.
func (o *releaseOptions) let(ctx context.Context, g *giver, t cluster.Target, obj client.Object, served bool) error {
	for try := 1; ; try++ {
		err := g.write(ctx, t, obj, "released", func(obj client.Object) bool {
			if !served {
				gate.Clean(obj)
			}
			note := g.note()
			note.Now = o.now
			cluster.SetOrder(obj, v1alpha1.AnnotationOverride, note)
			return true
		})
		if t.Kind != cluster.Node || !apierrors.IsConflict(err) || try == nodeTries {
			return err
		}
		if obj, err = g.get(ctx, t); err != nil {
			return err
		}
	}
}

// releaseAll releases every held node, every step of a Rollout that waits, and every
// workload that has held pods.
func (o *releaseOptions) releaseAll(ctx context.Context) error {
	g, err := o.start(ctx)
	if err != nil {
		return err
	}
	served, err := o.served(ctx, g)
	if err != nil {
		return err
	}
	if err := o.releaseNodes(ctx, g, served); err != nil {
		return err
	}
	if err := o.releaseJobs(ctx, g, served); err != nil {
		return err
	}
	if err := o.releaseSteps(ctx, g, served); err != nil {
		return err
	}
	if served {
		err = o.orderAll(ctx, g)
	} else {
		err = o.ungate(ctx, g, "", "")
	}
	if err != nil {
		return err
	}
	return g.show()
}

// releaseNodes lets every held node go: by the controller, or from here.
func (o *releaseOptions) releaseNodes(ctx context.Context, g *giver, served bool) error {
	nodes, err := cluster.HeldNodes(ctx, g.cluster.Client)
	if apierrors.IsForbidden(err) {
		o.s.notef("held nodes are left alone: %v", cluster.Explain(err, o.s.env.program()))
		return nil
	}
	if err != nil {
		return err
	}
	for _, held := range nodes {
		t := cluster.Target{Kind: cluster.Node, Name: held.Name}
		node, err := g.get(ctx, t)
		if err != nil {
			return err
		}
		if err := o.let(ctx, g, t, node, served); err != nil {
			return err
		}
	}
	return nil
}

// releaseJobs lets every suspended Job go.
func (o *releaseOptions) releaseJobs(ctx context.Context, g *giver, served bool) error {
	jobs, err := cluster.HeldJobs(ctx, g.cluster.Client, "")
	if apierrors.IsForbidden(err) {
		o.s.notef("held jobs are left alone: %v", cluster.Explain(err, o.s.env.program()))
		return nil
	}
	if err != nil {
		return err
	}
	for i := range jobs {
		if err := o.let(ctx, g, cluster.Target{Kind: cluster.Job, Name: jobs[i].Name}, &jobs[i], served); err != nil {
			return err
		}
	}
	return nil
}

// releaseSteps lets the steps of Rollouts go that wait at the gate. Without a controller
// nothing opens them from here; a Rollout that is frozen waits for its pulls.
func (o *releaseOptions) releaseSteps(ctx context.Context, g *giver, served bool) error {
	steps, err := cluster.HeldSteps(ctx, g.cluster.Client, "")
	if apierrors.IsForbidden(err) {
		o.s.notef("steps of rollouts that wait are left alone: %v", cluster.Explain(err, o.s.env.program()))
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range steps {
		t, err := cluster.ParseTarget(s.Workload)
		if err != nil || s.Step == kube.StepHealth {
			continue
		}
		if !served {
			o.s.notef("%s in %s is left alone: %s", t, s.Namespace, asksOn(t, s.Namespace))
			continue
		}
		u := kube.NewRollout()
		if err := g.cluster.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: t.Name}, u); err != nil {
			return fmt.Errorf("reading %s: %w", t, err)
		}
		if err := o.let(ctx, g, t, u, true); err != nil {
			return err
		}
	}
	return nil
}

// asksOn says what opens the gate of a Rollout while no controller answers.
func asksOn(t cluster.Target, namespace string) string {
	return fmt.Sprintf("nothing but its own step holds it, which asks again until the controller answers; `kubectl argo rollouts promote %s -n %s` skips the step", t.Name, namespace)
}

// orderAll writes one order on each Deployment that has held pods, and on each
// held pod of other workloads.
func (o *releaseOptions) orderAll(ctx context.Context, g *giver) error {
	pods, err := cluster.HeldPods(ctx, g.cluster.Client, "")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range pods {
		pod := &pods[i]
		t := cluster.Target{Kind: cluster.Pod, Name: pod.Name}
		var obj client.Object = pod
		if owner, err := cluster.ParseTarget(cluster.OwnerOf(pod)); err == nil && owner.Kind == cluster.Deployment {
			if seen[pod.Namespace+"/"+owner.Name] {
				continue
			}
			seen[pod.Namespace+"/"+owner.Name] = true
			if obj, err = cluster.DeploymentOf(ctx, g.cluster.Client, pod.Namespace, owner.Name); err != nil {
				return err
			}
			t = owner
		}
		if err := o.let(ctx, g, t, obj, true); err != nil {
			return err
		}
	}
	return nil
}

// ungate takes the gates off the held pods of a namespace, or of one workload in
// it. A pod that somebody else changes at the same time is named and left.
func (o *releaseOptions) ungate(ctx context.Context, g *giver, namespace, workload string) error {
	pods, err := cluster.HeldPods(ctx, g.cluster.Client, namespace)
	if err != nil {
		return err
	}
	for i := range pods {
		pod := &pods[i]
		if workload != "" && cluster.OwnerOf(pod) != workload {
			continue
		}
		err := o.let(ctx, g, cluster.Target{Kind: cluster.Pod, Name: pod.Name}, pod, false)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			entry := view.Ordered{Namespace: pod.Namespace, Object: "pod/" + pod.Name, Change: "unchanged", Note: "somebody else changed it at the same time"}
			g.result.Objects = append(g.result.Objects, entry)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
