//go:build linux

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/puller"
)

// machines are the nodes with kubelets, which Pace itself runs on.
const machines = 2

// pulls are those of a scale-up: three times what the registry allows in a window. From
// the first to the last they take two windows at least.
const pulls = 3 * stage.Limit

// Plan is the suite.
func Plan(lab *stage.Lab) stage.Plan {
	b := &builder{lab: lab}
	return stage.Plan{Cases: b.cases(), Machines: machines, Ready: b.ready}
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

// play is what a case does on its stage.
type play func(ctx context.Context, s *scene, r *suite.Report) error

// on is a case with a stage and a NodePool of its own.
func (b *builder) on(name string, o stage.Options, p play) suite.Case {
	c := stage.Case(name, o, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		here := &scene{Stage: s}
		if err := here.pool(ctx); err != nil {
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
		return evidence + inspect(ctx, err)
	}
	return c
}

func (b *builder) cases() []suite.Case {
	return []suite.Case{
		b.on("scale-up", stage.Options{Window: window}, scaledUp),
		b.on("scale-up-unheld", stage.Options{NotPaced: true, NoBudget: true}, leftAlone),
		b.on("waves", stage.Options{Window: 20 * time.Second, Taken: stage.Limit}, waves),
	}
}

// all joins what was found wrong.
func all(errs ...error) error { return errors.Join(errs...) }
