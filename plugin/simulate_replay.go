package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/identify"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/trace"
)

type replayOptions struct {
	s   *session
	out output
	// scenario is the file of --scenario, policy the name of --policy.
	scenario, policy string
}

func newReplay(s *session) *cobra.Command {
	o := &replayOptions{s: s}
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Set a recorded trace against a simulation, or decide it again",
		Long: "FILE is what `simulate record` wrote, or - for standard input. No cluster is asked.\n\n" +
			"A run is set against the simulation of its scenario: units, pulls, answers of 429 and\n" +
			"how long pods took, with the error of each. The scenario that `record` writes is a\n" +
			"beginning: it knows no limit of a registry. Complete a copy and name it by --scenario.\n\n" +
			"What a controller was told is given to this program's engine, and what it decides is\n" +
			"compared with what was decided, byte for byte.\n\n" +
			"Exit codes: 0 done, and all is decided so again, 1 error, 2 usage, 3 something is\n" +
			"decided otherwise.",
		Example: s.examples("simulate replay run.jsonl --scenario run.yaml", "simulate replay decisions.jsonl"),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().StringVar(&o.scenario, "scenario", "", "scenario to simulate, instead of the one in the trace")
	cmd.Flags().StringVar(&o.policy, "policy", "", "policy of the scenario that paced the run; by default none, or pace where pods were held")
	return cmd
}

func (o *replayOptions) run(ctx context.Context, file string) error {
	text, err := o.s.read(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if trace.Is(text) {
		return o.prediction(ctx, file, text)
	}
	if o.scenario != "" || o.policy != "" {
		return usagef("%s holds what a controller decided: --scenario and --policy are for runs", file)
	}
	return o.decisions(file, text)
}

// prediction sets a run against the simulation of its scenario.
func (o *replayOptions) prediction(ctx context.Context, file string, text []byte) error {
	run, err := trace.Decode(text)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	sc, err := o.scenarioOf(file, run)
	if err != nil {
		return err
	}
	result, err := simulate.Run(ctx, sc, simulate.Options{Version: o.s.env.Version, Now: o.s.env.Now})
	if err != nil {
		return err
	}
	rows, err := run.Compare(result.Policies[0])
	if err != nil {
		return err
	}
	model := view.Prediction{
		File: file, Recorded: run.Begin.Version, Cluster: run.Begin.Cluster, Scenario: sc.Metadata.Name, Policy: result.Policies[0].Name,
		Replications: result.Replications, Seed: result.Seed, Pods: len(run.Pods),
	}
	for _, r := range rows {
		row := view.PredictionRow{Metric: r.Metric, Actual: r.Actual, Predicted: r.Predicted, Min: r.Min, Max: r.Max, Within: r.Within()}
		if off, ok := r.Error(); ok {
			row.Error = &off
		}
		model.Rows = append(model.Rows, row)
	}
	return show(o.s, o.out, model, view.PredictionTable)
}

// scenarioOf is what to simulate, with the one policy that paced the run.
func (o *replayOptions) scenarioOf(file string, run trace.Run) (*scenario.Scenario, error) {
	from, text := file, []byte(run.Scenario)
	if o.scenario != "" {
		var err error
		if from = o.scenario; o.scenario == "-" {
			return nil, usagef("--scenario is a file, not standard input")
		}
		if text, err = o.s.read(o.scenario); err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.scenario, err)
		}
	}
	sc, err := scenario.Decode(text)
	if err != nil {
		return nil, usagef("the scenario of %s: %w", from, err)
	}
	want := cmp.Or(o.policy, run.Begin.Policy)
	for _, p := range sc.Spec.Policies {
		if p.Name == want {
			sc.Spec.Policies, sc.Spec.Goals = []scenario.Policy{p}, nil
			return sc, nil
		}
	}
	return nil, usagef("the scenario of %s has no policy %q: name one of its policies by --policy", from, want)
}

// decisions compares what a controller decided.
func (o *replayOptions) decisions(file string, text []byte) error {
	records, err := engine.DecodeTrace(text)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if len(records) == 0 {
		return fmt.Errorf("reading %s: it holds no trace", file)
	}
	model := view.Replay{File: file, Replayed: o.s.env.Version, From: records[0].At, To: records[len(records)-1].At, Ended: records[len(records)-1].End}
	if b := records[0].Begin; b != nil {
		model.Recorded = b.Version
	}
	checked, err := engine.Check(records)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	model.Calls, model.Starts, model.Decisions = checked.Calls, checked.Restarts, checked.Decisions
	model.Limits = limitsOf(checked.Readings)
	if d := checked.First; d != nil {
		model.Difference = &view.ReplayDifference{
			Decision: d.Decision, At: d.At, Byte: common(d.Recorded, d.Replayed), Recorded: string(d.Recorded), Replayed: string(d.Replayed),
		}
	}
	if err := show(o.s, o.out, model, view.ReplayPage); err != nil {
		return err
	}
	if model.Difference != nil || model.Decisions == 0 {
		return verdict(ExitHold)
	}
	return nil
}

// limitsOf says of each account by what rule its readings say that it is counted, in
// order of account.
func limitsOf(readings []engine.CheckedReading) []view.ReplayLimit {
	byAccount := map[core.AccountID][]engine.CheckedReading{}
	for _, r := range readings {
		byAccount[r.Account] = append(byAccount[r.Account], r)
	}
	var out []view.ReplayLimit
	for _, id := range slices.Sorted(maps.Keys(byAccount)) {
		out = append(out, limitOf(id, byAccount[id]))
	}
	return out
}

func limitOf(id core.AccountID, readings []engine.CheckedReading) view.ReplayLimit {
	last := readings[len(readings)-1].Header
	out := view.ReplayLimit{Account: string(id), Limit: int64(last.Limit), WindowSeconds: last.Window.Seconds(), Readings: len(readings)}
	var settled []identify.Reading
	for _, r := range readings {
		if !r.Open {
			settled = append(settled, identify.Reading{At: r.SentAt, Limit: int64(r.Header.Limit), Left: int64(r.Header.Remaining), Window: r.Header.Window, Spent: int64(r.Spent)})
		}
	}
	odds, err := identify.Of(settled)
	if err != nil {
		return out // too few readings to tell
	}
	for _, o := range odds {
		out.Rules = append(out.Rules, view.ReplayRule{Type: string(o.Rule), Share: o.Share})
	}
	return out
}

// common is how many bytes two texts begin with alike.
func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
