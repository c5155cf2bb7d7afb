package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/proof"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/setup"
	"github.com/pullpace/pace/plugin/view"
)

// proofPause is how long an installation waits between dry runs.
const proofPause = time.Second

// prove waits until a dry-run pod comes back gated, by the way that every pod takes,
// and looks where the replicas landed.
func (o *installOptions) prove(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	asker := proof.Asker{
		Client: c.Client, Live: c.Client, Namespace: v1alpha1.Namespace, Webhook: cluster.WebhookName,
		Owner: cluster.FieldManager, Now: o.s.env.Now,
	}
	var answer proof.Answer
	err := wait.PollUntilContextCancel(ctx, proofPause, true, func(ctx context.Context) (bool, error) {
		next := asker.Ask(ctx, model.Image)
		if apierrors.IsForbidden(next.Err) {
			return false, fmt.Errorf("the proof needs to create a pod in %s, as a dry run: %w; everything is applied, and the controller proves it by itself: `%s status`, or install with --wait=false",
				v1alpha1.Namespace, next.Err, o.s.env.program())
		}
		if ctx.Err() == nil || answer.Reason == "" {
			answer = next // not what an interrupted one says
		}
		return next.Gated(), nil
	})
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s; everything is applied and nothing is held. The API server must reach port %d of the controller's pods (a firewall of private nodes, a NetworkPolicy); see kubectl logs -n %s -l app.kubernetes.io/name=%s, then run the command again: %w",
			answer, v1alpha1.WebhookPort, v1alpha1.Namespace, cluster.ControllerName, err)
	default:
		return err
	}
	model.Proof = view.Proof{Milliseconds: answer.Took.Milliseconds(), Port: v1alpha1.WebhookPort}
	if err := webhookOf(o.objects, &model.Proof); err != nil {
		return err
	}
	model.Apart, err = replicasApart(ctx, c.Client)
	return err
}

// webhookOf reads how the webhook for pods is called.
func webhookOf(objects []*unstructured.Unstructured, into *view.Proof) error {
	for _, obj := range objects {
		if obj.GetKind() != "MutatingWebhookConfiguration" {
			continue
		}
		var hook admissionv1.MutatingWebhookConfiguration
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &hook); err != nil {
			return fmt.Errorf("reading the webhook: %w", err)
		}
		for _, w := range hook.Webhooks {
			if w.TimeoutSeconds != nil && w.FailurePolicy != nil {
				into.TimeoutSeconds, into.FailurePolicy = *w.TimeoutSeconds, string(*w.FailurePolicy)
			}
		}
	}
	return nil
}

// replicasApart counts the nodes and zones that the controller's pods are on.
func replicasApart(ctx context.Context, c client.Reader) (view.Apart, error) {
	var pods corev1.PodList
	err := c.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": cluster.ControllerName})
	if err != nil {
		return view.Apart{}, fmt.Errorf("listing the controller's pods: %w", err)
	}
	nodes, zones := map[string]bool{}, map[string]bool{}
	for _, p := range pods.Items {
		if p.Spec.NodeName == "" || p.DeletionTimestamp != nil || nodes[p.Spec.NodeName] {
			continue
		}
		nodes[p.Spec.NodeName] = true
		var node corev1.Node
		if c.Get(ctx, client.ObjectKey{Name: p.Spec.NodeName}, &node) == nil && node.Labels[corev1.LabelTopologyZone] != "" {
			zones[node.Labels[corev1.LabelTopologyZone]] = true
		}
	}
	return view.Apart{Nodes: len(nodes), Zones: len(zones)}, nil
}

// ownImage refuses an image that comes from an account which Pace paces: its pods
// are never held, but would draw on what it keeps for others, and could not start
// when that is used up.
func (o *installOptions) ownImage(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	var budgets v1alpha1.PullBudgetList
	switch err := c.Client.List(ctx, &budgets); {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		model.ImageApart = true // its kind is not there yet, so that nothing is paced
		return nil
	case apierrors.IsForbidden(err):
		model.Notes = append(model.Notes, fmt.Sprintf("whether the image comes from an account that is paced is not known: %v", cluster.Explain(err, o.s.env.program())))
		return nil
	case err != nil:
		return fmt.Errorf("listing PullBudgets: %w", err)
	}
	rules, _ := kube.NewRules(budgets.Items, nil) // those that cannot be used pace nothing
	labels := setup.LabelsOf(o.objects, v1alpha1.Namespace)
	for _, obj := range o.objects {
		if obj.GetKind() != "Deployment" {
			continue
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &d); err != nil {
			return fmt.Errorf("reading Deployment %s: %w", obj.GetName(), err)
		}
		if paced := rules.Budgeted(&d.Spec.Template.Spec, labels); len(paced) > 0 {
			return fmt.Errorf("image %s comes from an account that PullBudget %q paces: Pace would draw on what it keeps for others, and could not start when that is used up; copy it to another registry and give --image-registry; nothing was changed",
				paced[0].Image, paced[0].Budget)
		}
	}
	model.ImageApart = true
	return nil
}
