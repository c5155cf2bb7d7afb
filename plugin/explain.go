package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// maxHistory bounds the Events that are shown.
const maxHistory = 10

type explainOptions struct {
	s   *session
	out output
}

func newExplain(s *session) *cobra.Command {
	o := &explainOptions{s: s}
	cmd := &cobra.Command{
		Use:     "explain POD|pod/NAME|node/NAME|deploy/NAME|rollout/NAME|job/NAME",
		Short:   "Say why something is held, and when it is let go",
		Long:    "Say why a pod, a node or a rollout is held, was released or is not held, when it is\nlet go at the latest, and what helps sooner. It needs only `view` in the namespace.",
		Example: s.examples("explain pod/api-7d9f8c6b5-x2lqp -n shop", "explain deploy/api -n shop", "explain node/worker-7"),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			word := args[0]
			if !strings.Contains(word, "/") {
				word = "pod/" + word
			}
			t, err := cluster.ParseTarget(word)
			if err != nil {
				return &exitError{code: ExitUsage, err: err}
			}
			return o.run(cmd.Context(), t)
		},
	}
	o.out.add(cmd.Flags())
	return cmd
}

func (o *explainOptions) run(ctx context.Context, t cluster.Target) error {
	if !slices.Contains([]cluster.Kind{cluster.Pod, cluster.Node, cluster.Deployment, cluster.Rollout, cluster.Job}, t.Kind) {
		return usagef("%s: explain knows pods, nodes, Deployments, Argo Rollouts and Jobs; its pods say why they are held", t)
	}
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	g := giver{order: &order{s: o.s}, cluster: c}
	obj, err := g.get(ctx, t)
	if err != nil {
		return err
	}
	model := view.Explanation{Object: t.String(), Namespace: obj.GetNamespace()}
	switch obj := obj.(type) {
	case *corev1.Pod:
		explainPod(&model, obj, o.s.env.Now())
		explainFailing(&model, []corev1.Pod{*obj})
	case *corev1.Node:
		explainNode(&model, obj)
	case *appsv1.Deployment:
		if err := explainPods(ctx, c.Client, &model, obj); err != nil {
			return err
		}
	case *unstructured.Unstructured:
		if err := explainRollout(ctx, c.Client, &model, obj); err != nil {
			return err
		}
	case *batchv1.Job:
		if err := explainJob(ctx, c.Client, &model, obj); err != nil {
			return err
		}
	}
	o.optional(&model, "policies", explainShadow(ctx, c.Client, &model))
	o.optional(&model, "accounts", explainAccounts(ctx, c.Client, &model, hostsOf(obj)))
	o.optional(&model, "failsafe", explainFailsafe(ctx, c.Client, &model))
	o.optional(&model, "events", history(ctx, c.Client, &model, obj))
	abortedBy(&model)
	if info, ok := core.Reason(model.Reason).Info(); ok {
		model.Meaning, model.Remedy = info.Text, info.Remedy
	}
	if model.Aborted {
		model.Remedy = fmt.Sprintf("fix what was rolled out, and roll it out again; `kubectl argo rollouts retry rollout %s -n %s` tries the same once more", t.Name, model.Namespace)
	}
	return show(o.s, o.out, model, view.ExplanationPage)
}

// optional notes a part that the reader may not see.
func (o *explainOptions) optional(model *view.Explanation, part string, err error) {
	if err != nil {
		model.Unknown = append(model.Unknown, fmt.Sprintf("%s: %v", part, cluster.Explain(err, o.s.env.program())))
	}
}

func explainPod(model *view.Explanation, pod *corev1.Pod, now time.Time) {
	model.Workload = cluster.OwnerOf(pod)
	mark, released := cluster.ReleaseOf(pod)
	switch {
	case gate.Gated(pod):
		hold := cluster.HoldOf(pod)
		model.Answer, model.Reason, model.Message = string(core.Held), hold.Reason, hold.Message
		model.Since, model.Until, model.Pods = hold.Since, hold.Until, 1
	case released:
		model.Answer, model.Reason, model.Decision = string(core.Released), mark.Reason, mark.Decision
		if unschedulable(pod) && now.Sub(mark.Time) >= engine.ParkAfter {
			model.Message = "parked: the scheduler has found no node for it since; its cost blocks nobody and is taken again when it is bound"
		}
	case pod.Annotations[v1alpha1.AnnotationSeen] != "":
		model.Answer = string(core.NotHeld)
		model.Message = "the webhook saw the pod and did not hold it"
	default:
		model.Answer, model.Reason = string(core.NotHeld), string(core.NotOptedIn)
		model.Message = "the webhook did not see the pod: its namespace is not opted in, or Pace was not working when it was created"
	}
}

// unschedulable reports whether the scheduler finds no node for a pod.
func unschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

// explainFailsafe adds who ends a hold when the controller is gone.
func explainFailsafe(ctx context.Context, c client.Reader, model *view.Explanation) error {
	if model.Answer != string(core.Held) {
		return nil
	}
	failsafe, err := cluster.FailsafeOf(ctx, c)
	if err == nil {
		model.Failsafe = &failsafe
	}
	return err
}

func explainNode(model *view.Explanation, node *corev1.Node) {
	i := slices.IndexFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint })
	mark, released := cluster.ReleaseOf(node)
	switch {
	case i >= 0:
		model.Answer, model.Until = string(core.Held), gate.HoldUntil(node)
		reason, message := cluster.HoldReason(node)
		model.Reason, model.Message = cmp.Or(reason, string(core.NodeHeld)), message
		model.Since = node.CreationTimestamp.Time
		if added := node.Spec.Taints[i].TimeAdded; added != nil {
			model.Since = added.Time
		}
		if model.Until.IsZero() {
			model.Message = "the node registered with the taint, and the controller has given it no bound yet: nobody frees it where Pace does not work"
		}
	case released:
		model.Answer, model.Reason, model.Decision = string(core.Released), mark.Reason, mark.Decision
	default:
		model.Answer = string(core.NotHeld)
		model.Message = "the node does not carry the taint " + v1alpha1.Taint
	}
}

// explainJob explains a Job that is suspended, or sums up the held pods of one.
func explainJob(ctx context.Context, c client.Reader, model *view.Explanation, j *batchv1.Job) error {
	if !gate.Suspended(j) {
		return explainPods(ctx, c, model, j)
	}
	g := cluster.JobGroup(j)
	model.Workload, model.Groups = model.Object, []view.HeldGroup{g}
	model.Answer, model.Reason, model.Message = string(core.Held), g.Reason, g.Message
	model.Since, model.Until, model.Pods = g.Since, g.Until, g.Pods
	return nil
}

// explainPods sums up the held pods of a Deployment, or of a Job whose pods are held
// one by one.
func explainPods(ctx context.Context, c client.Reader, model *view.Explanation, d client.Object) error {
	model.Workload = model.Object
	target, err := cluster.ParseTarget(model.Object)
	if err != nil {
		return err
	}
	pods, err := cluster.PodsOf(ctx, c, d.GetNamespace(), target)
	if err != nil {
		return err
	}
	explainFailing(model, pods)
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !gate.Gated(&p) })
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	model.Groups = cluster.Groups(pods)
	if len(pods) == 0 {
		model.Answer, model.Message = string(core.NotHeld), "no pod of it is held now"
		return nil
	}
	largest := slices.MaxFunc(model.Groups, func(a, b view.HeldGroup) int { return cmp.Compare(a.Pods, b.Pods) })
	model.Answer, model.Reason, model.Message = string(core.Held), largest.Reason, largest.Message
	model.Since, model.Until, model.Pods = largest.Since, largest.Until, len(pods)
	if why := cluster.PausedBy(d); why != "" {
		model.Reason, model.Message = string(core.Paused), why
	}
	return nil
}

// hostsOf are the registries of an object's images; nil: it names none, as a node does,
// and a Rollout whose pods a Deployment describes.
func hostsOf(obj client.Object) map[string]bool {
	var pods corev1.PodSpec
	switch obj := obj.(type) {
	case *corev1.Pod:
		pods = obj.Spec
	case *appsv1.Deployment:
		pods = obj.Spec.Template.Spec
	case *batchv1.Job:
		pods = obj.Spec.Template.Spec
	case *unstructured.Unstructured:
		if r, err := kube.ReadRollout(obj); err == nil {
			pods = r.Template.Spec
		}
	}
	if hosts := registries(&pods); len(hosts) > 0 {
		return hosts
	}
	return nil
}

// meters reports whether a PullBudget is of one of these registries, or is drawn on
// through one; nil: of any.
func meters(b *v1alpha1.PullBudget, hosts map[string]bool) bool {
	return hosts == nil || slices.ContainsFunc(append([]string{b.Spec.Registry}, b.Spec.UpstreamOf...), func(host string) bool { return hosts[kube.Host(host)] })
}

// explainAccounts adds the accounts that something waits for, and those of failing
// pulls that are paused for failures.
func explainAccounts(ctx context.Context, c client.Reader, model *view.Explanation, hosts map[string]bool) error {
	held := model.Answer == string(core.Held)
	if !held && len(model.Failing) == 0 {
		return nil
	}
	budgets, err := cluster.Budgets(ctx, c)
	if err != nil {
		return err
	}
	for i := range budgets {
		if !meters(&budgets[i], hosts) {
			continue
		}
		for _, row := range cluster.BudgetRows(&budgets[i]) {
			account := cluster.Account(row)
			paused := account.Breaker.State != "" && slices.ContainsFunc(model.Failing, func(f view.FailingPull) bool { return strings.HasPrefix(f.Image, row.Registry+"/") })
			if held && row.Held > 0 || paused {
				model.Accounts = append(model.Accounts, account)
			}
		}
	}
	return nil
}

// history adds the Events that Pace wrote about the object, oldest first.
func history(ctx context.Context, c client.Reader, model *view.Explanation, obj client.Object) error {
	namespace := cmp.Or(obj.GetNamespace(), "default")
	var list eventsv1.EventList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		if apierrors.IsForbidden(err) {
			return err
		}
		return fmt.Errorf("listing events: %w", err)
	}
	if pod, ok := obj.(*corev1.Pod); ok && len(model.Failing) > 0 {
		hintedBy(model, pod, slices.Clone(list.Items))
	}
	for _, e := range list.Items {
		if e.Regarding.UID != obj.GetUID() || e.Regarding.Name != obj.GetName() || !strings.HasPrefix(e.ReportingController, v1alpha1.FieldManager) {
			continue
		}
		model.History = append(model.History, view.Entry{At: cluster.EventTime(&e), Reason: e.Reason, Note: e.Note})
	}
	slices.SortFunc(model.History, func(a, b view.Entry) int { return a.At.Compare(b.At) })
	model.History = model.History[max(len(model.History)-maxHistory, 0):]
	return nil
}
