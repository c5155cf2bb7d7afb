package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// A quote that is not whole yet is asked for again, since the controller looks at
// an image behind its first answer. One that was not answered at all is asked for
// unanswered times.
const (
	quoteTries = 8
	unanswered = 2
	quotePause = 250 * time.Millisecond
)

// errUnanswered says that admission left the question as it was: its namespace is
// not opted in, or the controller was too busy.
var errUnanswered = errors.New("the controller did not answer a dry run; is the namespace opted in?")

// ask asks the controller for a quote by the dry run of a pod, which anybody may
// who may create one. Where it answers, the last answer counts, whole or not.
func (s *session) ask(ctx context.Context, c client.Client, d *appsv1.Deployment) (quote v1alpha1.PodQuote, err error) {
	for try := range quoteTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return quote, err
			case <-time.After(quotePause):
			}
		}
		quote, err = askOnce(ctx, c, d)
		switch {
		case err == nil && quote.Whole():
			return quote, nil
		case err != nil && (!errors.Is(err, errUnanswered) || try+1 == unanswered):
			return quote, err
		}
	}
	return quote, err
}

// askOnce has the API server admit a pod of the Deployment without storing it.
func askOnce(ctx context.Context, c client.Client, d *appsv1.Deployment) (v1alpha1.PodQuote, error) {
	template := d.Spec.Template.DeepCopy()
	ask := v1alpha1.QuoteAsk{Kind: string(cluster.WorkloadOf(d).Kind), Name: d.Name, Pods: cluster.Replicas(d), Strategy: &d.Spec.Strategy}
	pod := &corev1.Pod{Spec: template.Spec}
	pod.Namespace, pod.GenerateName = d.Namespace, "pace-quote-"
	pod.Labels, pod.Annotations = template.Labels, map[string]string{v1alpha1.AnnotationQuote: ask.String()}
	if err := c.Create(ctx, pod, client.DryRunAll, client.FieldOwner(cluster.FieldManager)); err != nil {
		return v1alpha1.PodQuote{}, fmt.Errorf("asking for a quote by the dry run of a pod: %w", err)
	}
	answer := pod.Annotations[v1alpha1.AnnotationQuote]
	if strings.HasPrefix(answer, v1alpha1.AskQuote) {
		return v1alpha1.PodQuote{}, errUnanswered
	}
	return v1alpha1.ParsePodQuote(answer)
}

// ownQuote quotes from what may be listed. Namespace and pods only sharpen it: who
// may not see them does without.
func (s *session) ownQuote(ctx context.Context, c client.Reader, d *appsv1.Deployment, controller view.Controller) (v1alpha1.PodQuote, error) {
	in := kube.ToQuote{Class: core.ClassRollout, Now: s.env.Now(), Turning: controller.Alive(s.env.Now())}
	in.Template, in.Replicas = &d.Spec.Template, int(cluster.Replicas(d))
	var err error
	if in.Budgets, err = cluster.Budgets(ctx, c); err != nil && !meta.IsNoMatchError(err) {
		return v1alpha1.PodQuote{}, err
	}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return v1alpha1.PodQuote{}, fmt.Errorf("listing nodes: %w", err)
	}
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: d.Namespace}, &ns); err == nil {
		in.Namespace = &ns
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		pods.Items = nil
	}
	in.Fleet = kube.FleetOf(nodes.Items, pods.Items)
	rules, unusable := kube.NewRules(in.Budgets, nil)
	in.Rules = rules
	quote := kube.Quote(in)
	if unusable != nil {
		quote.Unknown = append(quote.Unknown, "a budget that cannot be used: "+unusable.Error())
	}
	return quote, nil
}

// quote returns a quote and who made it: the controller where it answers, else
// this plugin, which must then be allowed to list nodes.
func (s *session) quote(ctx context.Context, c client.Client, d *appsv1.Deployment, controller view.Controller) (v1alpha1.PodQuote, string, error) {
	var refused error
	if controller.Alive(s.env.Now()) {
		quote, err := s.ask(ctx, c, d)
		if err == nil {
			return quote, "controller", nil
		}
		refused = err
	}
	quote, err := s.ownQuote(ctx, c, d, controller)
	switch {
	case err == nil:
		source := "client"
		if controller.Alive(s.env.Now()) {
			source = "client, free units by the controller"
		}
		return quote, source, nil
	case refused != nil && apierrors.IsForbidden(err):
		// What keeps the controller from answering is what to put right.
		return quote, "client", fmt.Errorf("%w (and not priced from here: %w)", refused, cluster.Explain(err, s.env.program()))
	}
	return quote, "client", err
}
