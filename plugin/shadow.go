package plugin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// shadowDay is for how long hours are kept; what is asked for beyond it is all that
// was counted.
const shadowDay = 24 * time.Hour

// shadow sums up what policies in mode Shadow counted in the last d.
func (s *session) shadow(ctx context.Context, c client.Reader, d time.Duration) (view.Shadow, error) {
	model := view.Shadow{Policies: []string{}, Watching: []string{}, Holds: []view.ShadowHold{}, Workloads: []view.ShadowWorkload{}}
	policies, err := cluster.Policies(ctx, c)
	if err != nil {
		return model, err
	}
	now := s.env.Now()
	for i := range policies {
		p := &policies[i]
		watches := p.Spec.Mode == v1alpha1.Shadow
		if watches {
			model.Watching = append(model.Watching, p.Name)
		}
		if p.Status.Shadow == nil {
			if watches {
				model.Policies = append(model.Policies, p.Name)
			}
			continue
		}
		model.Policies = append(model.Policies, p.Name)
		addShadow(&model, p, now, d)
	}
	var status view.Status
	if err := readNamespaces(ctx, c, &status); err != nil {
		return model, err
	}
	model.Namespaces = len(status.Namespaces)
	return model, nil
}

// addShadow adds what one policy counted.
func addShadow(model *view.Shadow, p *v1alpha1.PacePolicy, now time.Time, d time.Duration) {
	s := p.Status.Shadow
	since := s.Since.Time
	counts := []v1alpha1.ShadowCounts{s.ShadowCounts}
	if d <= shadowDay && now.Add(-d).After(since) {
		counts, since = nil, now.Add(-d).Truncate(time.Hour)
		for _, h := range s.Hours {
			if !h.Start.Time.Before(since) {
				counts = append(counts, h.ShadowCounts)
			}
		}
	}
	if model.Since.IsZero() || since.Before(model.Since) {
		model.Since = since
	}
	for _, c := range counts {
		model.Pods, model.Rollouts, model.HeldForNothing = model.Pods+c.Pods, model.Rollouts+c.Rollouts, model.HeldForNothing+c.HeldForNothing
		model.Throttled, model.Saved, model.Paged = model.Throttled+c.Throttled, model.Saved+c.Saved, model.Paged+c.Paged
		if c.LongestSeconds > model.LongestSeconds {
			model.LongestSeconds = c.LongestSeconds
			namespace, name := shortOwner(c.LongestWorkload)
			model.LongestWorkload = strings.TrimPrefix(namespace+"/"+name, "/")
		}
	}
	for _, h := range s.Holds {
		model.Holds = append(model.Holds, shadowHold(p.Name, h))
		if held := int64(now.Sub(h.Since.Time).Seconds()); held > model.LongestSeconds {
			namespace, name := shortOwner(h.Workload)
			model.LongestSeconds, model.LongestWorkload = held, strings.TrimPrefix(namespace+"/"+name, "/")
		}
	}
	for _, w := range s.Workloads {
		namespace, name := shortOwner(w.Workload)
		model.Workloads = append(model.Workloads, view.ShadowWorkload{Namespace: namespace, Workload: name, Pods: w.Pods})
	}
}

func shadowHold(policy string, h v1alpha1.ShadowHold) view.ShadowHold {
	namespace, name := shortOwner(h.Workload)
	out := view.ShadowHold{Policy: policy, Namespace: namespace, Workload: name, Pods: h.Pods, Reason: h.Reason, Message: h.Message, Since: h.Since.Time}
	if h.Expected != nil {
		out.Expected = view.Window{From: h.Expected.From.Time, To: h.Expected.To.Time}
	}
	return out
}

// shortOwner is a workload as people write it: "deploy/web" of a namespace.
func shortOwner(text string) (namespace, name string) {
	owner, ok := kube.ParseOwner(text)
	if !ok {
		return "", text
	}
	kind := strings.ToLower(owner.Kind)
	if owner.Kind == "Deployment" {
		kind = "deploy"
	}
	return owner.Namespace, kind + "/" + owner.Name
}

// explainShadow says of a pod that was not held until when it would be, where a
// policy in mode Shadow says so of its workload.
func explainShadow(ctx context.Context, c client.Reader, model *view.Explanation) error {
	if model.Answer != string(core.NotHeld) || model.Reason != "" || model.Workload == "" {
		return nil
	}
	policies, err := cluster.Policies(ctx, c)
	if err != nil {
		return err
	}
	for _, p := range policies {
		if p.Status.Shadow == nil || p.Spec.Mode != v1alpha1.Shadow {
			continue
		}
		for _, h := range p.Status.Shadow.Holds {
			hold := shadowHold(p.Name, h)
			if hold.Namespace != model.Namespace || hold.Workload != model.Workload {
				continue
			}
			model.Reason = string(core.Shadow)
			model.Message = fmt.Sprintf("%d pods of it would be held now (%s): %s", hold.Pods, hold.Reason, hold.Message)
			model.WouldBe = hold.Expected
			return nil
		}
	}
	return nil
}
