package plugin

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/identify"
)

type replayOptions struct {
	s   *session
	out output
}

func newReplay(s *session) *cobra.Command {
	o := &replayOptions{s: s}
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide a recorded trace again, and compare",
		Long: "Give this program's engine what a controller was told, and compare what it decides\n" +
			"with what was decided, byte for byte. FILE is what `simulate record` wrote, or - for\n" +
			"standard input. No cluster is asked.\n\n" +
			"Exit codes: 0 all is decided so again, 1 error, 2 usage, 3 something is not.",
		Example: s.examples("simulate replay decisions.jsonl", "simulate record --decisions | "+s.env.program()+" simulate replay -"),
		Args:    args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.out.validate(); err != nil {
				return err
			}
			return o.run(args[0])
		},
	}
	o.out.add(cmd.Flags())
	return cmd
}

func (o *replayOptions) run(file string) error {
	text, err := o.s.read(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return o.decisions(file, text)
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
