package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// refresh is how often -w asks again.
const refresh = 5 * time.Second

type statusOptions struct {
	s      *session
	out    output
	watch  bool
	shadow bool
	since  time.Duration
}

func newStatus(s *session) *cobra.Command {
	o := &statusOptions{s: s}
	cmd := &cobra.Command{
		Use:     "status [--shadow [--since 24h]]",
		Short:   "Show what is held, why, and whether Pace works",
		Long:    "Show what is held, why, and whether Pace works. With --shadow, show what would have\nbeen held in mode Shadow, what it would have saved, and the command that switches it on.",
		Example: s.examples("status", "status -w", "status --shadow --since 24h"),
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			if !o.shadow && cmd.Flags().Changed("since") {
				return usagef("--since goes with --shadow")
			}
			if o.since <= 0 {
				return usagef("--since %s: want a duration above zero", o.since)
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.repeat(cmd.Context(), o.watch, func(ctx context.Context) error {
				if o.shadow {
					model, err := s.shadow(ctx, c.Client, o.since)
					if err != nil {
						return err
					}
					return show(s, o.out, model, view.ShadowPage)
				}
				model, err := s.status(ctx, c)
				if err != nil {
					return err
				}
				s.warnOfSkew(model.Controller)
				return show(s, o.out, model, view.StatusPage)
			})
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().BoolVar(&o.shadow, "shadow", false, "show what would have been held in mode Shadow")
	cmd.Flags().DurationVar(&o.since, "since", shadowDay, "with --shadow: count so much of the past; more than 24h is all of it")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again every 5s until interrupted")
	return cmd
}

// repeat runs f once, or until ctx ends.
func (s *session) repeat(ctx context.Context, watch bool, f func(context.Context) error) error {
	if err := f(ctx); err != nil || !watch {
		return err
	}
	tick, stop := s.env.Tick(refresh)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
		if s.env.Terminal {
			// Home and clear: one screen, not a scroll of them.
			if _, err := io.WriteString(s.env.Out, "\x1b[H\x1b[2J"); err != nil {
				return err
			}
		} else if _, err := fmt.Fprintln(s.env.Out); err != nil {
			return err
		}
		if err := f(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// status reads everything; parts that may not be read are named as unknown.
func (s *session) status(ctx context.Context, c *cluster.Cluster) (view.Status, error) {
	model := view.Status{Namespaces: []string{}, Held: []view.HeldGroup{}, HeldNodes: []view.HeldNode{}, Accounts: []view.Budget{}, Policies: []view.Policy{}}
	parts := []struct {
		name string
		read func(context.Context, client.Reader, *view.Status) error
	}{
		{"controller", readController}, {"failsafe", readFailsafe}, {"webhook", readWebhook}, {"policies", readPolicies},
		{"namespaces", readNamespaces}, {"held pods", readHeld}, {"held jobs", readHeldJobs}, {"held rollouts", readHeldSteps}, {"held nodes", readHeldNodes}, {"accounts", readAccounts},
	}
	for _, part := range parts {
		err := part.read(ctx, c.Client, &model)
		switch {
		case apierrors.IsForbidden(err):
			model.Unknown = append(model.Unknown, fmt.Sprintf("%s: %v", part.name, cluster.Explain(err, s.env.program())))
		case err != nil && !meta.IsNoMatchError(err):
			return model, err
		}
	}
	noteFull(&model)
	return model, nil
}

func readController(ctx context.Context, c client.Reader, model *view.Status) (err error) {
	model.Controller, err = cluster.ControllerOf(ctx, c)
	return err
}

func readFailsafe(ctx context.Context, c client.Reader, model *view.Status) (err error) {
	model.Failsafe, err = cluster.FailsafeOf(ctx, c)
	return err
}

func readWebhook(ctx context.Context, c client.Reader, model *view.Status) error {
	var hook admissionv1.MutatingWebhookConfiguration
	err := c.Get(ctx, client.ObjectKey{Name: cluster.WebhookName}, &hook)
	model.Webhook = err == nil && len(hook.Webhooks) > 0
	return client.IgnoreNotFound(err)
}

func readNamespaces(ctx context.Context, c client.Reader, model *view.Status) error {
	var list corev1.NamespaceList
	if err := c.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled}); err != nil {
		return err
	}
	for _, ns := range list.Items {
		if ns.Annotations[v1alpha1.LabelPace] != v1alpha1.AnnotationPaceOff {
			model.Namespaces = append(model.Namespaces, ns.Name)
		}
	}
	return nil
}

func readHeld(ctx context.Context, c client.Reader, model *view.Status) error {
	pods, err := cluster.HeldPods(ctx, c, "")
	if err != nil {
		return err
	}
	model.Held = cluster.Groups(pods)
	return nil
}

func readHeldJobs(ctx context.Context, c client.Reader, model *view.Status) error {
	jobs, err := cluster.HeldJobs(ctx, c, "")
	for i := range jobs {
		model.Held = append(model.Held, cluster.JobGroup(&jobs[i]))
	}
	return err
}

func readHeldSteps(ctx context.Context, c client.Reader, model *view.Status) error {
	steps, err := cluster.HeldSteps(ctx, c, "")
	model.Held = append(model.Held, steps...)
	return err
}

func readHeldNodes(ctx context.Context, c client.Reader, model *view.Status) error {
	nodes, err := cluster.HeldNodes(ctx, c)
	if err != nil {
		return err
	}
	model.HeldNodes = append(model.HeldNodes, nodes...)
	return nil
}
