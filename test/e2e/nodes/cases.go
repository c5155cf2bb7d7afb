//go:build linux

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/puller"
)

// machines are the nodes with kubelets, which Pace itself runs on.
const machines = 2

// crowded is the window of what nobody holds: on a machine that takes its time to bring
// nodes all of them still ask within it.
const crowded = 30 * time.Second

// pulls are those of a scale-up: three times what the registry allows in a window. From
// the first to the last they take two windows at least.
const pulls = 3 * stage.Limit

// Plan is the suite.
func Plan(lab *stage.Lab) stage.Plan {
	b := &builder{lab: lab}
	return stage.Plan{Cases: b.cases(), Machines: machines, Ready: b.ready, Installed: b.holdNodes, Flags: []string{"--node-waves"}}
}

// builder makes cases on one lab.
type builder struct {
	lab   *stage.Lab
	agent *puller.Agent
}

// ready starts the autoscaler and what pulls on its nodes. Every such node is behind the
// address of the others.
func (b *builder) ready(ctx context.Context) (err error) {
	if err := b.lab.Cluster.StartAutoscaler(ctx); err != nil {
		return err
	}
	if err := b.lab.Apply(ctx, nodeClass); err != nil {
		return err
	}
	b.agent, err = puller.Start(ctx, puller.Options{
		Client: b.lab.Cluster.Client(), Selector: cluster.LabelUnrun + "=" + cluster.LabelUnrunValue,
		Registry: func(*corev1.Node) *http.Client { return b.lab.Registry.Client(b.lab.Address) },
	})
	return err
}

// nodeHold bounds the hold of a node: long against what a case takes to let it go, and
// short against how long the failsafe waits for a controller that is gone.
const nodeHold = 3 * time.Minute

// holdNodes has the policy hold nodes, and waits until the controller knows that it may.
func (b *builder) holdNodes(ctx context.Context) error {
	patch := fmt.Sprintf(`{"spec":{"nodes":{"hold":true,"maxHold":%q}}}`, nodeHold)
	if out := b.lab.Kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", patch); out.Code != 0 {
		return fmt.Errorf("having nodes held: %s", out)
	}
	return stage.Poll(ctx, "the policy to hold nodes", func(ctx context.Context) (bool, string, error) {
		var policy v1alpha1.PacePolicy
		err := b.lab.Client.Get(ctx, client.ObjectKey{Name: "default"}, &policy)
		return meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionNodesHeld), fmt.Sprint(policy.Status.Conditions), err
	})
}

// play is what a case does on its stage.
type play func(ctx context.Context, s *scene, r *suite.Report) error

// on is a case with a stage and a NodePool of its own, whose nodes register with those
// taints.
func (b *builder) on(name string, o stage.Options, p play, startupTaints ...string) suite.Case {
	c := stage.Case(name, o, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		here := &scene{Stage: s}
		if err := here.pool(ctx, startupTaints); err != nil {
			return err
		}
		err := p(ctx, here, r)
		return all(err, b.agent.Err(), here.clear(ctx, err))
	}, func(context.Context) (*stage.Lab, error) { return b.lab, nil })
	inspect := c.Inspect
	c.Inspect = func(ctx context.Context, err error) string {
		evidence := ""
		for _, what := range []string{"nodeclaims", "nodes"} {
			evidence += fmt.Sprintln(b.lab.Kubectl(ctx, "get", what, "-l", labelPool+"="+name, "-o", "wide"))
		}
		return evidence + inspect(ctx, err) + b.lab.Recorded(ctx, name)
	}
	return c
}

// among is a case with a stage, on nodes that it makes itself.
func (b *builder) among(name string, o stage.Options, p stage.Play) suite.Case {
	c := stage.Case(name, o, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		return all(p(ctx, s, r), b.agent.Err())
	}, func(context.Context) (*stage.Lab, error) { return b.lab, nil })
	inspect := c.Inspect
	c.Inspect = func(ctx context.Context, err error) string {
		return fmt.Sprintln(b.lab.Kubectl(ctx, "get", "nodes", "-l", labelGroup+"="+name, "-o", nodeColumns)) + inspect(ctx, err) + b.lab.Recorded(ctx, name)
	}
	return c
}

// nodeColumns are what of a node shows why it is held or not.
const nodeColumns = `custom-columns=NAME:.metadata.name,MADE:.metadata.creationTimestamp,TAINTS:.spec.taints[*].key,REASON:.metadata.annotations.pullpace\.dev/hold-reason,RELEASE:.metadata.annotations.pullpace\.dev/release,GRANTED:.status.conditions[?(@.type=="pullpace.dev/PullBudgetGranted")].reason`

// alone marks a case that takes the controller away from all others.
func alone(c suite.Case) suite.Case {
	c.Alone = true
	return c
}

// patient gives a case longer than others get: what it waits for takes most of their time,
// or more, on a machine that does nothing else.
func patient(c suite.Case) suite.Case {
	c.Patience = 8 * time.Minute
	return c
}

// inTurn has the scale-up whose end is judged run before the nodes that take most of the
// machine, beside all others.
func inTurn(c suite.Case) suite.Case {
	c.Lane = "in turn"
	return patient(c)
}

func (b *builder) cases() []suite.Case {
	// Nothing is left, and what a node waits for is expected within seconds: one that waits
	// for longer than it may be held is let go at once.
	full := stage.Options{Limit: 100, Taken: 100, Window: 10 * time.Minute}
	return []suite.Case{
		inTurn(b.on("scale-up", stage.Options{Window: window}, scaledUp)),
		inTurn(b.among("many-nodes", stage.Options{Limit: 100}, manyNodes)),
		b.on("waves", stage.Options{Window: 20 * time.Second}, waves),
		b.on("packed", stage.Options{Limit: 4, Window: 20 * time.Second}, packed),
		patient(b.on("scale-up-unheld", stage.Options{Window: crowded, NotPaced: true, NoBudget: true}, leftAlone)),
		b.on("pool-waves", stage.Options{Limit: growing / 2}, poolWaves, v1alpha1.Taint),
		b.among("node-waves", stage.Options{}, nodeWaves),
		b.among("kubelet-held", full, kubeletHeld),
		patient(b.among("kubelets-join", stage.Options{Limit: joining / 2}, kubeletsJoin)),
		b.among("nodes-unheld", stage.Options{Window: crowded, NoBudget: true}, nodesUnheld),
		b.among("edited-taint", stage.Options{}, editedTaint),
		b.among("rebooted", stage.Options{}, rebooted),
		alone(b.among("failed-over", stage.Options{}, failedOver)),
		alone(b.among("all-let-go", stage.Options{}, allLetGo)),
		alone(b.among("while-down", stage.Options{}, whileDown)),
		alone(patient(b.among("left-held", stage.Options{}, leftHeld))),
		alone(patient(b.among("all-new", stage.Options{}, allNew))),
	}
}

// all joins what was found wrong.
func all(errs ...error) error { return errors.Join(errs...) }
