package plugin

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// How long tools wait unless told otherwise: Helm for a release, and autoscalers for
// a node that stays tainted.
const (
	helmWait       = 5 * time.Minute
	nodePatience   = 15 * time.Minute
	defaultMaxNode = 10 * time.Minute
)

// clocks names what gives up before the last pod is let go.
func (s *session) clocks(ctx context.Context, c client.Reader, cost *view.Cost, d *appsv1.Deployment, deleteFirst string) {
	if cost.Finish.IsZero() {
		return
	}
	k := clocks{cost: cost, now: s.env.Now()}
	k.within("helm --wait", helmWait, "its default; set --timeout")
	if seconds := d.Spec.ProgressDeadlineSeconds; seconds != nil {
		limit := time.Duration(*seconds) * time.Second
		if deleteFirst == string(v1alpha1.SurgeOnly) && cost.NotHeld == "" {
			k.add("progressDeadlineSeconds", limit.String(), "no", "lifted while held")
		} else {
			k.within("progressDeadlineSeconds", limit, "")
		}
	}
	switch m := cluster.ManagedBy(d); m.Tool {
	case "Flux":
		k.add("Flux health check", "spec.timeout", "unknown", m.Object+" waits so long if it waits at all")
	default:
		k.add("Argo CD health", "none", "no", "Progressing until then")
	}
	var list v1alpha1.PacePolicyList
	if err := c.List(ctx, &list); err != nil {
		return // without policies no node is held
	}
	for _, p := range list.Items {
		if p.Spec.Nodes == nil || !p.Spec.Nodes.Hold {
			continue
		}
		longest := defaultMaxNode
		if p.Spec.Nodes.MaxHold != nil {
			longest = p.Spec.Nodes.MaxHold.Duration
		}
		breaks := "no"
		if longest > nodePatience {
			breaks = "yes"
		}
		k.add("autoscaler patience", nodePatience.String(), breaks, "policy "+p.Name+" holds nodes for "+longest.String()+" at most")
	}
}

// clocks adds clocks to a cost.
type clocks struct {
	cost *view.Cost
	now  time.Time
}

// within adds a clock that runs from now on.
func (k clocks) within(name string, limit time.Duration, why string) {
	breaks := "unknown"
	switch {
	case !k.cost.Finish.To.After(k.now.Add(limit)):
		breaks = "no"
	case k.cost.Finish.From.After(k.now.Add(limit)):
		breaks = "yes"
	}
	k.add(name, limit.String(), breaks, why)
}

func (k clocks) add(name, limit, breaks, why string) {
	k.cost.Breaks = append(k.cost.Breaks, view.Clock{Name: name, Limit: limit, Breaks: breaks, Why: why})
}
