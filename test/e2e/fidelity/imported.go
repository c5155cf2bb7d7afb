//go:build linux

package fidelity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// added are so many nodes that the imported cluster is given in its simulation, with a
// pod for each: half as many again as its registry allows at once.
const added = stage.Limit * 3 / 2

// imported is a case that has the plugin write the cluster as a scenario, reads what a
// person would check in it, gives it a scale-up and runs it; and does the same with all
// names hashed.
func (g *rig) imported(name string) suite.Case {
	return suite.Case{
		Name: name, Alone: true, Patience: 3 * time.Minute,
		Run: func(ctx context.Context, r *suite.Report) error {
			s, err := g.lab.New(ctx, name, stage.Options{})
			if err != nil {
				return err
			}
			if err := s.Deploy(ctx, "bakery", stage.Nodes); err != nil {
				return err
			}
			if err := s.Await(ctx, "bakery"); err != nil {
				return err
			}
			plain, err := written(ctx, s)
			if err != nil {
				return err
			}
			if err := seen(s, plain); err != nil {
				return err
			}
			if err := plays(ctx, s, plain, s.Name+"/bakery"); err != nil {
				return err
			}
			hidden, err := written(ctx, s, "--anonymize")
			if err != nil {
				return err
			}
			r.Note("bytes", len(plain))
			return errors.Join(silent(hidden, s.Name, s.Host.Name(), "node-1", "bakery"), plays(ctx, s, hidden, ""), s.Clear(ctx))
		},
		Inspect: func(ctx context.Context, _ error) string { return g.lab.Evidence(ctx, name) },
	}
}

// written is the cluster as the plugin writes it.
func written(ctx context.Context, s *stage.Stage, flags ...string) (string, error) {
	out := s.Kubectl(ctx, append([]string{"pace", "simulate", "import", "--name", "lab"}, flags...)...)
	if out.Code != 0 {
		return "", fmt.Errorf("importing: %s", out)
	}
	return out.Stdout, nil
}

// seen compares what was written with what the stage is.
func seen(s *stage.Stage, text string) error {
	sc, err := scenario.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("reading what was imported: %w", err)
	}
	var errs []error
	nodes := 0
	for _, p := range sc.Spec.NodePools {
		nodes += p.Nodes
	}
	if nodes != stage.Nodes {
		errs = append(errs, fmt.Errorf("%d nodes were imported, want %d", nodes, stage.Nodes))
	}
	i := slices.IndexFunc(sc.Spec.Workloads, func(w scenario.Workload) bool { return w.Name == s.Name+"/bakery" })
	if i < 0 {
		return errors.Join(append(errs, fmt.Errorf("workload %s/bakery was not imported", s.Name))...)
	}
	if w := sc.Spec.Workloads[i]; w.Replicas != stage.Nodes || w.Image != s.Image("bakery") {
		errs = append(errs, fmt.Errorf("imported %d replicas of %s, want %d of %s", w.Replicas, w.Image, stage.Nodes, s.Image("bakery")))
	}
	i = slices.IndexFunc(sc.Spec.Registries, func(r scenario.Registry) bool { return r.Host == s.Host.Name() })
	if i < 0 || len(sc.Spec.Registries[i].Limiters) == 0 {
		return errors.Join(append(errs, fmt.Errorf("no limit of %s was imported", s.Host.Name()))...)
	}
	if l := sc.Spec.Registries[i].Limiters[0]; l.Limit != s.Options.Limit || l.Window != s.Options.Window {
		errs = append(errs, fmt.Errorf("imported a limit of %d in %s, want %d in %s", l.Limit, l.Window, s.Options.Limit, s.Options.Window))
	}
	return errors.Join(errs...)
}

// plays gives an imported cluster a scale-up onto cold nodes and runs it: paced, all of
// it is pulled and nothing is refused. Without a name the workload with a pod on each
// node is meant that the stage has.
func plays(ctx context.Context, s *stage.Stage, text, workload string) error {
	sc, err := scenario.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("reading what was imported: %w", err)
	}
	if workload == "" {
		workload, err = hashed(sc)
		if err != nil {
			return err
		}
	}
	edits := fmt.Sprintf("[{at: 1m, addNodes: {pool: %q, count: %d}}, {at: 1m, scale: {workload: %q, replicas: %d}}]",
		sc.Spec.NodePools[0].Name, added, workload, stage.Nodes+added)
	file, err := os.CreateTemp(s.Cluster.LogsDir(), "imported-*.yaml")
	if err != nil {
		return fmt.Errorf("keeping what was imported: %w", err)
	}
	defer func() { _ = file.Close() }()
	grown := strings.Replace(text, "\n  timeline: []", "\n  timeline: "+edits, 1)
	if _, err := file.WriteString(grown); err != nil {
		return fmt.Errorf("keeping what was imported: %w", err)
	}
	out := s.Kubectl(ctx, "pace", "simulate", file.Name(), "-o", "json")
	var result report.Result
	if out.Code != 0 {
		return fmt.Errorf("simulating what was imported: %s", out)
	}
	if err := json.Unmarshal([]byte(out.Stdout), &result); err != nil {
		return fmt.Errorf("simulating what was imported: %w\n%s", err, out)
	}
	i := slices.IndexFunc(result.Policies, func(p report.Policy) bool { return p.Name == "pace" })
	if i < 0 {
		return fmt.Errorf("no policy pace was imported, but %s", strings.Join(result.Names(), ", "))
	}
	if p := result.Policies[i]; p.Pulls != added || p.Throttled != 0 || p.UnfinishedPods != 0 {
		return fmt.Errorf("simulated: %d pulls, %d refused, %d pods unfinished; want %d, none, none", p.Pulls, p.Throttled, p.UnfinishedPods, added)
	}
	return nil
}

// hashed is the workload of a stage in a scenario without names: the only one with so
// many replicas of an image from a registry with a limit.
func hashed(sc *scenario.Scenario) (string, error) {
	limited := map[string]bool{}
	for _, r := range sc.Spec.Registries {
		limited[r.Name] = len(r.Limiters) > 0
	}
	from := map[string]string{}
	for _, i := range sc.Spec.Images {
		from[i.Name] = i.Registry
	}
	for _, w := range sc.Spec.Workloads {
		if w.Replicas == stage.Nodes && limited[from[w.Image]] {
			return w.Name, nil
		}
	}
	return "", errors.New("no workload of the stage is left without its name")
}

// silent refuses a text that says a word.
func silent(text string, words ...string) error {
	var errs []error
	for _, word := range words {
		if strings.Contains(text, word) {
			errs = append(errs, fmt.Errorf("with its names hashed the scenario says %q", word))
		}
	}
	return errors.Join(errs...)
}
