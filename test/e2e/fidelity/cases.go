//go:build linux

package fidelity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// The scale-up: 6 Deployments on 4 nodes, 24 cold pulls, against 8 in any 10 s.
const (
	apps  = 6
	pulls = apps * stage.Nodes
)

// unlimited is more than all cases together ask for.
const unlimited = 1 << 20

// patience is how long one scale-up may take. Unpaced, all pods fail twice at most:
// the kubelet's ladder is 10 s and 20 s, each with up to half of 10 s on top.
const patience = 100 * time.Second

// rig is what the cases of one suite share.
type rig struct {
	lab *stage.Lab
	// machine is what the first case measures.
	machine *machine
}

// Cases are those of the suite. They run one after the other: pods of another case
// would make those that are timed slower.
func Cases(lab *stage.Lab) []suite.Case {
	r := &rig{lab: lab}
	return []suite.Case{
		r.on("measured", free(), r.measured),
		r.on("unpaced", stage.Options{NotPaced: true, NoBudget: true}, r.judged("none")),
		r.on("paced", stage.Options{}, r.judged("pace")),
	}
}

// errTimes says that times were not as predicted, and all that is counted was.
var errTimes = errors.New("not as long as predicted")

// free is a stage whose registry refuses nothing.
func free() stage.Options {
	return stage.Options{Limit: unlimited, NotPaced: true, NoBudget: true}
}

// play is what happens on a stage.
type play func(context.Context, *stage.Stage, *suite.Report) error

// on is a case with a stage of its own. One whose times alone are off is played once
// more, after the machine was measured anew: the kubelets' draws move the median of an
// unpaced run by some 1.5 s to either side, as the simulations' own least and most
// show, and 2 s are allowed; and a machine may do other work than it did before.
func (g *rig) on(name string, o stage.Options, p play) suite.Case {
	return suite.Case{
		Name: name, Alone: true, Patience: 4 * time.Minute,
		Run: func(ctx context.Context, r *suite.Report) error {
			err := g.once(ctx, name, o, p, r)
			if !errors.Is(err, errTimes) {
				return err
			}
			r.Note("again", "yes")
			if err := g.once(ctx, name+"-measured", free(), g.measured, r); err != nil {
				return err
			}
			return g.once(ctx, name+"-again", o, p, r)
		},
		Inspect: func(ctx context.Context, _ error) string { return g.lab.Evidence(ctx, name) },
	}
}

func (g *rig) once(ctx context.Context, name string, o stage.Options, p play, r *suite.Report) error {
	s, err := g.lab.New(ctx, name, o)
	if err != nil {
		return err
	}
	if err := p(ctx, s, r); err != nil {
		return err // the stage is left as it is, to be inspected
	}
	return s.Clear(ctx)
}

// measured times pods on a registry that refuses nothing.
func (g *rig) measured(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	crowd, err := scaleUp(ctx, s)
	if err != nil {
		return err
	}
	quiet, err := oneByOne(ctx, s)
	if err != nil {
		return err
	}
	m := &machine{}
	for _, image := range quiet.Images {
		m.size = max(m.size, image.Bytes)
	}
	asked := func(apps string) []registry.Entry {
		f := s.Own()
		f.Where = func(e registry.Entry) bool { return strings.HasPrefix(e.Repo, apps) }
		return s.Registry.Log().Entries(f)
	}
	if m.crowd, err = measure(crowd, asked("app-")); err != nil {
		return err
	}
	if m.calm, err = measure(quiet, asked("calm-")); err != nil {
		return err
	}
	r.Note("crowd", m.crowd)
	r.Note("calm", m.calm)
	g.machine = m
	return nil
}

// judged sets a scale-up against its simulation with a policy.
func (g *rig) judged(policy string) play {
	return func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		if g.machine == nil {
			return errors.New("nothing was measured: the case measured must run first")
		}
		run, err := scaleUp(ctx, s)
		if err != nil {
			return err
		}
		run.Begin.Policy = policy
		run.Scenario = g.machine.scenario(s, policy)
		run.Registry = told(s)
		prediction, table, err := s.Predicted(ctx, run)
		if err != nil {
			return err
		}
		fmt.Print(table)
		r.Note("429", s.Throttled(time.Time{}))
		return judge(prediction)
	}
}

// judge complains about what was predicted wrong: units and pulls must be right to
// the last one, answers of 429 as many as in some replication, and times of readiness
// within the larger of 2 s and a tenth in the middle, and a quarter at the end.
func judge(p view.Prediction) error {
	var errs, late []error
	for _, row := range p.Rows {
		if row.Actual == nil || row.Predicted == nil {
			errs = append(errs, fmt.Errorf("%s: actual or predicted is not known", row.Metric))
			continue
		}
		off := math.Abs(*row.Predicted - *row.Actual)
		most := math.Inf(1)
		switch row.Metric {
		case "unitsCharged", "pulls", "unfinishedPods":
			most = 0
			off = max(off, math.Abs(*row.Max-*row.Actual), math.Abs(*row.Min-*row.Actual))
		case "throttled":
			if !row.Within {
				errs = append(errs, fmt.Errorf("throttled: %.0f is not what any replication came to, %.0f - %.0f", *row.Actual, *row.Min, *row.Max))
			}
		case "podReadySeconds.p50":
			most = max(2, *row.Actual/10)
		case "podReadySeconds.p95":
			most = *row.Actual / 4
		}
		if off <= most {
			continue
		}
		err := fmt.Errorf("%s: predicted %.2f, was %.2f, off by %.2f, want %.2f at most", row.Metric, *row.Predicted, *row.Actual, off, most)
		if most > 0 {
			late = append(late, fmt.Errorf("%w: %w", errTimes, err))
		} else {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...) // no other draw makes up for a wrong count
	}
	return errors.Join(late...)
}
