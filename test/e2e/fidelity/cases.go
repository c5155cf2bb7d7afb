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

// Cases are those of the suite. They run one after the other: pods of another case
// would make those that are timed slower.
func Cases(lab *stage.Lab) []suite.Case {
	r := &rig{lab: lab}
	return []suite.Case{
		r.judged("unpaced", stage.Options{NotPaced: true, NoBudget: true}, "none"),
		r.judged("paced", stage.Options{}, "pace"),
		r.imported("imported"),
	}
}

// rig is where the cases run.
type rig struct{ lab *stage.Lab }

// errTimes says that times were not as predicted, and all that is counted was.
var errTimes = errors.New("not as long as predicted")

// judged is a case that sets a scale-up against its simulation with a policy. What the
// simulation is told of this machine is measured on stages beside it whose registry
// refuses nothing, before the scale-up and after it: the machine may do other work
// then, and a prediction is of the machine that it was measured on.
func (g *rig) judged(name string, o stage.Options, policy string) suite.Case {
	free := o
	free.Limit = unlimited
	return suite.Case{
		Name: name, Alone: true, Patience: 5 * time.Minute,
		Run: func(ctx context.Context, r *suite.Report) error {
			before, err := g.measured(ctx, name+"-before", free, policy)
			if err != nil {
				return err
			}
			s, err := g.lab.New(ctx, name, o)
			if err != nil {
				return err
			}
			run, err := scaleUp(ctx, s)
			if err != nil {
				return err // the stage is left as it is, to be inspected
			}
			after, err := g.measured(ctx, name+"-after", free, policy)
			if err != nil {
				return err
			}
			r.Note("before", before)
			r.Note("after", after)
			r.Note("429", s.Throttled(time.Time{}))
			run.Begin.Policy, run.Registry = policy, told(s)
			run.Scenario = before.and(after).scenario(s, policy)
			prediction, table, err := s.Predicted(ctx, run)
			if err != nil {
				return err
			}
			fmt.Print(table)
			return errors.Join(judge(prediction, before.changed(after)), s.ClearAway(ctx))
		},
		Inspect: func(ctx context.Context, _ error) string { return g.lab.Evidence(ctx, name) },
	}
}

// measured times pods on a stage whose registry refuses nothing.
func (g *rig) measured(ctx context.Context, name string, o stage.Options, policy string) (*machine, error) {
	s, err := g.lab.New(ctx, name, o)
	if err != nil {
		return nil, err
	}
	m := &machine{}
	asked := func(apps string) []registry.Entry {
		f := s.Own()
		f.Where = func(e registry.Entry) bool { return strings.HasPrefix(e.Repo, apps) }
		return s.Registry.Log().Entries(f)
	}
	if policy == "none" {
		run, err := scaleUp(ctx, s)
		if err != nil {
			return nil, err
		}
		if m.crowd, err = measure(run, asked("app-")); err != nil {
			return nil, err
		}
	}
	run, err := waves(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, image := range run.Images {
		m.size = max(m.size, image.Bytes)
	}
	if m.wave, err = measure(run, asked("wave-")); err != nil {
		return nil, err
	}
	// Nodes that still take pods down would make those slower that are timed next.
	return m, s.ClearAway(ctx)
}

// judge complains about what was predicted wrong: units and pulls must be right to
// the last one, answers of 429 as many as in some replication, and times of readiness
// within the larger of 2 s and a tenth in the middle, and a quarter at the end. Times
// that are off on a machine that changed while it was measured are not the
// simulation's fault, and no proof of it either.
func judge(p view.Prediction, changed error) error {
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
	if len(errs)+len(late) > 0 && changed != nil {
		late = append(late, fmt.Errorf("not judged, run it again on a machine that does nothing else: %w", changed))
	}
	return errors.Join(append(errs, late...)...)
}
