package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// order is what pause, resume and release share: objects, a reason, a record.
type order struct {
	s      *session
	verb   string
	reason reasonFlag
	out    output
	dry    dryRun
}

func (o *order) flags(cmd *cobra.Command) {
	o.reason.add(cmd)
	o.out.add(cmd.Flags())
	o.dry.add(cmd.Flags())
}

func (o *order) validate(cmd *cobra.Command) error {
	if err := o.out.validate(); err != nil {
		return err
	}
	if err := o.dry.validate(); err != nil {
		return err
	}
	return o.reason.validate(cmd)
}

// giver writes orders to one cluster.
type giver struct {
	*order
	cluster *cluster.Cluster
	client  client.Client
	result  view.Order
	// recorded says that a controller is at work, which records orders by whom the
	// API server knows.
	recorded bool
}

func (o *order) start(ctx context.Context) (*giver, error) {
	c, err := o.s.connect()
	if err != nil {
		return nil, err
	}
	g := &giver{order: o, cluster: c, client: o.dry.client(c.Client)}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return nil, err
	}
	g.recorded = controller.Alive(o.s.env.Now())
	g.result = view.Order{Verb: o.verb, Reason: o.reason.text, By: cluster.WhoAmI(ctx, c.Client), DryRun: o.dry.on(), Objects: []view.Ordered{}}
	return g, nil
}

// understood complains where the controller may not know what is written for it.
func (g *giver) understood(ctx context.Context) error {
	controller, err := cluster.ControllerOf(ctx, g.cluster.Client)
	if err != nil {
		return err
	}
	return g.s.refuseSkew(controller)
}

// note is the JSON that is kept on the objects.
func (g *giver) note() v1alpha1.Order {
	return v1alpha1.Order{By: g.result.By, Reason: g.result.Reason, At: g.s.env.Now()}
}

// get reads the object that a person named.
func (g *giver) get(ctx context.Context, t cluster.Target) (client.Object, error) {
	obj, err := cluster.Empty(t)
	if err != nil {
		return nil, err
	}
	key := client.ObjectKey{Name: t.Name}
	where := "in the cluster"
	if t.Kind != cluster.Node && t.Kind != cluster.PullBudget {
		key.Namespace = g.cluster.Namespace
		where = fmt.Sprintf("in namespace %q", key.Namespace)
	}
	err = g.cluster.Client.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s is not %s; nothing was changed", t, where)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t, err)
	}
	return obj, nil
}

// write patches an object if change changes it, and records it in an Event where no
// controller does.
func (g *giver) write(ctx context.Context, t cluster.Target, obj client.Object, done string, change func(client.Object) bool) error {
	before := obj.DeepCopyObject().(client.Object)
	entry := view.Ordered{Namespace: obj.GetNamespace(), Object: t.String(), Change: done}
	if !change(obj) {
		entry.Change = "unchanged"
		g.result.Objects = append(g.result.Objects, entry)
		return nil
	}
	if g.dry.mode != "client" {
		if err := cluster.PatchLocked(ctx, g.client, before, obj); err != nil {
			return fmt.Errorf("writing %s: %w", t, err)
		}
	}
	g.result.Objects = append(g.result.Objects, entry)
	if g.dry.on() || g.recorded {
		return nil
	}
	note := fmt.Sprintf("%s by %s: %s", done, g.result.By, g.result.Reason)
	if err := cluster.Record(ctx, g.cluster.Client, obj, g.s.env.Now(), title(g.verb), note); err != nil {
		g.s.notef("done, but not recorded: %v", err)
	}
	return nil
}

// title is a verb as an Event names it.
func title(verb string) string {
	switch verb {
	case "pause":
		return "Paused"
	case "resume":
		return "Resumed"
	}
	return "Override"
}

func (g *giver) show() error { return show(g.s, g.out, g.result, view.OrderPage) }

// target parses and checks the object of an order.
func (o *order) target(arg string, kinds ...cluster.Kind) (cluster.Target, error) {
	t, err := cluster.ParseTarget(arg)
	if err != nil {
		return t, &exitError{code: ExitUsage, err: err}
	}
	for _, kind := range kinds {
		if t.Kind == kind {
			return t, nil
		}
	}
	return t, usagef("%s: cannot %s a %s", t, o.verb, t.Kind)
}
